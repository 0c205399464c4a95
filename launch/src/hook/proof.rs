//! Proves that the container's first process holds the boot env.
//!
//! The launcher gives a process all of the boot env or does not start it, so one variable with the value that
//! only boot can have given proves the rest. To ask for every variable would fail tasks that are in order: an
//! entrypoint may extend PATH or drop a password and exec again before the hook looks.

use std::error::Error;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};
use std::{fmt, io, thread};

use crate::deadline::Deadline;
use crate::env::Env;
use crate::hook::process::{Init, Proc, Process};
use crate::hook::{OnUnreadable, Way};
use crate::merge::Merged;

/// How long to wait between two looks. `/proc` tells nobody that a process has exec'ed, so there is nothing to
/// wait on; mostly the first look is enough, as the launcher needs less than a millisecond.
const POLL: Duration = Duration::from_millis(5);

/// How long a process that is not the launcher may go without the boot env, before it is taken for the task:
/// a runtime may still be about to exec the launcher. A process without the launcher's mark has at most half of the hook's
/// limit.
const SETTLE: Duration = Duration::from_secs(2);

/// How many missing names a sentence lists.
const NAMES: usize = 10;

/// What was proven.
#[derive(Debug)]
pub(crate) enum Proof {
    /// The first process holds the boot env, or there is none to hold.
    Holds,
    /// The container's first process has ended: its own result counts.
    Ended,
    /// The launcher did not start the first process, so another command has taken the place of the planned one.
    NotLaunched,
    /// Nothing, and the container may run all the same.
    Unreadable(ProofError),
}

/// What one look tells.
enum Look {
    Proven(Proof),
    /// The launcher is about to start the task.
    Starting,
    /// It may become readable at any moment.
    Unreadable(Process),
    /// It can hardly change any more.
    Missing(Process),
    /// The same.
    NoProc(io::Error),
}

/// Looks until there is a proof, or until there can hardly be one any more, or until the deadline.
pub(crate) fn wait(
    proc: &Proc,
    merged: &Merged<'_>,
    way: Way,
    unreadable: OnUnreadable,
    deadline: Deadline,
) -> Result<Proof, ProofError> {
    if merged.given.is_empty() {
        return Ok(Proof::Holds);
    }
    // What comes after the proof must have its time, too.
    let settle = SETTLE.min(deadline.limit() / 2);
    let (mut missing_since, mut unreadable_since) = (None, None);
    // Asked once: to ask marks the hook's own process.
    let mut launched = None;
    let mut was_launched = |process: &Process| match way {
        Way::Launch => *launched.get_or_insert_with(|| proc.was_launched(process)),
        _ => None,
    };
    loop {
        let error = match look(proc, merged) {
            Look::Proven(proof) => return Ok(proof),
            Look::Starting => {
                missing_since = None;
                ProofError::NotStarted(deadline.limit())
            }
            Look::Unreadable(process) => {
                missing_since = None;
                if unreadable_since.get_or_insert_with(Instant::now).elapsed() >= settle {
                    if was_launched(&process) == Some(false) {
                        return Ok(Proof::NotLaunched);
                    }
                    if unreadable == OnUnreadable::Warn {
                        return Ok(Proof::Unreadable(ProofError::Unreadable));
                    }
                }
                ProofError::Unreadable
            }
            Look::Missing(process) => {
                let elapsed = missing_since.get_or_insert_with(Instant::now).elapsed();
                let launched = if elapsed >= settle { was_launched(&process) } else { None };
                if launched == Some(false) {
                    return Ok(Proof::NotLaunched);
                }
                let error = ProofError::missing(&merged.given, way, launched.is_some());
                if elapsed >= SETTLE {
                    return Err(error);
                }
                error
            }
            Look::NoProc(error) => {
                let error = ProofError::NoProc(error);
                if missing_since.get_or_insert_with(Instant::now).elapsed() >= SETTLE {
                    return Err(error);
                }
                error
            }
        };
        match deadline.left() {
            Some(left) => thread::sleep(POLL.min(left)),
            None => return Err(error),
        }
    }
}

fn look(proc: &Proc, merged: &Merged<'_>) -> Look {
    let init = match proc.container_init() {
        Ok(Init::Runs(init)) => init,
        Ok(Init::Unreadable(init)) => return Look::Unreadable(init),
        Ok(Init::Ended) => return Look::Proven(Proof::Ended),
        Err(error) => return Look::NoProc(error),
    };
    match init.environ() {
        Ok(None) => Look::Proven(Proof::Ended),
        Ok(Some(environ)) if holds(&environ, merged) => Look::Proven(Proof::Holds),
        Ok(Some(_)) if proc.runs_this_program(&init) => Look::Starting,
        Ok(Some(_)) => Look::Missing(init),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Look::Unreadable(init),
        Err(error) => Look::NoProc(error),
    }
}

/// Whether a process's environment memory shows that it was started with the boot env.
fn holds(environ: &[u8], merged: &Merged<'_>) -> bool {
    let text = environ.strip_suffix(b"\0").unwrap_or(environ);
    let records = || text.split(|&byte| byte == 0);
    // Programs that set their own title (nginx, Postgres, Perl, whatever uses setproctitle) write it over this
    // memory and fill the rest with spaces or NUL, which leaves records that no env has. Then its size is what
    // is left to go by: it is that of the env which the program was started with.
    if records().any(|record| split_once(record).is_none()) {
        return environ.len() >= encoded_len(merged);
    }
    let first = |name| records().filter_map(split_once).find(|(held, _)| *held == name);
    merged.given.iter().any(|(name, value)| first(name) == Some((name, value)))
}

