//! The command line of the launcher. Only the webhook of Bootlace writes it, so the parser is strict.
//!
//! Parsed by hand: most argument parsers require UTF-8, or would be half of this binary. lexopt does not and
//! is not, but adds 4 KB and saves no line, because it also accepts `--name value` and short flags.

mod run;
mod task_hooks;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::hook::handler::Handler;
use crate::hook::http::{Header, Request};
use crate::hook::url::Url;
use crate::invocation::{
    EnvDelivery, ExecInvocation, HookInvocation, InitInvocation, OnUnreadable, Place, PrestopInvocation,
    TaskHook, UsageError,
};
use task_hooks::HookFlags;

pub(crate) use run::{RunInvocation, Task};

pub(crate) const HELP: &str = "\
The launcher of Bootlace: loads the boot env and executes the task.

launch init --container=NAME --timeout=SECONDS [FLAGS] -- COMMAND [ARGUMENT...]
  Runs the COMMAND of a boot image, which writes its results to the directory in --out. Kills it at the timeout.
    --out=DIR              (default /bootlace-out)

launch exec --container=NAME [HOOK]... [FLAGS] -- COMMAND [ARGUMENT...]
  Loads the boot env, runs the preLaunch hooks, and executes COMMAND in the same process.

launch run --container=NAME --handover=DIR --deadline=SECONDS [OUTPUT]... [HOOK]... [FLAGS] -- COMMAND [ARGUMENT...]
  Runs COMMAND as a child process with the boot env, after the preLaunch hooks. If it exits with 0, passes its outputs
  to the sidecar, and exits with 0 when they are stored. OUTPUT is one of these; FILE is a path or a pattern, KIND is
  ConfigMap or Secret:
    --output=KEY:KIND:FILE
    --optional-output=KEY:KIND:FILE        the file can be missing
  --on-failure=store       also stores the outputs of a COMMAND that fails
  --ending=publish         tells the sidecar how COMMAND ends, and sets BOOTLACE_ABORT; OUTPUT can then be missing

launch hook --container=NAME --timeout=SECONDS [FLAGS] [HOOK]... [HANDLER]
  Verifies that the first process of the container has the boot env, runs the postLaunch hooks, then HANDLER, one of:
    --sleep=SECONDS
    --http=URL [--header=NAME:VALUE]...    an empty host, as in https://:8080/, means the pod itself
    -- COMMAND [ARGUMENT...]               with the same env as the task
  --env=launch|none|file|home|sourced
                           how the boot env is delivered (default launch); none: not at all, so it must be empty;
                           home: the hook writes it to $HOME/.env; sourced: the entrypoint of the image reads it
                           from a file at any time, which cannot be verified
  --unreadable=fail|warn   what to do if the env of the first process cannot be read (default fail)

launch prestop --container=NAME --timeout=SECONDS --grace=SECONDS [FLAGS] [HOOK]... [HANDLER]
  Runs the preKill hooks, all of them within the timeout, then HANDLER, as for hook.

HOOK is a command with its own timeout; ON-FAILURE is fail or ignore:
  --hook=NAME:SECONDS:ON-FAILURE --argument=PROGRAM [--argument=WORD]...

FLAGS
  --root=DIR               the mount path of the boot volume (default /bootlace)
  --termination-log=FILE   the terminationMessagePath of the container (default /dev/termination-log)

EXIT CODES of init: those of the command, or
  64 invalid arguments   74 directory not writable   75 timed out   126 cannot be executed   127 not found
EXIT CODES of exec and run, if the task did not start
  64 invalid arguments   69 a preLaunch hook failed   71 system call refused   78 boot env missing or damaged
  128+N signal N stopped a preLaunch hook
  126 command cannot be executed   127 command not found
EXIT CODES of run
  those of the task; 128+N if signal N killed it; 74 the task exited with 0, but its outputs are not stored
EXIT CODES of hook
  0 verified, or the task has exited   1 failed   64 invalid arguments
EXIT CODES of prestop
  0 all succeeded   1 a hook or the handler failed   64 invalid arguments
";

/// A parsed command line.
#[derive(Debug)]
pub(crate) enum Invocation {
    Init(InitInvocation),
    Exec(ExecInvocation),
    Hook(HookInvocation),
    Prestop(PrestopInvocation),
    Run(RunInvocation),
    /// `run`, after it has loaded the boot env.
    Supervise(RunInvocation),
    /// The child process of `supervise`.
    Task(Task),
    Help,
    Version,
}

