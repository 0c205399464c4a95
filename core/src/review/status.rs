//! The HTTP status of a refusal, by which clients decide whether they try again.

use crate::code::Code;

/// Seconds after which a request can be retried. The clients of the Kubernetes controllers wait for this time
/// and retry up to ten times, and each wait occupies a worker, so it is short.
const RETRY_SECONDS: u32 = 1;

/// The status of a refusal. The API server passes it on to the client that creates the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HttpStatus {
    /// HTTP status.
    pub(super) code: u16,
    /// Kubernetes reason.
    pub(super) reason: &'static str,
    /// Seconds after which the same pod may be admitted; `None` if a retry is useless.
    pub(super) retry_after_seconds: Option<u32>,
}

impl HttpStatus {
    /// The status for the code of a message. `docs/reference.md` describes why.
    pub(super) fn of(code: Code) -> Self {
        let (code, reason, retry_after_seconds) = match code {
            Code::ReviewMalformed | Code::PodMalformed => (400, "BadRequest", None),
            Code::InputNotStored => (429, "TooManyRequests", Some(RETRY_SECONDS)),
            Code::LookupUnavailable | Code::InputLookupFailed | Code::ImageLookupFailed => {
                (503, "ServiceUnavailable", Some(RETRY_SECONDS))
            }
            Code::InternalError => (500, "InternalError", None),
            // Not 403: clients retry it, because the API server uses it for quotas that are used up.
            _ => (422, "Invalid", None),
        };
        Self { code, reason, retry_after_seconds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_refusals_that_may_pass_can_be_retried() {
        let retried = Code::ALL.iter().filter(|code| HttpStatus::of(**code).retry_after_seconds.is_some());
        let retried: Vec<_> = retried.map(|code| (code.as_str(), HttpStatus::of(*code).code)).collect();
        assert_eq!(retried, [("BL1004", 503), ("BL1313", 503), ("BL1708", 429), ("BL1715", 503)]);
    }

    #[test]
    fn other_refusals_are_final() {
        for (code, status) in [
            (Code::ReviewMalformed, (400, "BadRequest")),
            (Code::PodMalformed, (400, "BadRequest")),
            (Code::InternalError, (500, "InternalError")),
            (Code::ProfileNotFound, (422, "Invalid")),
            (Code::InitImageNotAllowed, (422, "Invalid")),
            (Code::CommandUnknown, (422, "Invalid")),
        ] {
            let HttpStatus { code: number, reason, retry_after_seconds } = HttpStatus::of(code);
            assert_eq!(((number, reason), retry_after_seconds), (status, None), "{code}");
        }
    }
}
