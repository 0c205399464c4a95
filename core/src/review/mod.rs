//! The request and the response of the API server: `AdmissionReview` of `admission.k8s.io/v1`.
//!
//! These types are hand-written, because the pod must stay raw JSON, and because the response must contain
//! the UID of the request even if the rest of the request cannot be parsed: the API server ignores a response
//! without it.
//! <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#request>

mod request;
mod response;
mod status;
mod uid;
mod values;

pub use request::{MalformedReview, ParsedReview, ReviewRequest, parse};
pub use response::{Refusal, ReviewResponse};
pub use uid::probe;

/// The supported version of reviews.
pub const API_VERSION: &str = "admission.k8s.io/v1";
/// Maximum bytes of a review. The limit of the API server for a request is about 3 MiB.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Maximum JSON values in a review. Each uses up to 100 bytes of memory, however short it is in the body. A
/// pod with 10,000 variables has 50,000.
pub const MAX_VALUES: usize = 100_000;
