//! The API server's question and our answer: `admission.k8s.io/v1` `AdmissionReview`, in and out.
//!
//! Own small types, because the pod must stay raw JSON, and because the answer must carry the request's uid
//! even where the rest of the request cannot be read: the API server throws away an answer without it.
//! <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#request>

mod request;
mod response;
mod uid;
mod values;

pub use request::{MalformedReview, ParsedReview, ReviewRequest, parse};
pub use response::{Refusal, ReviewResponse};
pub use uid::probe;

/// The version of the review that is spoken.
pub const API_VERSION: &str = "admission.k8s.io/v1";
/// The largest review that is read, in bytes. The API server's own limit for a request is about 3 MiB.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;
/// JSON values in a review at most. Each takes up to 100 bytes in memory, whatever it takes in the body. A pod of 10,000
/// env variables has 50,000.
pub const MAX_VALUES: usize = 100_000;
