//! Reports failures on standard error and in the termination message of the container, which `kubectl
//! describe` and every scheduler show.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use crate::code::{self, Code, Coded};
use crate::invocation::{Place, UsageError};
use crate::termination;

/// Reports a failure of the container that the launcher runs in.
pub(crate) fn failure(error: &dyn Coded, place: &Place) {
    write(&message(error, error.code(), place), &place.termination_log);
}

/// Writes a message to the log only, where the termination message belongs to another program.
pub(crate) fn log(text: &dyn fmt::Display, code: Code, place: &Place) {
    let _ = io::stderr().write_all(message(text, code, place).as_bytes());
}

/// Reports a problem that does not fail the container. A termination message of the task replaces it.
pub(crate) fn warning(text: &dyn fmt::Display, code: Code, place: &Place) {
    write(&message(&format_args!("warning: {text}"), code, place), &place.termination_log);
}

/// Reports invalid arguments. The path of the termination message may be missing among them.
pub(crate) fn usage(error: &UsageError) {
    write(&format!("bootlace: {error} [{}]\n", error.code()), Path::new(termination::LOG));
}

/// The whole message. Its code is at the end, where [`termination::write`] keeps it. The message of another
/// container already ends with a code, which is more specific.
pub(crate) fn message(text: &dyn fmt::Display, code: Code, place: &Place) -> String {
    let message = format!("bootlace: container \"{}\": {text}", place.container.display());
    match code::at_end(&message) {
        Some(_) => message + "\n",
        None => format!("{message} [{code}]\n"),
    }
}

/// Ignores errors: either destination can be closed or missing, and there is no other one.
fn write(message: &str, termination_log: &Path) {
    let _ = io::stderr().write_all(message.as_bytes());
    let _ = termination::write(termination_log, message);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn a_message_has_one_code() {
        let place = Place {
            container: "base".into(),
            root: PathBuf::new(),
            termination_log: PathBuf::from(termination::LOG),
        };
        let message = |text: &str| message(&text, Code::TaskOutputsNotStored, &place);
        assert_eq!(message("no store"), "bootlace: container \"base\": no store [BL7508]\n");
        assert_eq!(message("no store [BL5401]"), "bootlace: container \"base\": no store [BL5401]\n");
    }
}
