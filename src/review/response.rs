//! Writing the answer to a review.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use json_patch::PatchOperation;
use serde::Serialize;
use serde_json::value::RawValue;

use super::API_VERSION;

/// An answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Response {
    /// The request's uid.
    pub uid: String,
    /// Why the pod is turned away; `None` lets it through.
    pub refusal: Option<Refusal>,
    /// What to change, in order; empty for nothing.
    pub patch: Vec<PatchOperation>,
    /// Shown to whoever creates the pod. Kept short: past 4,096 characters in total the API server cuts each to 256.
    pub warnings: Vec<String>,
    /// For the API server's audit log; a key holds no slash, because the server puts `<webhook>/` before it.
    pub audit: BTreeMap<&'static str, String>,
}

/// Why a pod is turned away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// HTTP status that the client sees.
    pub code: u16,
    /// Kubernetes' word for it: `BadRequest`, `Invalid`, `Forbidden`.
    pub reason: &'static str,
    /// What is wrong and what to change.
    pub message: String,
    /// The profile that the pod would have booted with, where there is one.
    pub profile: Option<String>,
    /// The variable that a template of the profile asks for and the pod does not tell, where that is why.
    pub undefined: Option<String>,
    /// Seconds after which the same pod may well be let in. The API server passes it on, in the status and in the header
    /// `Retry-After`.
    pub retry_after_seconds: Option<u32>,
}

impl Refusal {
    /// The request itself cannot be understood.
    #[must_use]
    pub fn bad_request(message: String) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// The pod asks for something that cannot be.
    #[must_use]
    pub fn invalid(message: String) -> Self {
        Self::new(422, "Invalid", message)
    }

    /// The pod asks for something that it may not have.
    #[must_use]
    pub fn forbidden(message: String) -> Self {
        Self::new(403, "Forbidden", message)
    }

    /// Any other.
    #[must_use]
    pub fn new(code: u16, reason: &'static str, message: String) -> Self {
        Self { code, reason, message, profile: None, undefined: None, retry_after_seconds: None }
    }

    /// The same, of a pod that may come again after so many seconds.
    #[must_use]
    pub fn with_retry_after(self, seconds: u32) -> Self {
        Self { retry_after_seconds: Some(seconds), ..self }
    }

    /// The same, of a pod that would have booted with `profile`.
    #[must_use]
    pub fn with_profile(self, profile: &str) -> Self {
        Self { profile: Some(profile.to_owned()), ..self }
    }

    /// The same, because the pod does not tell `variable`, where there is one.
    #[must_use]
    pub fn with_undefined(self, variable: Option<&str>) -> Self {
        Self { undefined: variable.map(str::to_owned), ..self }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Answer<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
    // `patch` and `patchType` come together or not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<Box<RawValue>>,
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

impl Response {
    /// Turns a request away.
    #[must_use]
    pub fn refuse(uid: String, refusal: Refusal) -> Self {
        Self { uid, refusal: Some(refusal), ..Self::default() }
    }

    /// The answer as the JSON of an `AdmissionReview`.
    ///
    /// # Errors
    /// None that is known: all that is serialised are strings and JSON values.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        let patch = match self.patch.as_slice() {
            [] => None,
            operations => {
                // Large enough for most, because a buffer that grows is copied.
                let mut json = Vec::with_capacity(8 * 1024);
                serde_json::to_writer(&mut json, operations)?;
                Some(base64(&json)?)
            }
        };
        serde_json::to_vec(&Review {
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
                patch_type: patch.is_some().then_some("JSONPatch"),
                patch,
                warnings: &self.warnings,
                audit_annotations: &self.audit,
            },
        })
    }
}

/// A JSON string in base64, which holds nothing that JSON escapes: it is the longest part of an answer, and not looked
/// through for that.
fn base64(bytes: &[u8]) -> serde_json::Result<Box<RawValue>> {
    let mut quoted = String::with_capacity(bytes.len().div_ceil(3) * 4 + 2);
    quoted.push('"');
    STANDARD.encode_string(bytes, &mut quoted);
    quoted.push('"');
    RawValue::from_string(quoted)
}
