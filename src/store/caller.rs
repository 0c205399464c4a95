//! Identifies the caller: a pod, by the token that the kubelet projected into its injected containers.
//!
//! The API server verifies the token (`TokenReview`): its signature, expiration and audience, and that the
//! pod to which it is bound exists. The store then reads the pod, so that its current state decides what it
//! may request.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus, UserInfo};
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::{Api, Client};

use super::api_error::ApiError;
use super::pods::Pods;
use bootlace_core::code::Code;
use bootlace_core::names;

/// The extra fields that the API server adds to the user of a token that is bound to a pod.
/// <https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-tokens>
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// Maximum size of a token. A projected token has about a thousand bytes, so larger ones are not sent to the
/// API server.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Identifies callers.
pub struct CallerVerifier {
    client: Client,
    pods: Pods,
}

/// A pod that sent a request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The identity in the token.
    pub id: PodIdentity,
    /// The current state of the pod, reduced to what the store needs.
    pub pod: Pod,
}

/// The identity of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodIdentity {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The UID.
    pub uid: String,
}

impl CallerVerifier {
    /// Verifies tokens and reads pods with `client`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { pods: Pods::new(client.clone()), client }
    }

    /// The pod to which the token of the request is bound.
    ///
    /// # Errors
    /// There is no token, the API server rejects it, or it is not bound to a pod.
    pub async fn identify(&self, headers: &HeaderMap) -> Result<PodIdentity, ApiError> {
        let token = bearer(headers)?;
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: token.to_owned(),
                audiences: Some(vec![names::AUDIENCE.to_owned()]),
            },
            ..TokenReview::default()
        };
        let reviews: Api<TokenReview> = Api::all(self.client.clone());
        let reviewed = reviews.create(&PostParams::default(), &review).await;
        let reviewed = reviewed.map_err(|error| retryable("failed to review the token", &error))?;
        identity(reviewed.status.unwrap_or_default())
    }

    /// Reads the pod, which may be in the grace period before its deletion; see
    /// [`Caller::check_not_deleted`].
    ///
    /// # Errors
    /// The pod does not exist, or another pod has its name.
    pub async fn pod(&self, id: PodIdentity) -> Result<Caller, ApiError> {
        let problem = format!("failed to read pod {}/{}", id.namespace, id.name);
        let pod =
            self.pods.get(&id.namespace, &id.name).await.map_err(|error| retryable(&problem, &error))?;
        check_exists(pod.as_ref(), &id)?;
        Ok(Caller { id, pod: pod.unwrap_or_default() })
    }
}

impl Caller {
    /// Checks that the pod is not being deleted.
    ///
    /// # Errors
    /// The pod is being deleted. It may then only store outputs, because its tasks can still succeed in their
    /// grace period.
    pub fn check_not_deleted(&self) -> Result<(), ApiError> {
        if self.pod.metadata.deletion_timestamp.is_none() {
            return Ok(());
        }
        let PodIdentity { namespace, name, .. } = &self.id;
        Err(ApiError::new(
            Code::CallerGone,
            format!(
                "pod {namespace}/{name} of the token is being deleted: the store now only accepts its outputs"
            ),
        ))
    }
}

/// A failed request that the store has permission for: the caller did nothing wrong, and can retry.
fn retryable(problem: &str, error: &kube::Error) -> ApiError {
    ApiError::new(Code::StoreApiUnavailable, ApiError::from_api(problem, error).message)
}

pub(crate) fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = value.and_then(|value| value.strip_prefix("Bearer ")).map(str::trim);
    match token.filter(|token| !token.is_empty()) {
        None => Err(unauthenticated(format!(
            "the request has no token: send `Authorization: Bearer` with a projected service account token for audience {:?}",
            names::AUDIENCE
        ))),
        Some(token) if token.len() > MAX_TOKEN_BYTES => {
            Err(unauthenticated(format!("the token is larger than the limit of {MAX_TOKEN_BYTES} bytes")))
        }
        Some(token) => Ok(token),
    }
}

fn unauthenticated(message: impl Into<String>) -> ApiError {
    ApiError::new(Code::CallerNotAuthenticated, message)
}

/// The identity in a reviewed token.
pub(crate) fn identity(status: TokenReviewStatus) -> Result<PodIdentity, ApiError> {
    if status.authenticated != Some(true) {
        // The message of the API server: the token has expired, is for another audience, or its pod does not
        // exist.
        let reason = status.error.filter(|error| !error.is_empty()).unwrap_or_else(|| "no reason".to_owned());
        return Err(unauthenticated(format!("the API server rejected the token: {reason}")));
    }
    let audience = |audience: &String| audience == names::AUDIENCE;
    if !status.audiences.iter().flatten().any(audience) {
        return Err(unauthenticated(format!("the token is not for audience {:?}", names::AUDIENCE)));
    }
    pod(&status.user.unwrap_or_default()).ok_or_else(|| {
        unauthenticated("the token is not bound to a pod: the store only accepts tokens of projected volumes")
    })
}

