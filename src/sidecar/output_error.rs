//! A failure to store an output or to send a hook, as the launcher and the owner of the task get it.

use std::fmt;

use bootlace_launch::handover::OneLine;

use bootlace_core::code::{Code, Coded};

/// Maximum size of a message with its code. The Event about it also contains the name of the container, and
/// the store truncates the message of an Event to 1,000 bytes.
const MAX_MESSAGE_BYTES: usize = 900;

/// A message and its code. The message does not contain the content of outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputError {
    message: String,
    code: Code,
}

impl OutputError {
    /// The message and the code of `error`.
    #[must_use]
    pub fn new(error: &(impl fmt::Display + Coded)) -> Self {
        Self { message: error.to_string(), code: error.code() }
    }

    /// The same error, with the key of the output in the message.
    #[must_use]
    pub fn of_output(self, key: &str) -> Self {
        Self { message: format!("output {key:?}: {}", self.message), ..self }
    }

    /// The same error, with the name of the hook in the message.
    #[must_use]
    pub(crate) fn of_hook(self, list: &str, name: &str) -> Self {
        Self { message: format!("{list} hook {name:?}: {}", self.message), ..self }
    }

    /// The message with its code, for the launcher, the Event and the log.
    #[must_use]
    pub fn to_line(&self) -> OneLine {
        OneLine::new(&self.code.append_to(&self.message, MAX_MESSAGE_BYTES))
    }
}

impl Coded for OutputError {
    fn code(&self) -> Code {
        self.code
    }
}