/// Parses the arguments after the name of the program.
pub(crate) fn parse(mut words: impl Iterator<Item = OsString>) -> Result<Invocation, UsageError> {
    let Some(verb) = words.next() else {
        return Err(UsageError::new("the command is missing: must be init, exec, run, hook or prestop"));
    };
    match verb.as_bytes() {
        b"init" => init(words).map(Invocation::Init),
        b"exec" => exec(words).map(Invocation::Exec),
        b"hook" => hook(words).map(Invocation::Hook),
        b"prestop" => prestop(words).map(Invocation::Prestop),
        b"run" => run::run(words).map(Invocation::Run),
        b"supervise" => run::run(words).map(Invocation::Supervise),
        b"task" => run::task(words).map(Invocation::Task),
        b"--help" => Ok(Invocation::Help),
        b"--version" => Ok(Invocation::Version),
        _ => Err(UsageError::new(format!(
            "command \"{}\" is unknown: must be init, exec, run, hook or prestop",
            verb.display()
        ))),
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
            _ => return place.parse(flag, value),
        }
        Ok(true)
    })?;
    let timeout = timeout.ok_or_else(|| UsageError::new("flag --timeout is missing"))?;
    match argv {
        Some(argv) if !argv.is_empty() => Ok(InitInvocation { place: place.build()?, timeout, out, argv }),
        _ => Err(UsageError::new("init needs -- and a command")),
    }
}

fn exec(words: impl Iterator<Item = OsString>) -> Result<ExecInvocation, UsageError> {
    let mut place = PlaceFlags::default();
    let mut hooks = HookFlags::default();
    let argv = flags(words, |flag, value| Ok(hooks.parse(flag, value)? || place.parse(flag, value)?))?;
    let (argv, hooks) = (run::command("exec", argv)?, hooks.build()?);
    Ok(ExecInvocation { argv, own: 0, place: place.build()?, hooks })
}

fn hook(words: impl Iterator<Item = OsString>) -> Result<HookInvocation, UsageError> {
    let mut lifecycle = LifecycleFlags::default();
    let mut env = EnvDelivery::default();
    let mut unreadable = OnUnreadable::default();
    let argv = flags(words, |flag, value| {
        match flag {
            b"unreadable" => unreadable = OnUnreadable::parse(value)?,
            b"env" => env = EnvDelivery::parse(value)?,
            _ => return lifecycle.parse(flag, value),
        }
        Ok(true)
    })?;
    let Lifecycle { handler, timeout, hooks, place } = lifecycle.build(argv)?;
    Ok(HookInvocation { place, timeout, env, unreadable, hooks, handler })
}

fn prestop(words: impl Iterator<Item = OsString>) -> Result<PrestopInvocation, UsageError> {
    let mut lifecycle = LifecycleFlags::default();
    let mut grace = None;
    let argv = flags(words, |flag, value| {
        match flag {
            b"grace" => grace = Some(seconds("--grace", value)?),
            _ => return lifecycle.parse(flag, value),
        }
        Ok(true)
    })?;
    let Lifecycle { handler, timeout, hooks, place } = lifecycle.build(argv)?;
    let grace = grace.ok_or_else(|| UsageError::new("flag --grace is missing"))?;
    Ok(PrestopInvocation { place, timeout, grace, hooks, handler })
}

/// The flags that all lifecycle handlers of a container have.
#[derive(Default)]
struct LifecycleFlags {
    place: PlaceFlags,
    hooks: HookFlags,
    handler: HandlerFlags,
    timeout: Option<Duration>,
}

/// The values of [`LifecycleFlags`].
struct Lifecycle {
    handler: Option<Handler>,
    timeout: Duration,
    hooks: Vec<TaskHook>,
    place: Place,
}

impl LifecycleFlags {
    fn parse(&mut self, flag: &[u8], value: &OsStr) -> Result<bool, UsageError> {
        if flag == b"timeout" {
            self.timeout = Some(seconds("--timeout", value)?);
            return Ok(true);
        }
        Ok(self.handler.parse(flag, value)?
            || self.hooks.parse(flag, value)?
            || self.place.parse(flag, value)?)
    }