fn pod(user: &UserInfo) -> Option<PodIdentity> {
    let (namespace, _) = user.username.as_deref()?.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    let single_value = |key: &str| match user.extra.as_ref()?.get(key)?.as_slice() {
        [value] if !value.is_empty() => Some(value.clone()),
        _ => None,
    };
    Some(PodIdentity {
        namespace: namespace.to_owned(),
        name: single_value(POD_NAME)?,
        uid: single_value(POD_UID)?,
    })
}

pub(crate) fn check_exists(pod: Option<&Pod>, id: &PodIdentity) -> Result<(), ApiError> {
    let PodIdentity { namespace, name, uid } = id;
    let gone = |problem: &str| {
        Err(ApiError::new(Code::CallerGone, format!("pod {namespace}/{name} of the token {problem}")))
    };
    match pod.map(|pod| &pod.metadata) {
        None => gone("does not exist"),
        Some(found) if found.uid.as_deref() != Some(uid) => gone("was replaced by a pod with the same name"),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn reviewed(status: Value) -> Result<PodIdentity, ApiError> {
        identity(serde_json::from_value(status).unwrap())
    }

    fn user(extra: &Value) -> Value {
        json!({
            "authenticated": true, "audiences": ["bootlace"],
            "user": {"username": "system:serviceaccount:etl:runner", "extra": extra},
        })
    }

    fn bound() -> Value {
        json!({POD_NAME: ["load-1"], POD_UID: ["u-1"]})
    }

    #[test]
    fn a_token_bound_to_a_pod_names_it() {
        let id = reviewed(user(&bound())).unwrap();
        assert_eq!((&*id.namespace, &*id.name, &*id.uid), ("etl", "load-1", "u-1"));
    }

    #[test]
    fn a_token_without_the_audience_or_a_pod_is_refused() {
        let mut elsewhere = user(&bound());
        elsewhere["audiences"] = json!(["vault"]);
        let mut person = user(&bound());
        person["user"]["username"] = json!("alice");
        for (status, detail) in [
            (json!({"authenticated": false, "error": "expired 5 s ago"}), "expired 5 s ago"),
            (json!({}), "no reason"),
            (elsewhere, "audience \"bootlace\""),
            (user(&json!({})), "bound"),
            (user(&json!({POD_NAME: ["load-1"]})), "bound"),
            (user(&json!({POD_NAME: ["load-1", "b"], POD_UID: ["u-1"]})), "bound"),
            (person, "bound"),
        ] {
            let error = reviewed(status).unwrap_err();
            assert_eq!(error.status, 401);
            assert!(error.message.contains(detail), "{error}");
        }
    }

    #[test]
    fn a_request_without_a_bearer_token_is_refused() {
        let with = |value: &str| HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
        assert_eq!(bearer(&with("Bearer abc")).unwrap(), "abc");
        for headers in [
            HeaderMap::new(),
            with("Bearer "),
            with("Basic abc"),
            with(&format!("Bearer {}", "a".repeat(20_000))),
        ] {
            assert_eq!(bearer(&headers).unwrap_err().status, 401);
        }
    }

    #[test]
    fn a_pod_that_does_not_exist_is_refused() {
        let id = reviewed(user(&bound())).unwrap();
        let pod = |metadata: Value| serde_json::from_value::<Pod>(json!({"metadata": metadata})).unwrap();
        check_exists(Some(&pod(json!({"uid": "u-1"}))), &id).unwrap();
        for found in [None, Some(pod(json!({"uid": "u-2"})))] {
            let error = check_exists(found.as_ref(), &id).unwrap_err();
            assert!(error.status == 403 && error.code == Code::CallerGone, "{error}");
        }
        let deleted = pod(json!({"uid": "u-1", "deletionTimestamp": "2026-11-21T10:00:00Z"}));
        check_exists(Some(&deleted), &id).unwrap();
        let error = Caller { id: id.clone(), pod: deleted }.check_not_deleted().unwrap_err();
        assert!(error.status == 403 && error.code == Code::CallerGone, "{error}");
        Caller { id, pod: pod(json!({"uid": "u-1"})) }.check_not_deleted().unwrap();
    }
}
