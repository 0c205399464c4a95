//! Tells what failed, where people look: standard error and the container's termination message, which
//! `kubectl describe` and every scheduler show.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use crate::args::{Place, UsageError};
use crate::termination;

/// Reports a failure of the container that the launcher runs in.
pub(crate) fn failure(error: &dyn fmt::Display, place: &Place) {
    tell(&sentence(error, place), &place.termination_log);
}

/// Adds a line to the log, and leaves the termination message to whoever wrote it.
pub(crate) fn line(what: &str, place: &Place) {
    let _ = io::stderr().write_all(sentence(&what, place).as_bytes());
}

fn sentence(what: &dyn fmt::Display, place: &Place) -> String {
    format!("bootlace: container {}: {what}\n", place.container.display())
}

/// Reports what did not fail the container, but should be known: the task's own message replaces it.
pub(crate) fn warning(what: &impl fmt::Display, place: &Place) {
    tell(&sentence(&format_args!("warning: {what}"), place), &place.termination_log);
}

/// Reports wrong arguments; they may not have named the termination message's file.
pub(crate) fn usage(error: &UsageError) {
    tell(&format!("bootlace: {error}\n"), Path::new(termination::LOG));
}

/// Each of the two ways may be closed or missing, and then there is nobody left to tell.
fn tell(sentence: &str, termination_log: &Path) {
    let _ = io::stderr().write_all(sentence.as_bytes());
    let _ = termination::write(termination_log, sentence);
}
