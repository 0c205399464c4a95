//! Who asks: a pod, known by a token that the kubelet projected into its boot container.
//!
//! The API server judges the token (`TokenReview`): its signature, its end, its audience, and that the pod which it is
//! bound to still exists. The pod is then read, so that what it may ask for is what it is now.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus, UserInfo};
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::{Api, Client};

use super::api_error::ApiError;
use super::pods::Pods;
use bootlace_core::names;

/// What the API server adds to the user of a token that is bound to a pod.
/// <https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-tokens>
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// Bytes of a token at most. A projected one has about a thousand; what is larger is not worth asking about.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Finds out who asks.
pub struct CallerVerifier {
    client: Client,
    pods: Pods,
}

/// A pod that asks.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Its identity, by its token.
    pub id: PodIdentity,
    /// The pod, as it is now: what counts of it here.
    pub pod: Pod,
}

/// A pod's identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodIdentity {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

impl CallerVerifier {
    /// Asks through `client`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { pods: Pods::new(client.clone()), client }
    }

    /// The pod whose token the request carries.
    ///
    /// # Errors
    /// Where there is no token, the API server does not accept it, it is no pod's, or the pod is gone.
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
        let reviewed = reviewed.map_err(|error| ours("the token cannot be reviewed", &error))?;
        identity(reviewed.status.unwrap_or_default())
    }

    /// The pod itself, which may be in the grace period before its deletion; see [`Caller::check_not_deleted`].
    ///
    /// # Errors
    /// Where it is gone, or is another one of its name.
    pub async fn pod(&self, id: PodIdentity) -> Result<Caller, ApiError> {
        let doing = format!("pod {}/{} cannot be read", id.namespace, id.name);
        let pod = self.pods.get(&id.namespace, &id.name).await.map_err(|error| ours(&doing, &error))?;
        is_there(pod.as_ref(), &id)?;
        Ok(Caller { id, pod: pod.unwrap_or_default() })
    }
}

impl Caller {
    /// Checks that nobody has deleted the pod.
    ///
    /// # Errors
    /// Where it is being deleted: from then on it may only have its outputs stored, because its tasks can still end with 0
    /// in their grace period.
    pub fn check_not_deleted(&self) -> Result<(), ApiError> {
        if self.pod.metadata.deletion_timestamp.is_none() {
            return Ok(());
        }
        let PodIdentity { namespace, name, .. } = &self.id;
        Err(ApiError::forbidden(format!(
            "pod {namespace}/{name} of the token is being deleted: only its outputs are stored until it has ended"
        )))
    }
}

/// A failure of a call that the store itself may always make: the caller can do nothing about it, but ask again.
fn ours(doing: &str, error: &kube::Error) -> ApiError {
    ApiError::unavailable(ApiError::of_api(doing, error).message)
}

fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = value.and_then(|value| value.strip_prefix("Bearer ")).map(str::trim);
    match token.filter(|token| !token.is_empty()) {
        None => Err(ApiError::unauthorized(format!(
            "the request carries no token: send `Authorization: Bearer` and a projected service account token for the \
             audience {:?}",
            names::AUDIENCE
        ))),
        Some(token) if token.len() > MAX_TOKEN_BYTES => Err(ApiError::unauthorized(format!(
            "the token is larger than {MAX_TOKEN_BYTES} bytes, as none is"
        ))),
        Some(token) => Ok(token),
    }
}

/// What a reviewed token says.
fn identity(status: TokenReviewStatus) -> Result<PodIdentity, ApiError> {
    if status.authenticated != Some(true) {
        // The API server's own words: that it has expired, is for another audience, or its pod is gone.
        let why = status.error.filter(|why| !why.is_empty()).unwrap_or_else(|| "it is not known".to_owned());
        return Err(ApiError::unauthorized(format!("the API server does not accept the token: {why}")));
    }
    let audience = |audience: &String| audience == names::AUDIENCE;
    if !status.audiences.iter().flatten().any(audience) {
        return Err(ApiError::unauthorized(format!(
            "the token is not for the audience {:?}",
            names::AUDIENCE
        )));
    }
    pod(&status.user.unwrap_or_default()).ok_or_else(|| {
        ApiError::unauthorized(
            "the token is bound to no pod: the store answers pods only, which have theirs from a projected volume",
        )
    })
}

fn pod(user: &UserInfo) -> Option<PodIdentity> {
    let (namespace, _) = user.username.as_deref()?.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    let one = |key: &str| match user.extra.as_ref()?.get(key)?.as_slice() {
        [value] if !value.is_empty() => Some(value.clone()),
        _ => None,
    };
    Some(PodIdentity { namespace: namespace.to_owned(), name: one(POD_NAME)?, uid: one(POD_UID)? })
}

fn is_there(pod: Option<&Pod>, id: &PodIdentity) -> Result<(), ApiError> {
    let PodIdentity { namespace, name, uid } = id;
    let gone = |what: &str| Err(ApiError::forbidden(format!("pod {namespace}/{name} of the token {what}")));
    match pod.map(|pod| &pod.metadata) {
        None => gone("is gone"),
        Some(found) if found.uid.as_deref() != Some(uid) => gone("is gone, and another has its name"),
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
    fn a_token_that_says_less_is_refused() {
        let mut elsewhere = user(&bound());
        elsewhere["audiences"] = json!(["vault"]);
        let mut person = user(&bound());
        person["user"]["username"] = json!("alice");
        for (status, hint) in [
            (json!({"authenticated": false, "error": "token has expired"}), "token has expired"),
            (json!({}), "it is not known"),
            (elsewhere, "not for the audience \"bootlace\""),
            (user(&json!({})), "bound to no pod"),
            (user(&json!({POD_NAME: ["load-1"]})), "bound to no pod"),
            (user(&json!({POD_NAME: ["load-1", "b"], POD_UID: ["u-1"]})), "bound to no pod"),
            (person, "bound to no pod"),
        ] {
            let denial = reviewed(status).unwrap_err();
            assert_eq!(denial.status, 401);
            assert!(denial.message.contains(hint), "{denial}");
        }
    }

    #[test]
    fn a_request_without_a_bearer_is_refused() {
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
    fn a_pod_that_is_not_there_any_more_is_refused() {
        let id = reviewed(user(&bound())).unwrap();
        let pod = |metadata: Value| serde_json::from_value::<Pod>(json!({"metadata": metadata})).unwrap();
        is_there(Some(&pod(json!({"uid": "u-1"}))), &id).unwrap();
        for (found, hint) in [(None, "is gone"), (Some(pod(json!({"uid": "u-2"}))), "another has its name")] {
            let denial = is_there(found.as_ref(), &id).unwrap_err();
            assert!(denial.status == 403 && denial.message.contains(hint), "{denial}");
        }
        let deleted = pod(json!({"uid": "u-1", "deletionTimestamp": "2026-11-21T10:00:00Z"}));
        is_there(Some(&deleted), &id).unwrap();
        let denial = Caller { id: id.clone(), pod: deleted }.check_not_deleted().unwrap_err();
        assert!(denial.status == 403 && denial.message.contains("is being deleted"), "{denial}");
        Caller { id, pod: pod(json!({"uid": "u-1"})) }.check_not_deleted().unwrap();
    }
}