fn encoded_len(merged: &Merged<'_>) -> usize {
    merged.iter().map(|(name, value)| name.len() + value.len() + 2).sum()
}

fn split_once(record: &[u8]) -> Option<(&OsStr, &OsStr)> {
    let (name, value) = record.split_at_checked(record.iter().position(|&byte| byte == b'=')?)?;
    Some((OsStr::from_bytes(name), OsStr::from_bytes(value.strip_prefix(b"=")?)))
}

/// Why there is no proof. It holds names, never values.
#[derive(Debug)]
pub(crate) enum ProofError {
    /// `launched` tells whether it is known that the launcher started the process.
    Missing {
        names: Vec<String>,
        more: usize,
        way: Way,
        launched: bool,
    },
    NotStarted(Duration),
    Unreadable,
    NoProc(io::Error),
}

impl ProofError {
    fn missing(given: &Env<'_>, way: Way, launched: bool) -> Self {
        let names: Vec<_> = given.iter().take(NAMES).map(|(name, _)| name.display().to_string()).collect();
        Self::Missing { more: given.iter().len() - names.len(), names, way, launched }
    }
}

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { names, more, way, launched } => {
                write!(f, "its first process does not hold the boot env: {}", names.join(", "))?;
                if *more > 0 {
                    write!(f, " and {more} more")?;
                }
                f.write_str(" did not arrive. ")?;
                f.write_str(match way {
                    Way::Launch if !launched => {
                        "The task has dropped it, or was not started by Bootlace's launcher: let its command keep the \
                         env (`env -i`, `su -` and `sudo` do not)"
                    }
                    Way::Launch | Way::Home | Way::Sourced => {
                        "The task was started with it and has dropped it: let its command keep the env (`env -i`, \
                         `su -` and `sudo` do not; and a shell drops variables whose names hold more than letters, \
                         digits and `_`)"
                    }
                    Way::None => {
                        "Add `command` to the container, so that Bootlace can put its launcher in front of it"
                    }
                    Way::File => {
                        "The kubelet reads env files from 1.35 on: update the node, or set another `env.mode` in \
                         the BootProfile"
                    }
                })
            }
            Self::NotStarted(limit) => write!(
                f,
                "the launcher did not start the task within {} s. Give the container more cpu, or the hook \
                 more time (`hook.timeoutSeconds` of the BootProfile)",
                limit.as_secs()
            ),
            Self::Unreadable => f.write_str(
                "its first process may not be read, so it is not known whether it holds the boot env: it runs \
                 as another user than the container, or has made itself unreadable. Set the user with \
                 `securityContext.runAsUser` instead of switching it inside the container",
            ),
            Self::NoProc(error) => write!(
                f,
                "/proc cannot be read ({error}), so it is not known whether its first process holds the boot \
                 env"
            ),
        }
    }
}

impl Error for ProofError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(own: &'static [(&str, &str)], given: &'static [(&str, &str)]) -> Merged<'static> {
        let env_of = |pairs: &'static [(&str, &str)]| -> Env<'static> {
            pairs.iter().map(|(name, value)| (OsStr::new(*name), OsStr::new(*value))).collect()
        };
        Merged::of(env_of(own), env_of(given))
    }

    #[test]
    fn one_variable_as_boot_gave_it_proves_the_rest() {
        let merged = merged(&[("PATH", "/image"), ("POD", "x")], &[("PATH", "/boot"), ("A", "1")]);
        for (case, environ, proven) in [
            ("all of it", &b"PATH=/boot\0A=1\0POD=x\0"[..], true),
            ("PATH extended since", b"PATH=/venv:/boot\0A=1\0", true),
            ("one dropped since", b"PATH=/boot\0POD=x\0", true),
            ("nothing", b"", false),
            ("only the pod's own", b"POD=x\0", false),
            ("the image's values", b"PATH=/image\0A=2\0", false),
            ("the value under another name", b"B=1\0XA=1\0", false),
            ("a second record, which getenv does not see", b"A=2\0A=1\0", false),
        ] {
            assert_eq!(holds(environ, &merged), proven, "{case}");
        }
    }

    #[test]
    fn memory_that_was_reused_is_judged_by_its_size() {
        // `POD=x\0A=1\0` is 10 bytes.
        let merged = merged(&[("POD", "x")], &[("A", "1")]);
        assert!(holds(b"\0\0\0\0\0\0\0\0\0\0", &merged));
        assert!(holds(b"title\0\0\0\0\0", &merged));
        assert!(holds(b"         \0", &merged));
        assert!(!holds(b"\0\0\0\0\0\0", &merged), "the size of POD=x alone");
    }

    #[test]
    fn lists_names_up_to_a_limit_and_no_values() {
        let names: Vec<String> = (0..12).map(|number| format!("N{number:02}")).collect();
        let given = names.iter().map(|name| (OsStr::new(name), OsStr::new("hunter2"))).collect();
        let sentence = ProofError::missing(&given, Way::Launch, true).to_string();
        assert!(sentence.contains(": N00, N01, "), "{sentence}");
        assert!(sentence.contains("N09 and 2 more did not arrive"), "{sentence}");
        assert!(!sentence.contains("hunter2"), "{sentence}");
    }
}
