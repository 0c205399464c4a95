//! One request with its redirects.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use reqwest::header::{CONTENT_TYPE, HeaderMap, WWW_AUTHENTICATE};
use reqwest::{Method, Response, StatusCode, Url};
use tokio::time::timeout;

use super::address_class::NetworkZone;
use super::body::{Body, Expected};
use super::client::{HttpClient, display_url};
use super::error::{self, AuthChallenge, HttpError};
use super::redirect;
use super::retry;

/// Limits for reading the body of an error response, which may contain the server's message.
pub(super) const MAX_ERROR_BYTES: u64 = 64 * 1024;
pub(super) const ERROR_TIME: Duration = Duration::from_secs(5);

/// Maximum length of the server's message, in characters.
pub(super) const MAX_SAID: usize = 500;

/// A request.
pub(crate) struct Request<'a> {
    /// `GET` or `POST`.
    pub(crate) method: Method,
    /// The address.
    pub(crate) url: Url,
    /// Content type and body.
    pub(crate) body: Option<(&'a str, Cow<'a, str>)>,
    /// Sent in addition to the headers of the client, and like those only to the host of this address.
    pub(crate) headers: HeaderMap,
    /// The class of the server that named the address; `None` if the profile names it.
    pub(crate) from: Option<NetworkZone>,
    /// The required SHA-256 of the body.
    pub(crate) sha256: Option<Expected<'a>>,
    /// Maximum size of the response.
    pub(crate) limit: u64,
    /// Finds the server's message in the body of an error response.
    pub(crate) said: fn(&[u8]) -> Option<String>,
    /// The remedy for a status.
    pub(crate) remedy: fn(StatusCode) -> &'static str,
}

impl Request<'_> {
    /// A GET without body and additional headers.
    pub(crate) fn get(url: Url, limit: u64) -> Self {
        Self {
            method: Method::GET,
            url,
            body: None,
            headers: HeaderMap::new(),
            from: None,
            sha256: None,
            limit,
            said: |_| None,
            remedy: error::remedy,
        }
    }
}

impl HttpClient<'_> {
    /// Sends the request once, and follows redirects.
    pub(crate) async fn exchange(&self, request: &Request<'_>) -> Result<Body, HttpError> {
        let mut method = request.method.clone();
        let mut url = request.url.clone();
        let mut from = request.from;
        let mut redirects = 0;
        loop {
            let response = self.hop_to(request, &method, &url, from).await?;
            // Behind a proxy, this is the address of the proxy, which shows nothing about the server.
            let peer = response.remote_addr().filter(|_| self.says.proxy.is_none());
            let zone = peer.map_or(NetworkZone::Network, |address| NetworkZone::of(address.ip()));
            let Some(target) = redirect::target(&url, &response, zone)? else {
                return self.answer(request, url, zone, response).await;
            };
            if redirects == self.says.redirects {
                return Err(redirect::too_many(&url, &target, redirects));
            }
            redirects += 1;
            // RFC 9110, section 15.4: the body is only sent again if the status requires it.
            let again = [StatusCode::TEMPORARY_REDIRECT, StatusCode::PERMANENT_REDIRECT];
            if !again.contains(&response.status()) {
                method = Method::GET;
            }
            (url, from) = (target, Some(zone));
        }
    }

    async fn hop_to(
        &self,
        request: &Request<'_>,
        method: &Method,
        url: &Url,
        from: Option<NetworkZone>,
    ) -> Result<Response, HttpError> {
        let place = display_url(url);
        self.progress.asked(&place);
        let mut builder = self.hop(from)?.request(method.clone(), url.clone());
        if url.origin() == request.url.origin() {
            builder = builder.headers(self.headers.clone()).headers(self.secret_headers.clone());
            builder = builder.headers(request.headers.clone());
        }
        if let (Some((kind, body)), &Method::POST) = (&request.body, method) {
            builder = builder.header(CONTENT_TYPE, *kind).body(body.to_string());
        }
        let sent = builder.send().await;
        sent.map_err(|error| HttpError::of(&place, self.says.connect_timeout_seconds, &error))
    }

    async fn answer(
        &self,
        request: &Request<'_>,
        url: Url,
        zone: NetworkZone,
        response: Response,
    ) -> Result<Body, HttpError> {
        let place = display_url(&url);
        let status = response.status();
        if !status.is_success() {
            let values = || response.headers().get_all(WWW_AUTHENTICATE).iter().cloned().collect();
            // A challenge of another host must not receive credentials.
            let asks = status == StatusCode::UNAUTHORIZED && url.origin() == request.url.origin();
            let demand = asks.then(|| Box::new(AuthChallenge { values: values(), url, zone }));
            return Err(self.refusal(request, place, demand, response).await);
        }
        if response.content_length().is_some_and(|length| length > request.limit) {
            return Err(HttpError::TooLarge { place, limit: request.limit });
        }
        Ok(self.body(place, response, request.limit, request.sha256))
    }

    async fn refusal(
        &self,
        request: &Request<'_>,
        place: String,
        demand: Option<Box<AuthChallenge>>,
        response: Response,
    ) -> HttpError {
        let status = response.status();
        let retry_after = retry::after(&response);
        let mut body = self.body(place.clone(), response, MAX_ERROR_BYTES, None);
        // If there is no message, the status must suffice.
        let read = timeout(ERROR_TIME, body.read(MAX_ERROR_BYTES)).await;
        let said = read.ok().and_then(Result::ok).and_then(|body| (request.said)(&body));
        let said = said.map_or_else(String::new, |said| {
            let said: String = self.redact(&request.headers, &said).chars().take(MAX_SAID).collect();
            format!(" ({said:?})")
        });
        let remedy = (request.remedy)(status);
        HttpError::Status { place, status, said, remedy, retry_after, demand }
    }

    fn body(&self, place: String, response: Response, limit: u64, expected: Option<Expected<'_>>) -> Body {
        let (from, seconds) = (place.clone(), self.says.connect_timeout_seconds);
        let announced = response.content_length();
        let stream = response.bytes_stream().map_err(move |error| HttpError::of(&from, seconds, &error));
        Body::new(stream.boxed(), place, Arc::clone(&self.progress), limit, expected).announced_as(announced)
    }
}
