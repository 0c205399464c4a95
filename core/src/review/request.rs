//! Parses a review.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;

use super::values::has_more_than;
use super::{API_VERSION, MAX_BYTES, MAX_VALUES, probe};
use crate::pod::Json;

/// A request about a pod.
#[derive(Debug, Clone, PartialEq)]
pub struct ReviewRequest<'a> {
    /// UID of the request, which the response repeats.
    pub uid: String,
    /// Namespace of the pod. The namespace in the object may be empty at admission.
    pub namespace: String,
    /// The pod, unchanged.
    pub object: Json<'a>,
}

/// A parsed review.
#[derive(Debug, Clone, PartialEq)]
pub enum ParsedReview<'a> {
    /// A pod that is being created.
    Pod(ReviewRequest<'a>),
    /// A request that the webhook does not handle. It is allowed, with a warning.
    NotForUs {
        /// UID of the request, which the response repeats.
        uid: String,
        /// The reason, and what to change.
        warning: String,
    },
}

/// A review that cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct MalformedReview {
    /// UID of the request, if it could be found.
    pub uid: String,
    /// The problem, and what to change.
    pub message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawReview<'a> {
    #[serde(borrow)]
    api_version: Option<Cow<'a, str>>,
    #[serde(borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    request: Option<RawRequest<'a>>,
}

#[derive(Deserialize)]
struct RawRequest<'a> {
    #[serde(borrow, default)]
    uid: Cow<'a, str>,
    #[serde(borrow, default)]
    kind: RawKind<'a>,
    #[serde(borrow, default)]
    namespace: Cow<'a, str>,
    #[serde(borrow, default)]
    operation: Cow<'a, str>,
    #[serde(borrow, default, rename = "subResource")]
    sub_resource: Cow<'a, str>,
    #[serde(borrow, default)]
    object: Json<'a>,
}

#[derive(Deserialize, Default)]
struct RawKind<'a> {
    #[serde(borrow, default)]
    group: Cow<'a, str>,
    #[serde(borrow, default)]
    version: Cow<'a, str>,
    #[serde(borrow, default)]
    kind: Cow<'a, str>,
}

