//! What is waited for just now. Whoever cuts a fetch off drops its future; this is what is left of it to tell.

use std::cell::{Cell, RefCell};

/// What a fetch is waiting for.
#[derive(Default)]
pub(crate) struct Progress {
    step: Cell<Step>,
    /// Where from: scheme, host and path.
    place: RefCell<String>,
    /// The last attempt's error.
    last: RefCell<String>,
}

#[derive(Clone, Copy, Default)]
enum Step {
    #[default]
    NotBegun,
    Answer,
    Body(u64),
    Again,
}

impl Progress {
    pub(crate) fn asked(&self, place: &str) {
        place.clone_into(&mut self.place.borrow_mut());
        self.step.set(Step::Answer);
    }

    pub(super) fn received(&self, bytes: u64) {
        self.step.set(Step::Body(bytes));
    }

    pub(super) fn failed(&self, error: &str) {
        error.clone_into(&mut self.last.borrow_mut());
        self.step.set(Step::Again);
    }

    /// It in words, where there is something to say.
    pub(crate) fn describe(&self) -> Option<String> {
        let place = self.place.borrow();
        match self.step.get() {
            Step::NotBegun => None,
            Step::Answer => Some(format!("{place} has not answered")),
            Step::Body(bytes) => Some(format!("{place} is still sending, {bytes} bytes so far")),
            Step::Again => Some(format!("the last attempt failed: {}", self.last.borrow())),
        }
    }
}
