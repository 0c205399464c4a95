//! The arguments of `run`, and of the two commands that it executes.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::handover::{Kind, MAX_OUTPUTS, is_data_key};

use super::task_hooks::HookFlags;
use super::{PlaceFlags, flags, seconds, split_once};
use crate::invocation::{Place, TaskHook, UsageError};
use crate::outputs::Declared;

/// Run the task as a child process and pass its outputs to the sidecar.
#[derive(Debug)]
pub(crate) struct RunInvocation {
    pub(crate) place: Place,
    /// The directory shared with the sidecar, in the format of `crate::handover`.
    pub(crate) handover: PathBuf,
    /// From the exit of the task until its outputs are stored.
    pub(crate) deadline: Duration,
    /// Whether the outputs of a task that fails are stored too.
    pub(crate) on_failure: bool,
    /// Whether the launcher reports to the sidecar how the task ends.
    pub(crate) publishes_ending: bool,
    /// Not empty, unless [`Self::publishes_ending`] is set.
    pub(crate) outputs: Vec<Declared>,
    /// The `preLaunch` hooks.
    pub(crate) hooks: Vec<TaskHook>,
    /// Never empty.
    pub(crate) argv: Vec<OsString>,
}

/// Execute the task, in the child process that `supervise` created.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) place: Place,
    /// The PID of `supervise`.
    pub(crate) parent: i32,
    /// Never empty.
    pub(crate) argv: Vec<OsString>,
}

pub(super) fn run(words: impl Iterator<Item = OsString>) -> Result<RunInvocation, UsageError> {
    let mut place = PlaceFlags::default();
    let mut handover = None;
    let mut deadline = None;
    let (mut on_failure, mut publishes_ending) = (false, false);
    let mut outputs: Vec<Declared> = Vec::new();
    let mut hooks = HookFlags::default();
    let argv = flags(words, |flag, value| {
        match flag {
            b"handover" => handover = Some(PathBuf::from(value)),
            b"deadline" => deadline = Some(seconds("--deadline", value)?),
            b"on-failure" if value == "store" => on_failure = true,
            b"on-failure" => return Err(UsageError::new("--on-failure is invalid: must be store")),
            b"ending" if value == "publish" => publishes_ending = true,
            b"ending" => return Err(UsageError::new("--ending is invalid: must be publish")),
            b"output" => outputs.push(output("--output", value, false)?),
            b"optional-output" => outputs.push(output("--optional-output", value, true)?),
            _ => return Ok(hooks.parse(flag, value)? || place.parse(flag, value)?),
        }
        Ok(true)
    })?;

    if outputs.is_empty() && !publishes_ending {
        return Err(UsageError::new("run needs an --output or --ending: use exec for a task without both"));
    }
    if outputs.len() > MAX_OUTPUTS {
        return Err(UsageError::new(format!("more than {MAX_OUTPUTS} outputs are declared")));
    }
    for (at, output) in outputs.iter().enumerate() {
        if outputs.iter().take(at).any(|other| other.key == output.key) {
            return Err(UsageError::new(format!("output \"{}\" is declared twice", output.key)));
        }
    }
    Ok(RunInvocation {
        place: place.build()?,
        handover: handover.ok_or_else(|| UsageError::new("flag --handover is missing"))?,
        deadline: deadline.ok_or_else(|| UsageError::new("flag --deadline is missing"))?,
        on_failure,
        publishes_ending,
        outputs,
        hooks: hooks.build()?,
        argv: command("run", argv)?,
    })
}

pub(super) fn task(words: impl Iterator<Item = OsString>) -> Result<Task, UsageError> {
    let mut place = PlaceFlags::default();
    let mut parent = None;
    let argv = flags(words, |flag, value| {
        match flag {
            b"parent" => parent = value.to_str().and_then(|text| text.parse().ok()),
            _ => return place.parse(flag, value),
        }
        Ok(true)
    })?;
    let parent = parent.ok_or_else(|| UsageError::new("flag --parent is missing"))?;
    Ok(Task { place: place.build()?, parent, argv: command("task", argv)? })
}

pub(super) fn command(verb: &str, argv: Option<Vec<OsString>>) -> Result<Vec<OsString>, UsageError> {
    argv.filter(|argv| !argv.is_empty())
        .ok_or_else(|| UsageError::new(format!("{verb} needs -- and a command")))
}

/// Parses `KEY:KIND:FILE`. Only the file name can contain a colon.
fn output(flag: &str, value: &OsStr, optional: bool) -> Result<Declared, UsageError> {
    let declared = || {
        let (key, rest) = split_once(value.as_bytes(), b':')?;
        let (kind, file) = split_once(rest, b':')?;
        let key = str::from_utf8(key).ok().filter(|key| is_data_key(key))?.to_owned();
        let kind = Kind::parse(str::from_utf8(kind).ok()?)?;
        let file = Some(OsStr::from_bytes(file).to_owned()).filter(|file| !file.is_empty())?;
        Some(Declared { key, kind, file, optional })
    };
    declared().ok_or_else(|| {
        UsageError::new(format!("{flag} is invalid: must be KEY:ConfigMap:FILE or KEY:Secret:FILE"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<RunInvocation, UsageError> {
        let words =
            ["--container=base", "--handover=/run", "--deadline=60"].into_iter().chain(args.iter().copied());
        run(words.map(OsString::from))
    }

    #[test]
    fn an_output_is_a_key_a_kind_and_a_file() {
        let run =
            parse(&["--output=A.b:Secret:/out/a:b c", "--optional-output=B:ConfigMap:*.txt", "--", "x"])
                .unwrap();
        let declared = |key: &str, kind, file: &str, optional| Declared {
            key: key.to_owned(),
            kind,
            file: file.into(),
            optional,
        };
        assert_eq!(
            run.outputs,
            [
                declared("A.b", Kind::Secret, "/out/a:b c", false),
                declared("B", Kind::ConfigMap, "*.txt", true)
            ]
        );
        assert!(!run.on_failure);
        assert!(parse(&["--on-failure=store", "--output=A:Secret:a", "--", "x"]).unwrap().on_failure);
    }

    #[test]
    fn rejects_invalid_arguments() {
        let output = "--output=A:Secret:a";
        for (args, message) in [
            (&["--", "x"][..], "run needs an --output"),
            (&[output], "run needs -- and a command"),
            (&[output, "--"], "run needs -- and a command"),
            (&[output, output, "--", "x"], "output \"A\" is declared twice"),
            (&["--output=A:Secret:", "--", "x"], "--output is invalid: must be KEY:ConfigMap:FILE"),
            (&["--output=A:Secret", "--", "x"], "--output is invalid: must be KEY:ConfigMap:FILE"),
            (&["--output=A:Pod:a", "--", "x"], "--output is invalid: must be KEY:ConfigMap:FILE"),
            (
                &["--optional-output=A/b:Secret:a", "--", "x"],
                "--optional-output is invalid: must be KEY:ConfigMap:FILE",
            ),
            (&[output, "--on-failure=x", "--", "x"], "--on-failure is invalid: must be store"),
            (&[output, "--timeout=1", "--", "x"], "flag --timeout is unknown here"),
        ] {
            let error = parse(args).unwrap_err().to_string();
            assert!(error.contains(message), "{args:?}: {error}");
        }
        let many: Vec<_> = (0..=MAX_OUTPUTS).map(|number| format!("--output=K{number}:Secret:a")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).chain(["--", "x"]).collect();
        assert!(parse(&many).unwrap_err().to_string().contains("more than 100 outputs are declared"));
    }
}
