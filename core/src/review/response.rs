//! Serializes the response to a review.

use std::collections::BTreeMap;

use base64_simd::STANDARD;
use serde::Serialize;

use super::API_VERSION;
use super::status::HttpStatus;
use crate::code::Code;
use crate::pod::Operation;
use crate::shorten::shorten;

/// A response.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReviewResponse {
    /// UID of the request.
    pub uid: String,
    /// Why the pod is refused; `None` allows it.
    pub refusal: Option<Refusal>,
    /// The operations of the patch, in order; empty if the pod does not change.
    pub patch: Vec<Operation>,
    /// Warnings for the client that creates the pod. They should be short: if they exceed 4,096 characters in
    /// total, the API server truncates each to 256.
    pub warnings: Vec<String>,
    /// Annotations for the audit log of the API server. A key has no slash, because the server adds the
    /// prefix `<webhook>/`.
    pub audit: BTreeMap<&'static str, String>,
}

/// Why a pod is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// HTTP status for the client.
    pub code: u16,
    /// Kubernetes reason: `BadRequest`, `Invalid`, `TooManyRequests`.
    pub reason: &'static str,
    /// The code of the message.
    pub message_code: Code,
    /// The problem, and what to change. Ends with the code: `… [BL1203]`.
    pub message: String,
    /// The profile of the pod, if there is one.
    pub profile: Option<String>,
    /// The variable without a value, if a template of the profile cannot be rendered because of it.
    pub undefined: Option<String>,
    /// Seconds after which the request can be retried, if the pod may be allowed then. The API server passes
    /// it on in the status and in the header `Retry-After`.
    pub retry_after_seconds: Option<u32>,
}

impl Refusal {
    /// A refusal with the HTTP status for the code of its message. Long input in the message is shortened.
    #[must_use]
    pub fn new(message_code: Code, message: &str) -> Self {
        let HttpStatus { code, reason, retry_after_seconds } = HttpStatus::of(message_code);
        // Added after the message is shortened, so that the code is never cut off.
        let message = format!("{} [{message_code}]", shorten(message));
        Self { code, reason, message_code, message, profile: None, undefined: None, retry_after_seconds }
    }

    /// Adds the profile of the pod.
    #[must_use]
    pub fn with_profile(self, profile: &str) -> Self {
        Self { profile: Some(profile.to_owned()), ..self }
    }

    /// Adds the variable without a value, if there is one.
    #[must_use]
    pub fn with_undefined(self, variable: Option<&str>) -> Self {
        Self { undefined: variable.map(str::to_owned), ..self }
    }
}

/// A response without the patch.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    api_version: &'static str,
    kind: &'static str,
    // The last field, and an object: the patch is appended to it.
    response: Answer<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    audit_annotations: &'a BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
struct Status<'a> {
    code: u16,
    reason: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    retry_after_seconds: u32,
}

impl ReviewResponse {
    /// Refuses a request.
    #[must_use]
    pub fn refuse(uid: String, refusal: Refusal) -> Self {
        Self { uid, refusal: Some(refusal), ..Self::default() }
    }

    /// The response as the JSON of an `AdmissionReview`.
    ///
    /// # Errors
    /// None is known, because only strings and JSON values are serialized.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        let patch = match self.patch.as_slice() {
            [] => Vec::new(),
            operations => {
                // Large enough for most patches, because a buffer is copied when it grows.
                let mut patch = Vec::with_capacity(8 * 1024);
                serde_json::to_writer(&mut patch, operations)?;
                patch
            }
        };
        let mut json = serde_json::to_string(&self.without_patch())?;
        if !patch.is_empty() {
            // Appended without serde, because it is by far the longest part and base64 has no characters that
            // JSON escapes: this avoids a scan and a copy.
            json.truncate(json.len() - ENDS.len());
            json.reserve_exact(STANDARD.encoded_length(patch.len()) + 64);
            json.push_str(r#","patchType":"JSONPatch","patch":""#);
            STANDARD.encode_append(patch, &mut json);
            json.push('"');
            json.push_str(ENDS);
        }
        Ok(json.into_bytes())
    }

    fn without_patch(&self) -> Review<'_> {
        Review {
            api_version: API_VERSION,
            kind: "AdmissionReview",
            response: Answer {
                uid: &self.uid,
                allowed: self.refusal.is_none(),
                status: self.refusal.as_ref().map(|refusal| Status {
                    code: refusal.code,
                    reason: refusal.reason,
                    message: &refusal.message,
                    details: refusal
                        .retry_after_seconds
                        .map(|retry_after_seconds| Details { retry_after_seconds }),
                }),
                warnings: &self.warnings,
                audit_annotations: &self.audit,
            },
        }
    }
}

/// The end of every response: of the field and of the review.
const ENDS: &str = "}}";
