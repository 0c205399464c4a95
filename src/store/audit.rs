//! The audit line of a request: the caller, the request and the outcome, but no values.

use tracing::{debug, info, warn};

use super::api_error::ApiError;
use super::caller::PodIdentity;

/// The content of the audit line.
#[derive(Default)]
pub(super) struct Audit {
    pub(super) request: &'static str,
    pub(super) caller: Option<PodIdentity>,
    pub(super) object: String,
    pub(super) size: String,
    pub(super) outcome: &'static str,
}

impl Audit {
    pub(super) fn new(request: &'static str) -> Self {
        Self { request, ..Self::default() }
    }

    pub(super) fn write(&self, error: Option<&ApiError>) {
        let Self { request, object, size, outcome, .. } = self;
        let caller =
            |part: fn(&PodIdentity) -> &String| self.caller.as_ref().map_or("", |caller| part(caller));
        let (namespace, pod, uid) = (caller(|id| &id.namespace), caller(|id| &id.name), caller(|id| &id.uid));
        match error {
            // Every poll has this outcome.
            None if *outcome == NOT_YET => debug!(request, namespace, pod, uid, object, "{outcome}"),
            None => info!(request, namespace, pod, uid, object, size, "{outcome}"),
            Some(error) => {
                let status = error.status.as_u16();
                let reason = format!("{error} [{}]", error.code);
                warn!(request, namespace, pod, uid, object, size, code = status, reason, "denied");
            }
        }
    }
}

/// The outcome of a poll for an output that is not stored yet.
pub(super) const NOT_YET: &str = "not stored yet";
