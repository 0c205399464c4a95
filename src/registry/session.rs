//! Requests to a registry, with authentication.
//!
//! The first request has no credentials: a registry that requires some responds with a challenge, and a
//! public one needs none. Credentials are only sent to the registry and to its token server. Blobs are often
//! on a third server, to which the registry redirects with a temporary address.

use parking_lot::Mutex;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{StatusCode, Url};
use serde::Deserialize;

use super::challenge::Challenge;
use super::{Descriptor, Digest, Reference, RegistryCredentials, manifest};
use crate::http::{AuthChallenge, Body, Expected, HttpClient, HttpError, NetworkZone, Request};

/// Maximum size of a token response: tokens with many rights have some kilobytes.
const MAX_TOKEN_BYTES: u64 = 1 << 20;

/// Requests for one repository.
pub(crate) struct Session<'c> {
    client: &'c HttpClient<'c>,
    reference: &'c Reference,
    /// `https://registry.example.com/v2/team/sql/`.
    base: Url,
    /// Credentials to try, the most likely ones first; empty for anonymous access.
    credentials: Vec<RegistryCredentials>,
    remedy: fn(StatusCode) -> &'static str,
    /// The class of addresses that the registry may have; `None` if it is not restricted.
    reach: Option<NetworkZone>,
    /// The last accepted authorization.
    authorization: Mutex<Option<HeaderValue>>,
}

impl<'c> Session<'c> {
    /// Creates a session. It uses HTTP without TLS if `plain` is set. `remedy` is the remedy for a status.
    ///
    /// # Errors
    /// If the reference is not a valid address.
    pub(crate) fn new(
        client: &'c HttpClient<'c>,
        reference: &'c Reference,
        plain: bool,
        credentials: Vec<RegistryCredentials>,
        remedy: fn(StatusCode) -> &'static str,
    ) -> Result<Self, HttpError> {
        let base = base(reference, plain)?;
        let authorization = Mutex::default();
        Ok(Self { client, reference, base, credentials, remedy, reach: None, authorization })
    }

    /// Restricts the addresses of the registry if the reference is not trusted: as if a server in `reach` had
    /// named it.
    ///
    /// # Errors
    /// If the reference itself contains an address of another class.
    pub(crate) fn within(self, reach: NetworkZone) -> Result<Self, HttpError> {
        let host = self.base.host_str().unwrap_or_default();
        let literal = host.trim_matches(['[', ']']).parse().ok();
        if literal.is_some_and(|address| !reach.may_lead_to(NetworkZone::new(address))) {
            let reason = "it is an address of the node, where no registry is allowed".to_owned();
            return Err(HttpError::Address { url: self.base.to_string(), reason });
        }
        Ok(Self { reach: Some(reach), ..self })
    }

    /// Requests a manifest: that of the reference, or one that an index names.
    pub(crate) async fn manifest(&self, digest: Option<&Digest>) -> Result<Body, HttpError> {
        let digest = digest.or_else(|| self.reference.digest());
        let version = digest.map_or_else(|| self.reference.version(), ToString::to_string);
        let mut request = self.request(&manifest_path(&version), manifest::MAX_BYTES)?;
        request.headers.insert(ACCEPT, HeaderValue::from_static(manifest::ACCEPT));
        request.sha256 = digest.map(|digest| self.expected(digest));
        self.get(request).await
    }

    /// Requests a blob with at most `limit` bytes.
    pub(crate) async fn blob(&self, blob: &Descriptor, limit: u64) -> Result<Body, HttpError> {
        let mut request = self.request(&format!("blobs/{}", blob.digest), limit)?;
        request.sha256 = Some(self.expected(&blob.digest));
        self.get(request).await
    }

