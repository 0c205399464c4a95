//! The codes at the end of the launcher's messages: `BL7101` leads to the section of that name in
//! docs/troubleshooting.md.
//!
//! `bootlace_core::code` adds the codes of the other programs to these. The launcher does not use that
//! package, which would multiply its size.

use std::borrow::Cow;
use std::fmt;

/// Defines the type `Code` from doc comments, names and codes, in the order of the codes.
#[macro_export]
macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal,)+) => {
        /// The code of a message.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Code {
            /// All codes, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The code as messages show it, such as `BL1203`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)+
                }
            }

            /// The meaning of the code: the title of its section in the docs.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+).trim_ascii_start(),)+
                }
            }
        }

        impl std::fmt::Display for Code {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

/// Calls [`codes!`] with other codes, if there are any, and those of the launcher.
#[macro_export]
macro_rules! codes_with_launcher {
    ($($others:tt)*) => {
        $crate::codes! {
            $($others)*
            // The arguments (70xx), the boot env (71xx), the start of a command (72xx), the verification of
            // the boot env (73xx), hooks (74xx), outputs (75xx), boot images (76xx).
            /// The arguments of the launcher are invalid.
            LauncherArgumentsInvalid = "BL7001",
            /// The boot env cannot be read.
            TaskEnvUnreadable = "BL7101",
            /// The boot env is damaged.
            TaskEnvDamaged = "BL7102",
            /// The command of the task was not found.
            TaskCommandNotFound = "BL7201",
            /// The interpreter of the command was not found.
            TaskInterpreterNotFound = "BL7202",
            /// The command cannot be executed.
            TaskCommandNotExecutable = "BL7203",
            /// The command is not a program for this node.
            TaskCommandFormat = "BL7204",
            /// The arguments and the env of the command are too large.
            TaskArgumentsTooLarge = "BL7205",
            /// The kernel refused a system call that the launcher needs.
            LauncherSystemCall = "BL7206",
            /// The task process does not have the boot env.
            TaskEnvMissing = "BL7301",
            /// The task did not start before the hook timed out.
            TaskStartTimeout = "BL7302",
            /// The env of the task process cannot be read.
            ProcessEnvUnreadable = "BL7303",
            /// The container runs another command than the task.
            TaskReplaced = "BL7304",
            /// The boot env cannot be written to the home directory.
            HomeNotWritable = "BL7305",
            /// A postLaunch hook of the BootProfile failed.
            PostLaunchHookFailed = "BL7401",
            /// The postStart handler of the pod failed.
            PostStartFailed = "BL7402",
            /// A preLaunch hook of the BootProfile failed.
            PreLaunchHookFailed = "BL7403",
            /// A preKill hook of the BootProfile failed.
            PreKillHookFailed = "BL7404",
            /// The preStop handler of the pod failed.
            PreStopFailed = "BL7405",
            /// A hook was stopped, because the container was stopped.
            TaskHookStopped = "BL7406",
            /// The outputs cannot be passed to the sidecar.
            TaskHandoverFailed = "BL7501",
            /// The task did not write an output.
            TaskOutputMissing = "BL7502",
            /// An output is not a regular file.
            TaskOutputNotRegular = "BL7503",
            /// An output cannot be read.
            TaskOutputUnreadable = "BL7504",
            /// The outputs are too large.
            TaskOutputsTooLarge = "BL7505",
            /// A file name or pattern of an output is invalid.
            TaskOutputNameInvalid = "BL7506",
            /// Storing the outputs timed out.
            TaskOutputsTimeout = "BL7507",
            /// The sidecar did not store the outputs.
            TaskOutputsNotStored = "BL7508",
            /// The output directory of the boot image cannot be written.
            BootImageDirectory = "BL7601",
            /// The command of the boot image cannot be started.
            BootImageNotStarted = "BL7602",
            /// The boot image timed out.
            BootImageTimeout = "BL7603",
            /// The boot image failed.
            BootImageFailed = "BL7604",
                }
    };
}

codes_with_launcher! {}

/// Shows that a message was truncated.
const ELLIPSIS: &str = "…";

/// Shortens a message to `max_bytes`. It then ends with `…` and its code, such as ` [BL7101]`, if it has one.
#[must_use]
pub fn truncate(message: &str, max_bytes: usize) -> Cow<'_, str> {
    if message.len() <= max_bytes {
        return Cow::Borrowed(message);
    }
    let code = at_end(message).filter(|code| code.len() <= max_bytes).unwrap_or_default();
    let room = max_bytes - code.len();
    let ellipsis = if room > ELLIPSIS.len() { ELLIPSIS } else { "" };
    let end = message.floor_char_boundary(room - ellipsis.len());
    let start = message.get(..end).unwrap_or_default().trim_end();
    Cow::Owned([start, ellipsis, code].concat())
}

/// The code at the end of a message, of this version or another, with the space before it and a newline after
/// it.
pub(crate) fn at_end(message: &str) -> Option<&str> {
    let bracket = message.bytes().rposition(|byte| byte == b'[')?;
    let code = message.get(bracket.checked_sub(1)?..)?;
    let digits = code.strip_suffix('\n').unwrap_or(code).strip_prefix(" [BL")?.strip_suffix(']')?;
    (digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(code)
}

/// An error with a code.
pub(crate) trait Coded: fmt::Display {
    /// The code of the message.
    fn code(&self) -> Code;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncated_message_keeps_its_code() {
        for (message, max, truncated) in [
            ("short [BL7101]\n", 15, "short [BL7101]\n"),
            ("too long [BL7101]\n", 15, "to… [BL7101]\n"),
            ("some text [BL9999]", 17, "some… [BL9999]"),
            ("ééé [BL7101]", 14, "é… [BL7101]"),
            ("text [BL1201]", 10, "t [BL1201]"),
            (" [BL1201]", 9, " [BL1201]"),
            (" [BL1201]", 8, " [BL1…"),
        ] {
            assert_eq!(truncate(message, max), truncated);
        }
    }

    #[test]
    fn only_a_code_at_the_end_is_kept() {
        for (message, truncated) in [
            ("a list [of words]", "a list…"),
            ("[BL7101] at the start", "[BL7101…"),
            ("some text [BL12]", "some te…"),
            ("some [BL1201] text", "some [B…"),
            ("éééééé", "ééé…"),
        ] {
            assert_eq!(truncate(message, 10), truncated);
        }
    }
}
