//! What a fetch is waiting for. A timeout drops the future of the fetch, so its state is kept here for the
//! error message.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The progress of a fetch.
#[derive(Default)]
pub(crate) struct FetchProgress {
    step: Mutex<Step>,
}

#[derive(Default)]
enum Step {
    #[default]
    NotBegun,
    /// Scheme, host and path of the request.
    Answer(String),
    Body(String, u64),
    /// The error of the last attempt.
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

    /// Describes the progress, once a request was sent.
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
