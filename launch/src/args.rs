//! The launcher's command line. It is written by Bootlace's webhook and read by nobody else, so it is strict.
//!
//! Written by hand, because an argument parser would be half of this binary and most of them want UTF-8.

mod run;

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::hook::handler::Handler;
use crate::hook::http::{Header, Request};
use crate::hook::url::Url;
use crate::hook::{OnUnreadable, Way};

pub(crate) use run::{RunInvocation, Task};

pub(crate) const HELP: &str = "\
Bootlace's launcher: loads the boot env and execs the task.

launch init --container=NAME --timeout=SECONDS [FLAGS] -- COMMAND [ARGUMENT...]
  Runs a boot image's COMMAND, and ends it at the time. It leaves what it gives in the folder of --out.
    --out=DIR              (default /bootlace-out)

launch exec --container=NAME [FLAGS] -- COMMAND [ARGUMENT...]
  Loads the boot env and execs COMMAND in this same process.

launch run --container=NAME --handover=DIR --deadline=SECONDS OUTPUT... [FLAGS] -- COMMAND [ARGUMENT...]
  Runs COMMAND as a child with the boot env. Where it ends with 0, hands its outputs over and ends with 0 itself
  once they are stored. An OUTPUT is one of these; FILE is a path or a pattern, KIND is ConfigMap or Secret:
    --output=KEY:KIND:FILE
    --optional-output=KEY:KIND:FILE        may be missing
  --on-failure=store hands the outputs of a COMMAND over that failed, too.

launch hook --container=NAME --timeout=SECONDS [FLAGS] [--command=PROGRAM [--argument=WORD]...]...
    [HANDLER]
  Proves that the container's first process holds the boot env, runs each --command, then HANDLER, which is one of:
    --sleep=SECONDS
    --http=URL [--header=NAME:VALUE]...    an empty host, as in https://:8080/, means the pod itself
    -- COMMAND [ARGUMENT...]               with the same env as the task
  --env=launch|none|file|home|sourced
                           how the boot env gets there (default launch); none: it does not, so there must be none;
                           home: the hook writes it to $HOME/.env; sourced: the image's entrypoint reads it from a
                           file whenever it likes, which cannot be proven
  --unreadable=fail|warn   what to do where the first process may not be read (default fail)

FLAGS
  --root=DIR               where the boot volume is mounted (default /bootlace)
  --termination-log=FILE   the container's terminationMessagePath (default /dev/termination-log)

EXIT CODES of init, where they are not the command's own
  64 wrong arguments   74 folder cannot be written   75 not ended in time   126 cannot be run   127 not found
EXIT CODES of exec and run, where the task did not start
  64 wrong arguments   71 refused by the kernel   78 boot env missing or damaged
  126 command cannot be run   127 command not found
EXIT CODES of run
  the task's own; 128+N where signal N ended it; 74 the task ended with 0, but its outputs are not stored
EXIT CODES of hook
  0 proven, or the task has ended   1 failed   64 wrong arguments
";

/// What the launcher was asked to do.
#[derive(Debug)]
pub(crate) enum Invocation {
    Init(InitInvocation),
    Exec(ExecInvocation),
    Hook(HookInvocation),
    Run(RunInvocation),
    /// `run`, once it holds the boot env.
    Supervise(RunInvocation),
    /// The child of `supervise`.
    Task(Task),
    Help,
    Version,
}

/// Run a boot image's command within a time.
#[derive(Debug)]
pub(crate) struct InitInvocation {
    pub(crate) place: Place,
    pub(crate) timeout: Duration,
    /// Where the command leaves what it gives.
    pub(crate) out: PathBuf,
    /// Never empty.
    pub(crate) argv: Vec<OsString>,
}

/// Load the boot env and exec a command.
#[derive(Debug)]
pub(crate) struct ExecInvocation {
    pub(crate) place: Place,
    /// Never empty.
    pub(crate) argv: Vec<OsString>,
    /// How many words of it, at its start, are the launcher's and not the task's.
    pub(crate) own: usize,
}

