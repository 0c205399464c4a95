//! Verifies that the first process of the container has the boot env.
//!
//! The launcher starts a process either with the whole boot env or not at all, so one variable with a value
//! from the boot env proves the others. Checking every variable would fail valid tasks: an entrypoint can
//! extend PATH or remove a password and exec again before the hook runs.

use std::error::Error;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};
use std::{fmt, io, thread};

use crate::code::{Code, Coded};
use crate::deadline::Deadline;
use crate::env::Env;
use crate::hook::process::{Init, Proc, Process};
use crate::invocation::{EnvDelivery, OnUnreadable};
use crate::merge::Merged;

/// The time between two checks. `/proc` has no notification for an exec. Usually the first check suffices,
/// because the launcher needs less than a millisecond.
const POLL: Duration = Duration::from_millis(5);

/// How long a process other than the launcher can run without the boot env before it counts as the task: a
/// runtime may not have executed the launcher yet. For a process without the mark of the launcher, this is at
/// most half of the hook timeout.
const SETTLE: Duration = Duration::from_secs(2);

/// The maximum number of missing names in a message.
const NAMES: usize = 10;

/// The result of the verification.
#[derive(Debug)]
pub(crate) enum Proof {
    /// The first process has the boot env, or the boot env is empty.
    Verified,
    /// The first process of the container has exited, so its own result counts.
    Ended,
    /// The launcher did not start the first process: another command runs instead of the task.
    NotLaunched,
    /// The boot env cannot be verified, and the container can run nevertheless.
    Unreadable(ProofError),
}

/// The result of one check.
enum Check {
    Done(Proof),
    /// The launcher has not started the task yet.
    Starting,
    /// The process can become readable at any time.
    Unreadable(Process),
    /// The process does not have the boot env. Unlikely to change.
    Missing(Process),
    /// `/proc` cannot be read. Unlikely to change.
    NoProc(io::Error),
}

