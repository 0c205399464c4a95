//! The flags of hooks of the BootProfile: `--hook=NAME:SECONDS:ON-FAILURE`, followed by an `--argument` for
//! each word of its command.

use std::ffi::OsStr;

use super::seconds;
use crate::invocation::{OnFailure, TaskHook, UsageError};

#[derive(Default)]
pub(super) struct HookFlags(Vec<TaskHook>);

impl HookFlags {
    pub(super) fn parse(&mut self, flag: &[u8], value: &OsStr) -> Result<bool, UsageError> {
        match flag {
            b"hook" => self.0.push(hook(value)?),
            b"argument" => match self.0.last_mut() {
                Some(hook) => hook.argv.push(value.to_owned()),
                None => return Err(UsageError::new("flag --argument needs a --hook before it")),
            },
            _ => return Ok(false),
        }
        Ok(true)
    }

    pub(super) fn build(self) -> Result<Vec<TaskHook>, UsageError> {
        if self.0.iter().any(|hook| hook.argv.is_empty()) {
            return Err(UsageError::new("a --hook needs an --argument after it"));
        }
        Ok(self.0)
    }
}

fn hook(value: &OsStr) -> Result<TaskHook, UsageError> {
    let invalid = || UsageError::new("a --hook is invalid: must be NAME:SECONDS:ON-FAILURE");
    let mut parts = value.to_str().ok_or_else(invalid)?.split(':');
    let (Some(name), Some(limit), Some(on_failure), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(invalid());
    };
    let on_failure = match on_failure {
        "fail" => OnFailure::Fail,
        "ignore" => OnFailure::Ignore,
        _ => return Err(invalid()),
    };
    let timeout = seconds("--hook", OsStr::new(limit))?;
    Ok(TaskHook { name: name.to_owned(), timeout, on_failure, argv: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(flags: &[(&[u8], &str)]) -> Result<Vec<TaskHook>, UsageError> {
        let mut hooks = HookFlags::default();
        for (flag, value) in flags {
            assert!(hooks.parse(flag, OsStr::new(value))?);
        }
        hooks.build()
    }

    #[test]
    fn hooks_keep_their_order_and_their_words() {
        let hooks = parse(&[
            (b"hook", "a:5:fail"),
            (b"argument", "sh"),
            (b"argument", "--hook=x"),
            (b"argument", ""),
            (b"hook", "b:60:ignore"),
            (b"argument", "true"),
        ])
        .unwrap();
        assert_eq!((hooks[0].name.as_str(), hooks[0].timeout.as_secs()), ("a", 5));
        assert_eq!(hooks[0].argv, ["sh", "--hook=x", ""]);
        assert_eq!((hooks[1].on_failure, hooks[1].argv.len()), (OnFailure::Ignore, 1));
    }

    #[test]
    fn incomplete_hooks_are_rejected() {
        for flags in [
            &[(&b"argument"[..], "x")][..],
            &[(b"hook", "a:5:fail")],
            &[(b"hook", "a:5")],
            &[(b"hook", "a:5:fail:x")],
            &[(b"hook", "a:soon:fail")],
            &[(b"hook", "a:5:never")],
        ] {
            parse(flags).unwrap_err();
        }
    }
}