/// Prove that the boot env arrived, then run the pod's own postStart handler.
#[derive(Debug)]
pub(crate) struct HookInvocation {
    pub(crate) place: Place,
    /// For the proof, the commands and the handler together.
    pub(crate) timeout: Duration,
    pub(crate) env: Way,
    pub(crate) unreadable: OnUnreadable,
    /// Commands with their arguments, none empty.
    pub(crate) commands: Vec<Vec<OsString>>,
    pub(crate) handler: Option<Handler>,
}

/// The container that the launcher runs in.
#[derive(Debug, PartialEq)]
pub(crate) struct Place {
    pub(crate) container: OsString,
    /// Where the boot volume is mounted.
    pub(crate) root: PathBuf,
    /// The container's `terminationMessagePath`.
    pub(crate) termination_log: PathBuf,
}

/// What is wrong with the arguments. It names flags, never their values: a header may be a secret.
#[derive(Debug)]
pub(crate) struct UsageError(String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; see `launch --help`", self.0)
    }
}

impl Error for UsageError {}

impl UsageError {
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

/// Reads the arguments that follow the program's name.
pub(crate) fn parse(mut words: impl Iterator<Item = OsString>) -> Result<Invocation, UsageError> {
    let Some(verb) = words.next() else {
        return Err(UsageError::new("`init`, `exec`, `run` or `hook` is missing"));
    };
    match verb.as_bytes() {
        b"init" => init(words).map(Invocation::Init),
        b"exec" => exec(words).map(Invocation::Exec),
        b"hook" => hook(words).map(Invocation::Hook),
        b"run" => run::run(words).map(Invocation::Run),
        b"supervise" => run::run(words).map(Invocation::Supervise),
        b"task" => run::task(words).map(Invocation::Task),
        b"--help" => Ok(Invocation::Help),
        b"--version" => Ok(Invocation::Version),
        _ => Err(UsageError::new(format!("{} is none of `init`, `exec`, `run` and `hook`", verb.display()))),
    }
}

fn init(words: impl Iterator<Item = OsString>) -> Result<InitInvocation, UsageError> {
    let mut place = PlaceFlags::default();
    let mut timeout = None;
    let mut out = PathBuf::from(crate::layout::MOUNT_OUT);
    let argv = flags(words, |flag, value| {
        match flag {
            b"timeout" => timeout = Some(seconds("--timeout", value)?),
            b"out" => out = PathBuf::from(value),
            _ => return place.take(flag, value),
        }
        Ok(true)
    })?;
    let timeout = timeout.ok_or_else(|| UsageError::new("`--timeout=SECONDS` is missing"))?;
    match argv {
        Some(argv) if !argv.is_empty() => Ok(InitInvocation { place: place.finish()?, timeout, out, argv }),
        _ => Err(UsageError::new("`init` needs `--` and the image's command")),
    }
}

fn exec(words: impl Iterator<Item = OsString>) -> Result<ExecInvocation, UsageError> {
    let mut place = PlaceFlags::default();
    let argv = flags(words, |flag, value| place.take(flag, value))?;
    Ok(ExecInvocation { argv: run::command("exec", argv)?, own: 0, place: place.finish()? })
}

fn hook(words: impl Iterator<Item = OsString>) -> Result<HookInvocation, UsageError> {
    let mut place = PlaceFlags::default();
    let mut timeout = None;
    let mut env = Way::default();
    let mut sleep = None;
    let mut http = None;
    let mut headers = Vec::new();
    let mut unreadable = OnUnreadable::default();
    let mut commands: Vec<Vec<OsString>> = Vec::new();
    let argv = flags(words, |flag, value| {
        match flag {
            b"unreadable" => unreadable = OnUnreadable::parse(value)?,
            b"command" => commands.push(vec![value.to_owned()]),
            b"argument" => match commands.last_mut() {
                Some(command) => command.push(value.to_owned()),
                None => return Err(UsageError::new("`--argument` needs a `--command` before it")),
            },
            b"timeout" => timeout = Some(seconds("--timeout", value)?),
            b"env" => env = Way::parse(value)?,
            b"sleep" => sleep = Some(seconds("--sleep", value)?),
            b"http" => http = Some(url(value)?),
            b"header" => headers.push(header(value)?),
            _ => return place.take(flag, value),
        }
        Ok(true)
    })?;

    if !headers.is_empty() && http.is_none() {
        return Err(UsageError::new("`--header` needs `--http`"));
    }
    let handler = match (sleep, http, argv) {
        (None, None, None) => None,
        (Some(duration), None, None) => Some(Handler::Sleep(duration)),
        (None, Some(url), None) => Some(Handler::Http(Request { url, headers })),
        (None, None, Some(argv)) if !argv.is_empty() => Some(Handler::Exec(argv)),
        (None, None, Some(_)) => return Err(UsageError::new("`--` needs the handler's command after it")),
        _ => return Err(UsageError::new("`--sleep`, `--http` and `--` exclude each other")),
    };
    let timeout = timeout.ok_or_else(|| UsageError::new("`--timeout=SECONDS` is missing"))?;
    Ok(HookInvocation { place: place.finish()?, timeout, env, unreadable, commands, handler })
}

/// Hands each `--flag=value` to `take`, which says whether it knows the flag. Gives what follows `--`, where
/// there is one.
fn flags(
    mut words: impl Iterator<Item = OsString>,
    mut take: impl FnMut(&[u8], &OsStr) -> Result<bool, UsageError>,
) -> Result<Option<Vec<OsString>>, UsageError> {
    while let Some(word) = words.next() {
        if word == "--" {
            return Ok(Some(words.collect()));
        }
        let Some((flag, value)) = split_flag(&word) else {
            return Err(UsageError::new("a flag is not of the form `--name=value`"));
        };
        if !take(flag, value)? {
            return Err(UsageError::new(format!(
                "`--{}` is not known here",
                OsStr::from_bytes(flag).display()
            )));
        }
    }
    Ok(None)
}

fn split_flag(word: &OsStr) -> Option<(&[u8], &OsStr)> {
    let flag = word.as_bytes().strip_prefix(b"--")?;
    let (name, value) = split_once(flag, b'=')?;
    Some((name, OsStr::from_bytes(value)))
}

#[derive(Default)]
struct PlaceFlags {
    container: Option<OsString>,
    root: Option<PathBuf>,
    termination_log: Option<PathBuf>,
}

impl PlaceFlags {
    fn take(&mut self, flag: &[u8], value: &OsStr) -> Result<bool, UsageError> {
        match flag {
            b"container" => self.container = Some(container(value)?),
            b"root" => self.root = Some(PathBuf::from(value)),
            b"termination-log" => self.termination_log = Some(PathBuf::from(value)),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn finish(self) -> Result<Place, UsageError> {
        Ok(Place {
            container: self.container.ok_or_else(|| UsageError::new("`--container=NAME` is missing"))?,
            root: self.root.unwrap_or_else(|| PathBuf::from(crate::layout::MOUNT)),
            termination_log: self.termination_log.unwrap_or_else(|| PathBuf::from(crate::termination::LOG)),
        })
    }
}

/// A container's name is a DNS label (API validation), and it becomes a file's name here.
fn container(name: &OsStr) -> Result<OsString, UsageError> {
    let label = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    if name.is_empty() || !name.as_bytes().iter().all(label) {
        return Err(UsageError::new("`--container` is not the name of a container"));
    }
    Ok(name.to_owned())
}

fn seconds(flag: &str, value: &OsStr) -> Result<Duration, UsageError> {
    let whole = value.to_str().and_then(|text| text.parse().ok());
    let whole = whole.ok_or_else(|| UsageError::new(format!("`{flag}` is not a whole number of seconds")))?;
    Ok(Duration::from_secs(whole))
}

fn url(value: &OsStr) -> Result<Url, UsageError> {
    Url::parse(value.as_bytes()).map_err(|error| UsageError::new(format!("`--http`: {error}")))
}

fn header(value: &OsStr) -> Result<Header, UsageError> {
    split_once(value.as_bytes(), b':')
        .and_then(|(name, value)| Header::new(name, value))
        .ok_or_else(|| UsageError::new("a `--header` is not `NAME:VALUE` on one line"))
}

fn split_once(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|&byte| byte == separator)?;
    let (before, after) = bytes.split_at_checked(at)?;
    Some((before, after.get(1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_strs(args: &[&str]) -> Result<Invocation, UsageError> {
        parse(args.iter().map(OsString::from))
    }

    fn hook(args: &[&str]) -> HookInvocation {
        match parse_strs(&[&["hook", "--container=base", "--timeout=30"], args].concat()) {
            Ok(Invocation::Hook(hook)) => hook,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn exec_leaves_what_follows_the_dashes_alone() {
        let argv = ["sh", "", "--", "--container=other", "a\n\"b\""];
        let Ok(Invocation::Exec(exec)) =
            parse_strs(&[&["exec", "--container=base", "--"], &argv[..]].concat())
        else {
            panic!("not exec");
        };
        assert_eq!(exec.argv, argv);
        assert_eq!(
            exec.place,
            Place {
                container: "base".into(),
                root: "/bootlace".into(),
                termination_log: "/dev/termination-log".into()
            }
        );
    }

    #[test]
    fn hook_takes_one_handler_or_none() {
        assert!(hook(&[]).handler.is_none());
        assert_eq!(hook(&[]).timeout, Duration::from_secs(30));
        assert_eq!((hook(&[]).env, hook(&["--env=sourced"]).env), (Way::Launch, Way::Sourced));
        assert!(matches!(hook(&["--sleep=5"]).handler, Some(Handler::Sleep(d)) if d.as_secs() == 5));
        assert!(
            matches!(hook(&["--", "sh", "-c", ""]).handler, Some(Handler::Exec(argv)) if argv.len() == 3)
        );
        let http = hook(&["--http=http://:8080/up", "--header=X-A: 1", "--header=X-A:2"]).handler;
        assert!(matches!(http, Some(Handler::Http(request)) if request.headers.len() == 2));
    }

    #[test]
    fn hook_takes_commands_of_the_profiles_own() {
        let hook = hook(&[
            "--env=file",
            "--unreadable=warn",
            "--command=a",
            "--argument=--command=x",
            "--argument=",
            "--command=b",
        ]);
        assert_eq!(hook.commands, [vec!["a", "--command=x", ""], vec!["b"]]);
        assert_eq!((hook.env, hook.unreadable), (Way::File, OnUnreadable::Warn));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        let hook = ["hook", "--container=base", "--timeout=1"];
        for (args, sentence) in [
            (&[][..], "`init`, `exec`, `run` or `hook` is missing"),
            (&["walk"], "walk is none of"),
            (&["init", "--container=base", "--", "sh"], "`--timeout=SECONDS` is missing"),
            (&["init", "--container=base", "--timeout=1", "--"], "needs `--` and the image's command"),
            (&["init", "--container=base", "--timeout=1", "--sleep=1", "--", "sh"], "`--sleep` is not known"),
            (&["exec", "--container=base"], "needs `--` and the task's command"),
            (&["exec", "--container=base", "--"], "needs `--` and the task's command"),
            (&["exec", "--", "sh"], "`--container=NAME` is missing"),
            (&["exec", "--container=../x", "--", "sh"], "not the name of a container"),
            (&["exec", "--container=", "--", "sh"], "not the name of a container"),
            (&["exec", "--container=base", "--timeout=1", "--", "sh"], "`--timeout` is not known here"),
            (&["exec", "sh"], "not of the form"),
            (&["hook", "--container=base"], "`--timeout=SECONDS` is missing"),
            (&["hook", "--container=base", "--timeout=-1"], "not a whole number of seconds"),
            (&[&hook[..], &["--sleep=1", "--", "sh"]].concat(), "exclude each other"),
            (&[&hook[..], &["--"]].concat(), "needs the handler's command"),
            (&[&hook[..], &["--argument=x"]].concat(), "needs a `--command` before it"),
            (&[&hook[..], &["--env=shell"]].concat(), "`--env` is not one of"),
            (&[&hook[..], &["--unreadable=no"]].concat(), "`--unreadable` is neither"),
            (&[&hook[..], &["--header=A:b"]].concat(), "`--header` needs `--http`"),
            (&[&hook[..], &["--http=ftp://a/"]].concat(), "`--http`"),
            (&[&hook[..], &["--http=http://a/", "--header=A: b\r\nC: d"]].concat(), "on one line"),
        ] {
            let error = parse_strs(args).unwrap_err().to_string();
            assert!(error.contains(sentence), "{args:?}: {error}");
        }
    }

    #[test]
    fn never_repeats_a_value() {
        let error = parse_strs(&["hook", "--container=base", "--heador=Authorization: hunter2"]).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
