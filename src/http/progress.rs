//! What is waited for just now. Whoever cuts a fetch off drops its future; this is what is left of it to tell.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a fetch is waiting for.
#[derive(Default)]
pub(crate) struct FetchProgress {
    step: Mutex<Step>,
}

#[derive(Default)]
enum Step {
    #[default]
    NotBegun,
    /// Scheme, host and path that were asked.
    Answer(String),
    Body(String, u64),
    /// The last attempt's error.
    Again(String),
}

impl FetchProgress {
    pub(crate) fn asked(&self, place: &str) {
        *self.step() = Step::Answer(place.to_owned());
    }

    pub(super) fn received(&self, place: &str, bytes: u64) {
        let mut step = self.step();
        match &mut *step {
            Step::Body(_, received) => *received = bytes,
            other => *other = Step::Body(place.to_owned(), bytes),
        }
    }

    pub(crate) fn failed(&self, error: &str) {
        *self.step() = Step::Again(error.to_owned());
    }

    /// It in words, where there is something to say.
    pub(crate) fn describe(&self) -> Option<String> {
        match &*self.step() {
            Step::NotBegun => None,
            Step::Answer(place) => Some(format!("waiting for a response from {place}")),
            Step::Body(place, bytes) => Some(format!("{bytes} bytes received from {place} so far")),
            Step::Again(error) => Some(format!("the last attempt failed: {error}")),
        }
    }

    fn step(&self) -> MutexGuard<'_, Step> {
        self.step.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
