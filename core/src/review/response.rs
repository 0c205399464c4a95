//! Writing the answer to a review.

use std::collections::BTreeMap;

use base64_simd::STANDARD;
use serde::Serialize;

use super::API_VERSION;
use crate::code::Code;
use crate::pod::Operation;
use crate::shorten::shorten;

/// An answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReviewResponse {
    /// The request's uid.
    pub uid: String,
    /// Why the pod is turned away; `None` lets it through.
    pub refusal: Option<Refusal>,
    /// What to change, in order; empty for nothing.
    pub patch: Vec<Operation>,
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
    /// The code of the message.
    pub message_code: Code,
    /// What is wrong and what to change. Ends with the code: `… [BL1203]`.
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
    pub fn bad_request(code: Code, message: &str) -> Self {
        Self::new(400, "BadRequest", code, message)
    }

    /// The pod asks for something that cannot be.
    #[must_use]
    pub fn invalid(code: Code, message: &str) -> Self {
        Self::new(422, "Invalid", code, message)
    }

    /// The pod asks for something that it may not have.
    #[must_use]
    pub fn forbidden(code: Code, message: &str) -> Self {
        Self::new(403, "Forbidden", code, message)
    }

    /// Any other. What it repeats of the request is kept short.
    #[must_use]
    pub fn new(code: u16, reason: &'static str, message_code: Code, message: &str) -> Self {
        // After it was shortened, so that the code is never cut off.
        let message = format!("{} [{message_code}]", shorten(message));
        Self {
            code,
            reason,
            message_code,
            message,
            profile: None,
            undefined: None,
            retry_after_seconds: None,
        }
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

/// All of an answer but the patch.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    api_version: &'static str,
    kind: &'static str,
    // The last, and an object: the patch is written behind what it holds.
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
            [] => Vec::new(),
            operations => {
                // Large enough for most, because a buffer that grows is copied.
                let mut patch = Vec::with_capacity(8 * 1024);
                serde_json::to_writer(&mut patch, operations)?;
                patch
            }
        };
        let mut json = serde_json::to_string(&self.without_patch())?;
        if !patch.is_empty() {
            // By hand, because it is the longest part by far, and base64 holds nothing that JSON escapes: not looked through
            // for that, and not copied.
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

/// What every answer ends with: of the response, and of the review.
const ENDS: &str = "}}";