/// Parses a review from the body of a request.
///
/// # Errors
/// If the body is not a valid `AdmissionReview`. The error contains the UID if it could be found.
pub fn parse(body: &[u8]) -> Result<ParsedReview<'_>, MalformedReview> {
    let malformed = |message: String| MalformedReview { uid: probe(body), message };
    if body.is_empty() {
        return Err(malformed("the request body is empty: send an AdmissionReview as JSON".to_owned()));
    }
    if body.len() > MAX_BYTES {
        let message =
            format!("the AdmissionReview is larger than {} MiB: reduce the size of the pod", MAX_BYTES >> 20);
        return Err(malformed(message));
    }
    if has_more_than(MAX_VALUES, body) {
        let message =
            format!("the AdmissionReview has more than {MAX_VALUES} JSON values: reduce the size of the pod");
        return Err(malformed(message));
    }
    let unreadable = |error: &dyn fmt::Display| {
        malformed(format!(
            "failed to parse the request body as an AdmissionReview ({error}): send valid JSON"
        ))
    };
    // The whole body at once, which is much faster than each string.
    let text = str::from_utf8(body).map_err(|error| unreadable(&error))?;
    let review: RawReview<'_> = serde_json::from_str(text).map_err(|error| unreadable(&error))?;
    let spoken = (review.api_version.as_deref(), review.kind.as_deref());
    if spoken != (Some(API_VERSION), Some("AdmissionReview")) {
        let (version, kind) = (spoken.0.unwrap_or("no apiVersion"), spoken.1.unwrap_or("no kind"));
        let message = format!(
            "the request body is {version} {kind}, which is not supported: send {API_VERSION} AdmissionReview \
             (admissionReviewVersions: [v1])"
        );
        return Err(malformed(message));
    }
    let Some(request) = review.request else {
        return Err(malformed("the AdmissionReview has no request: set request".to_owned()));
    };
    if request.uid.is_empty() {
        let message =
            "the AdmissionReview has no request.uid, which the response must repeat: set request.uid";
        return Err(malformed(message.to_owned()));
    }
    let uid = request.uid.into_owned();
    let RawKind { group, version, kind } = &request.kind;
    if (group.as_ref(), version.as_ref(), kind.as_ref()) != ("", "v1", "Pod")
        || !request.sub_resource.is_empty()
    {
        let resource = if request.sub_resource.is_empty() { kind } else { &request.sub_resource };
        let warning = format!(
            "bootlace handles core/v1 Pods only and did not change this {resource}: restrict the rules of its \
             MutatingWebhookConfiguration to the resource pods"
        );
        return Ok(ParsedReview::NotForUs { uid, warning });
    }
    if request.operation != "CREATE" {
        let warning = format!(
            "bootlace handles the creation of pods only and did not change anything at this {}: restrict the rules of its \
             MutatingWebhookConfiguration to the operation CREATE",
            request.operation
        );
        return Ok(ParsedReview::NotForUs { uid, warning });
    }
    Ok(ParsedReview::Pod(ReviewRequest {
        uid,
        namespace: request.namespace.into_owned(),
        object: request.object,
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn review(request: &Value) -> Vec<u8> {
        let review = json!({"apiVersion": API_VERSION, "kind": "AdmissionReview", "request": request});
        serde_json::to_vec(&review).unwrap()
    }

    fn pod_kind() -> Value {
        json!({"group": "", "version": "v1", "kind": "Pod"})
    }

    #[test]
    fn a_pod_that_is_created_is_taken_with_its_object_as_it_came() {
        let object = json!({"spec": {"somethingNew": [1, {"a": null}]}});
        let body = review(&json!({
            "uid": "u-1", "kind": pod_kind(), "operation": "CREATE", "namespace": "etl", "object": object,
        }));
        let object = Json::from(&object);
        let expected = ReviewRequest { uid: "u-1".to_owned(), namespace: "etl".to_owned(), object };
        assert_eq!(parse(&body), Ok(ParsedReview::Pod(expected)));
    }

    #[test]
    fn what_cannot_be_read_says_what_to_send() {
        let big = format!(r#"{{"request":{{"uid":"u-1","x":"{}"}}}}"#, "x".repeat(MAX_BYTES));
        let many = format!(r#"{{"request":{{"uid":"u-1","x":[{}null]}}}}"#, "null,".repeat(MAX_VALUES));
        for (body, uid, message) in [
            (String::new(), "", "request body is empty"),
            ("nonsense".to_owned(), "", "send valid JSON"),
            (r#"{"request":{"uid":"u-1","object":{"#.to_owned(), "u-1", "send valid JSON"),
            (r#"{"request":{"uid":"u-1"}}"#.to_owned(), "u-1", "no apiVersion no kind"),
            (
                r#"{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview","request":{"uid":"u-1"}}"#
                    .to_owned(),
                "u-1",
                "v1beta1 AdmissionReview, which is not supported: send admission.k8s.io/v1",
            ),
            (r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}"#.to_owned(), "", "no request"),
            (
                r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{}}"#.to_owned(),
                "",
                "has no request.uid",
            ),
            (big, "u-1", "larger than 4 MiB"),
            (many, "u-1", "has more than 100000 JSON values"),
        ] {
            let malformed = parse(body.as_bytes()).unwrap_err();
            assert_eq!(malformed.uid, uid, "{malformed}");
            assert!(malformed.message.contains(message), "{malformed}");
        }
    }

    #[test]
    fn what_the_webhook_is_not_for_is_let_through_with_a_warning() {
        let deployment = json!({"group": "apps", "version": "v1", "kind": "Deployment"});
        for (kind, operation, sub_resource, hint) in [
            (deployment, "CREATE", "", "to the resource pods"),
            (pod_kind(), "CREATE", "ephemeralcontainers", "did not change this ephemeralcontainers"),
            (pod_kind(), "UPDATE", "", "to the operation CREATE"),
        ] {
            let body = review(&json!({
                "uid": "u-1", "kind": kind, "operation": operation, "subResource": sub_resource,
            }));
            let Ok(ParsedReview::NotForUs { uid, warning }) = parse(&body) else {
                panic!("{kind} was taken")
            };
            assert_eq!(uid, "u-1");
            assert!(warning.contains(hint), "{warning}");
        }
    }
}
