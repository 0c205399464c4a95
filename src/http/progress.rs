//! What a fetch is waiting for. A timeout drops the future of the fetch, so its state is kept here for the
//! error message.

use parking_lot::Mutex;

/// The progress of a fetch.
#[derive(Default)]
pub(crate) struct FetchProgress {
    step: Mutex<Step>,
}

#[derive(Default)]
enum Step {
    #[default]
    NotStarted,
    /// Scheme, host and path of the request.
    Response(String),
    Body(String, u64),
    /// The error of the last attempt.
    Retry(String),
}

impl FetchProgress {
    pub(crate) fn request_sent(&self, address: &str) {
        *self.step.lock() = Step::Response(address.to_owned());
    }

    pub(super) fn received(&self, address: &str, bytes: u64) {
        let mut step = self.step.lock();
        match &mut *step {
            Step::Body(_, received) => *received = bytes,
            other => *other = Step::Body(address.to_owned(), bytes),
        }
    }

    pub(crate) fn attempt_failed(&self, error: &str) {
        *self.step.lock() = Step::Retry(error.to_owned());
    }

    /// Describes the progress, once a request was sent.
    pub(crate) fn describe(&self) -> Option<String> {
        match &*self.step.lock() {
            Step::NotStarted => None,
            Step::Response(address) => Some(format!("waiting for a response from {address}")),
            Step::Body(address, bytes) => Some(format!("{bytes} bytes received from {address} so far")),
            Step::Retry(error) => Some(format!("the last attempt failed: {error}")),
        }
    }
}