    /// The values. The handler can also be the command `argv`.
    fn build(self, argv: Option<Vec<OsString>>) -> Result<Lifecycle, UsageError> {
        let handler = self.handler.build(argv)?;
        let timeout = self.timeout.ok_or_else(|| UsageError::new("flag --timeout is missing"))?;
        let hooks = self.hooks.build()?;
        Ok(Lifecycle { handler, timeout, hooks, place: self.place.build()? })
    }
}

/// The flags of a handler of the pod.
#[derive(Default)]
struct HandlerFlags {
    sleep: Option<Duration>,
    http: Option<Url>,
    headers: Vec<Header>,
}

impl HandlerFlags {
    fn parse(&mut self, flag: &[u8], value: &OsStr) -> Result<bool, UsageError> {
        match flag {
            b"sleep" => self.sleep = Some(seconds("--sleep", value)?),
            b"http" => self.http = Some(url(value)?),
            b"header" => self.headers.push(header(value)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The handler, which can also be the command `argv`.
    fn build(self, argv: Option<Vec<OsString>>) -> Result<Option<Handler>, UsageError> {
        let Self { sleep, http, headers } = self;
        if !headers.is_empty() && http.is_none() {
            return Err(UsageError::new("flag --header needs --http"));
        }
        match (sleep, http, argv) {
            (None, None, None) => Ok(None),
            (Some(duration), None, None) => Ok(Some(Handler::Sleep(duration))),
            (None, Some(url), None) => Ok(Some(Handler::Http(Request { url, headers }))),
            (None, None, Some(argv)) if !argv.is_empty() => Ok(Some(Handler::Exec(argv))),
            (None, None, Some(_)) => Err(UsageError::new("-- needs a command after it")),
            _ => Err(UsageError::new("--sleep, --http and -- are mutually exclusive")),
        }
    }
}

/// Passes each `--flag=value` to `parse`, which returns false for an unknown flag. Returns the words after
/// `--`, if there is one.
fn flags(
    mut words: impl Iterator<Item = OsString>,
    mut parse: impl FnMut(&[u8], &OsStr) -> Result<bool, UsageError>,
) -> Result<Option<Vec<OsString>>, UsageError> {
    while let Some(word) = words.next() {
        if word == "--" {
            return Ok(Some(words.collect()));
        }
        let Some((flag, value)) = split_flag(&word) else {
            return Err(UsageError::new("a flag is invalid: must be --name=value"));
        };
        if !parse(flag, value)? {
            return Err(UsageError::new(format!(
                "flag --{} is unknown here",
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
    fn parse(&mut self, flag: &[u8], value: &OsStr) -> Result<bool, UsageError> {
        match flag {
            b"container" => self.container = Some(container(value)?),
            b"root" => self.root = Some(PathBuf::from(value)),
            b"termination-log" => self.termination_log = Some(PathBuf::from(value)),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn build(self) -> Result<Place, UsageError> {
        Ok(Place {
            container: self.container.ok_or_else(|| UsageError::new("flag --container is missing"))?,
            root: self.root.unwrap_or_else(|| PathBuf::from(crate::layout::MOUNT)),
            termination_log: self.termination_log.unwrap_or_else(|| PathBuf::from(crate::termination::LOG)),
        })
    }
}

/// The name of a container is a DNS label (API validation). It is used as a file name here.
fn container(name: &OsStr) -> Result<OsString, UsageError> {
    let label = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    if name.is_empty() || !name.as_bytes().iter().all(label) {
        return Err(UsageError::new("--container is invalid: must be the name of a container"));
    }
    Ok(name.to_owned())
}

fn seconds(flag: &str, value: &OsStr) -> Result<Duration, UsageError> {
    let whole = value.to_str().and_then(|text| text.parse().ok());
    let whole = whole
        .ok_or_else(|| UsageError::new(format!("{flag} is invalid: must be a whole number of seconds")))?;
    Ok(Duration::from_secs(whole))
}

fn url(value: &OsStr) -> Result<Url, UsageError> {
    Url::parse(value.as_bytes()).map_err(|error| UsageError::new(format!("--http is invalid: {error}")))
}

fn header(value: &OsStr) -> Result<Header, UsageError> {
    split_once(value.as_bytes(), b':')
        .and_then(|(name, value)| Header::new(name, value))
        .ok_or_else(|| UsageError::new("a --header is invalid: must be NAME:VALUE on one line"))
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
    fn exec_does_not_parse_words_after_the_dashes() {
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
    fn hook_accepts_one_handler_or_none() {
        assert!(hook(&[]).handler.is_none());
        assert_eq!(hook(&[]).timeout, Duration::from_secs(30));
        assert_eq!(
            (hook(&[]).env, hook(&["--env=sourced"]).env),
            (EnvDelivery::Launch, EnvDelivery::Sourced)
        );
        assert!(matches!(hook(&["--sleep=5"]).handler, Some(Handler::Sleep(d)) if d.as_secs() == 5));
        assert!(
            matches!(hook(&["--", "sh", "-c", ""]).handler, Some(Handler::Exec(argv)) if argv.len() == 3)
        );
        let http = hook(&["--http=http://:8080/up", "--header=X-A: 1", "--header=X-A:2"]).handler;
        assert!(matches!(http, Some(Handler::Http(request)) if request.headers.len() == 2));
    }

    #[test]
    fn hook_accepts_hooks_of_the_profile() {
        let hook = hook(&["--env=file", "--unreadable=warn", "--hook=a:5:fail", "--argument=x"]);
        assert_eq!(hook.hooks.len(), 1);
        assert_eq!((hook.env, hook.unreadable), (EnvDelivery::File, OnUnreadable::Warn));
    }

    #[test]
    fn prestop_has_the_same_hooks_and_handlers() {
        let args = ["prestop", "--container=base", "--timeout=5", "--grace=30", "--hook=a:5:ignore"];
        let more = ["--argument=x", "--", "sh", "-c", ""];
        let Ok(Invocation::Prestop(prestop)) = parse_strs(&[&args[..], &more].concat()) else {
            panic!("not prestop");
        };
        assert_eq!((prestop.timeout.as_secs(), prestop.grace.as_secs()), (5, 30));
        assert!(prestop.hooks.len() == 1 && matches!(prestop.handler, Some(Handler::Exec(_))));
    }

    #[test]
    fn rejects_invalid_arguments() {
        let hook = ["hook", "--container=base", "--timeout=1"];
        for (args, message) in [
            (&[][..], "the command is missing: must be init, exec, run, hook or prestop"),
            (&["walk"], "command \"walk\" is unknown"),
            (&["init", "--container=base", "--", "sh"], "flag --timeout is missing"),
            (&["init", "--container=base", "--timeout=1", "--"], "init needs -- and a command"),
            (
                &["init", "--container=base", "--timeout=1", "--sleep=1", "--", "sh"],
                "flag --sleep is unknown",
            ),
            (&["exec", "--container=base"], "exec needs -- and a command"),
            (&["exec", "--container=base", "--"], "exec needs -- and a command"),
            (&["exec", "--", "sh"], "flag --container is missing"),
            (&["exec", "--container=../x", "--", "sh"], "must be the name of a container"),
            (&["exec", "--container=", "--", "sh"], "must be the name of a container"),
            (&["exec", "--container=base", "--timeout=1", "--", "sh"], "flag --timeout is unknown here"),
            (&["exec", "sh"], "must be --name=value"),
            (&["hook", "--container=base"], "flag --timeout is missing"),
            (&["hook", "--container=base", "--timeout=-1"], "must be a whole number of seconds"),
            (&[&hook[..], &["--sleep=1", "--", "sh"]].concat(), "mutually exclusive"),
            (&[&hook[..], &["--"]].concat(), "needs a command after it"),
            (&[&hook[..], &["--argument=x"]].concat(), "needs a --hook before it"),
            (&["prestop", "--container=base", "--timeout=1"], "flag --grace is missing"),
            (&[&hook[..], &["--env=shell"]].concat(), "--env is invalid"),
            (&[&hook[..], &["--unreadable=no"]].concat(), "--unreadable is invalid"),
            (&[&hook[..], &["--header=A:b"]].concat(), "flag --header needs --http"),
            (&[&hook[..], &["--http=ftp://a/"]].concat(), "--http is invalid"),
            (&[&hook[..], &["--http=http://a/", "--header=A: b\r\nC: d"]].concat(), "on one line"),
        ] {
            let error = parse_strs(args).unwrap_err().to_string();
            assert!(error.contains(message), "{args:?}: {error}");
        }
    }

    #[test]
    fn never_shows_a_value() {
        let error = parse_strs(&["hook", "--container=base", "--heador=Authorization: hunter2"]).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