/// Checks the first process until the boot env is verified, is unlikely to be verified any more, or until the
/// deadline.
pub(crate) fn wait(
    proc: &Proc,
    merged: &Merged<'_>,
    delivery: EnvDelivery,
    unreadable: OnUnreadable,
    deadline: Deadline,
) -> Result<Proof, ProofError> {
    if merged.given.is_empty() {
        return Ok(Proof::Verified);
    }
    // Leaves time for the commands and the handler after the verification.
    let settle = SETTLE.min(deadline.limit() / 2);
    let (mut missing_since, mut unreadable_since) = (None, None);
    // Called once, because the call marks the process of the hook.
    let mut launched = None;
    let mut was_launched = |process: &Process| match delivery {
        EnvDelivery::Launch => *launched.get_or_insert_with(|| proc.was_launched(process)),
        _ => None,
    };
    loop {
        let error = match check(proc, merged) {
            Check::Done(proof) => return Ok(proof),
            Check::Starting => {
                missing_since = None;
                ProofError::NotStarted(deadline.limit())
            }
            Check::Unreadable(process) => {
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
            Check::Missing(process) => {
                let elapsed = missing_since.get_or_insert_with(Instant::now).elapsed();
                let launched = if elapsed >= settle { was_launched(&process) } else { None };
                if launched == Some(false) {
                    return Ok(Proof::NotLaunched);
                }
                let error = ProofError::missing(&merged.given, delivery, launched.is_some());
                if elapsed >= SETTLE {
                    return Err(error);
                }
                error
            }
            Check::NoProc(error) => {
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

fn check(proc: &Proc, merged: &Merged<'_>) -> Check {
    let init = match proc.container_init() {
        Ok(Init::Runs(init)) => init,
        Ok(Init::Unreadable(init)) => return Check::Unreadable(init),
        Ok(Init::Ended) => return Check::Done(Proof::Ended),
        Err(error) => return Check::NoProc(error),
    };
    match init.environ() {
        Ok(None) => Check::Done(Proof::Ended),
        Ok(Some(environ)) if has_boot_env(&environ, merged) => Check::Done(Proof::Verified),
        Ok(Some(_)) if proc.runs_this_program(&init) => Check::Starting,
        Ok(Some(_)) => Check::Missing(init),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Check::Unreadable(init),
        Err(error) => Check::NoProc(error),
    }
}

/// Whether the environment memory of a process shows that it was started with the boot env.
fn has_boot_env(environ: &[u8], merged: &Merged<'_>) -> bool {
    let text = environ.strip_suffix(b"\0").unwrap_or(environ);
    let records = || text.split(|&byte| byte == 0);
    // Programs that set their title (nginx, Postgres, Perl, anything with setproctitle) write it over this
    // memory and fill the rest with spaces or NUL, which leaves records that no env has. Then only the size
    // is left to compare: it is that of the env with which the program was started.
    if records().any(|record| split_once(record).is_none()) {
        return environ.len() >= encoded_len(merged);
    }
    let first = |name| records().filter_map(split_once).find(|(other, _)| *other == name);
    merged.given.iter().any(|(name, value)| first(name) == Some((name, value)))
}

fn encoded_len(merged: &Merged<'_>) -> usize {
    merged.iter().map(|(name, value)| name.len() + value.len() + 2).sum()
}

fn split_once(record: &[u8]) -> Option<(&OsStr, &OsStr)> {
    let (name, value) = record.split_at_checked(record.iter().position(|&byte| byte == b'=')?)?;
    Some((OsStr::from_bytes(name), OsStr::from_bytes(value.strip_prefix(b"=")?)))
}

/// The boot env is not verified. The message contains names, never values.
#[derive(Debug)]
pub(crate) enum ProofError {
    /// `launched`: whether the launcher is known to have started the process.
    Missing {
        names: Vec<String>,
        more: usize,
        delivery: EnvDelivery,
        launched: bool,
    },
    NotStarted(Duration),
    Unreadable,
    NoProc(io::Error),
}

impl ProofError {
    fn missing(given: &Env<'_>, delivery: EnvDelivery, launched: bool) -> Self {
        let names: Vec<_> = given.iter().take(NAMES).map(|(name, _)| name.display().to_string()).collect();
        Self::Missing { more: given.iter().len() - names.len(), names, delivery, launched }
    }
}

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { names, more, delivery, launched } => {
                write!(f, "its first process does not have the boot env (missing: {}", names.join(", "))?;
                if *more > 0 {
                    write!(f, " and {more} more")?;
                }
                f.write_str("): ")?;
                f.write_str(match delivery {
                    EnvDelivery::Launch if !launched => {
                        "it removed them, or was not started by the launcher: use a command that keeps the env (`env -i`, `su -` \
                         and `sudo` do not)"
                    }
                    EnvDelivery::Launch | EnvDelivery::Home | EnvDelivery::Sourced => {
                        "it was started with them and removed them: use a command that keeps the env (`env -i`, `su -` and `sudo` \
                         do not, and a shell removes variables whose names contain characters other than letters, digits \
                         and `_`)"
                    }
                    EnvDelivery::None => {
                        "add `command` to the container, so that the launcher can start it"
                    }
                    EnvDelivery::File => {
                        "the kubelet supports env files since 1.35: upgrade the node, or set another env.mode in the BootProfile"
                    }
                })
            }
            Self::NotStarted(limit) => write!(
                f,
                "the launcher did not start the task within the hook timeout of {} s: increase the CPU of the container, or \
                 hook.timeoutSeconds of the BootProfile",
                limit.as_secs()
            ),
            Self::Unreadable => f.write_str(
                "failed to verify the boot env: the env of its first process cannot be read, because the process runs as \
                 another user than the container or is not dumpable: set the user with securityContext.runAsUser instead \
                 of switching it inside the container",
            ),
            Self::NoProc(error) => write!(
                f,
                "failed to verify the boot env: failed to read /proc: {error}"
            ),
        }
    }
}

impl Error for ProofError {}

impl Coded for ProofError {
    fn code(&self) -> Code {
        match self {
            Self::Missing { .. } => Code::TaskEnvMissing,
            Self::NotStarted(_) => Code::TaskStartTimeout,
            Self::Unreadable | Self::NoProc(_) => Code::ProcessEnvUnreadable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(own: &'static [(&str, &str)], given: &'static [(&str, &str)]) -> Merged<'static> {
        let env_of = |pairs: &'static [(&str, &str)]| -> Env<'static> {
            pairs.iter().map(|(name, value)| (OsStr::new(*name), OsStr::new(*value))).collect()
        };
        Merged::new(env_of(own), env_of(given))
    }

    #[test]
    fn one_variable_of_the_boot_env_proves_the_others() {
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
            assert_eq!(has_boot_env(environ, &merged), proven, "{case}");
        }
    }

    #[test]
    fn overwritten_memory_is_compared_by_size() {
        // `POD=x\0A=1\0` is 10 bytes.
        let merged = merged(&[("POD", "x")], &[("A", "1")]);
        assert!(has_boot_env(b"\0\0\0\0\0\0\0\0\0\0", &merged));
        assert!(has_boot_env(b"title\0\0\0\0\0", &merged));
        assert!(has_boot_env(b"         \0", &merged));
        assert!(!has_boot_env(b"\0\0\0\0\0\0", &merged), "the size of POD=x alone");
    }

    #[test]
    fn lists_names_up_to_a_limit_and_no_values() {
        let names: Vec<String> = (0..12).map(|number| format!("N{number:02}")).collect();
        let given = names.iter().map(|name| (OsStr::new(name), OsStr::new("hunter2"))).collect();
        let message = ProofError::missing(&given, EnvDelivery::Launch, true).to_string();
        assert!(message.contains(": N00, N01, "), "{message}");
        assert!(message.contains("N09 and 2 more)"), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}