    fn expected<'d>(&self, digest: &'d Digest) -> Expected<'d> {
        let by = if self.reference.digest() == Some(digest) { "the reference" } else { "the manifest" };
        Expected { sha256: digest.hex(), by }
    }

    fn request<'r>(&self, path: &str, limit: u64) -> Result<Request<'r>, HttpError> {
        let url = self.base.join(path);
        let url =
            url.map_err(|error| HttpError::Address { url: path.to_owned(), reason: error.to_string() })?;
        Ok(Request {
            from: self.reach,
            remedy: self.remedy,
            message: error_message,
            ..Request::get(url, limit)
        })
    }

    /// Sends the request with the last accepted authorization; if it is refused, with each of the
    /// credentials.
    async fn get(&self, mut request: Request<'_>) -> Result<Body, HttpError> {
        let last_authorization = self.authorization.lock().clone();
        if let Some(last_authorization) = last_authorization {
            request.headers.insert(AUTHORIZATION, last_authorization);
        }
        let refusal = match self.client.exchange(&request).await {
            Err(error) if error.challenge().is_some() => error,
            result => return result,
        };
        let Some(auth_challenge) = refusal.challenge() else { return Err(refusal) };
        let Some(challenge) = Challenge::read(auth_challenge.challenges()) else { return Err(refusal) };
        let mut last = None;
        // Token servers also issue tokens for anonymous access to public repositories.
        let anonymous = self.credentials.is_empty().then_some(None);
        for credentials in self.credentials.iter().map(Some).chain(anonymous) {
            let Some(authorization) =
                self.authorize(&challenge, auth_challenge, credentials).await.transpose()
            else {
                continue;
            };
            let response = match authorization {
                Ok(authorization) => {
                    request.headers.insert(AUTHORIZATION, authorization.clone());
                    self.client
                        .exchange(&request)
                        .await
                        .inspect(|_| *self.authorization.lock() = Some(authorization))
                }
                Err(error) => Err(error),
            };
            match response {
                Err(error) if error.is_refused() => last = Some(error),
                result => return result,
            }
        }
        Err(last.unwrap_or(refusal))
    }

    /// The authorization for the challenge; `None` if it requires credentials and the session has none.
    async fn authorize(
        &self,
        challenge: &Challenge,
        auth_challenge: &AuthChallenge,
        credentials: Option<&RegistryCredentials>,
    ) -> Result<Option<HeaderValue>, HttpError> {
        let basic = credentials.and_then(RegistryCredentials::basic);
        let Challenge::Bearer { realm, service, scope } = challenge else { return Ok(basic) };
        let mut url = auth_challenge.resolve(realm)?;
        let own_scope = || format!("repository:{}:pull", self.reference.repository());
        url.query_pairs_mut()
            .extend_pairs(service.iter().map(|service| ("service", service)))
            .append_pair("scope", &scope.clone().unwrap_or_else(own_scope));
        let headers = basic.map(|basic| (AUTHORIZATION, basic)).into_iter().collect::<HeaderMap>();
        let from = Some(auth_challenge.zone());
        let request = Request {
            headers,
            from,
            remedy: self.remedy,
            message: error_message,
            ..Request::get(url, MAX_TOKEN_BYTES)
        };
        let mut body = self.client.exchange(&request).await?;
        let address = body.address().to_owned();
        token(&body.read(MAX_TOKEN_BYTES).await?).map(Some).ok_or(HttpError::Token { address })
    }
}

/// `https://registry.example.com/v2/team/sql/`, the base of all addresses.
fn base(reference: &Reference, plain: bool) -> Result<Url, HttpError> {
    let scheme = if plain { "http" } else { "https" };
    let base = format!("{scheme}://{}/v2/{}/", reference.host(), reference.repository());
    Url::parse(&base).map_err(|error| HttpError::Address { url: base, reason: error.to_string() })
}

fn manifest_path(version: &str) -> String {
    format!("manifests/{version}")
}

/// The address of the first request: for the manifest of `reference`.
///
/// # Errors
/// If the reference is not a valid address.
pub(crate) fn first_address(reference: &Reference, plain: bool) -> Result<Url, HttpError> {
    let path = manifest_path(&reference.version());
    let url = base(reference, plain)?.join(&path);
    url.map_err(|error| HttpError::Address { url: path, reason: error.to_string() })
}

/// The token in the response of a token server, as a header value.
fn token(response: &[u8]) -> Option<HeaderValue> {
    #[derive(Deserialize)]
    struct TokenResponse {
        token: Option<String>,
        /// The name of the field in OAuth 2.
        access_token: Option<String>,
    }
    let TokenResponse { token, access_token } = serde_json::from_slice(response).ok()?;
    let token = token.or(access_token).filter(|token| !token.is_empty())?;
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The registry's message in an error response (distribution-spec, "Error Codes").
fn error_message(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Errors {
        errors: Vec<ServerError>,
    }
    #[derive(Deserialize)]
    struct ServerError {
        code: String,
        #[serde(default)]
        message: String,
    }
    let Errors { errors } = serde_json::from_slice(body).ok()?;
    let ServerError { code, message } = errors.into_iter().next()?;
    Some(format!("{code}: {message}"))
}
