//! One request with its redirects.

use std::borrow::Cow;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use reqwest::header::{CONTENT_TYPE, HeaderMap, WWW_AUTHENTICATE};
use reqwest::{Method, Response, StatusCode, Url};
use tokio::time::timeout;

use super::address_class::NetworkZone;
use super::body::{Body, Expected};
use super::client::HttpClient;
use super::display::display_url;
use super::error::{self, AuthChallenge, ERROR_TIMEOUT, HttpError, MAX_ERROR_BYTES, MAX_MESSAGE_CHARS};
use super::redirect;
use super::retry;

/// A request.
pub(crate) struct Request<'a> {
    /// The method. A `GET` has no body.
    pub(crate) method: Method,
    /// The address.
    pub(crate) url: Url,
    /// Content type and body.
    pub(crate) body: Option<(&'a str, Cow<'a, str>)>,
    /// The secrets in the body, which the server may repeat in its message.
    pub(crate) secrets: Vec<&'a str>,
    /// Sent in addition to the headers of the client, and like those only to the host of this address.
    pub(crate) headers: HeaderMap,
    /// The class of the server that named the address; `None` if the profile names it.
    pub(crate) from: Option<NetworkZone>,
    /// Why a redirect is refused, and what to do; `None` to follow it.
    pub(crate) redirect_refusal: Option<&'static str>,
    /// The required SHA-256 of the body.
    pub(crate) sha256: Option<Expected<'a>>,
    /// Maximum size of the response.
    pub(crate) limit: u64,
    /// Finds the server's message in the body of an error response.
    pub(crate) message: fn(&[u8]) -> Option<String>,
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
            secrets: Vec::new(),
            headers: HeaderMap::new(),
            from: None,
            redirect_refusal: None,
            sha256: None,
            limit,
            message: |_| None,
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
            let response = self.send_hop(request, &method, &url, from).await?;
            // Behind a proxy, this is the address of the proxy, which shows nothing about the server.
            let peer = response.remote_addr().filter(|_| self.settings.proxy.is_none());
            let zone = peer.map_or(NetworkZone::Network, |address| NetworkZone::new(address.ip()));
            let Some(target) = redirect::target(&url, &response, zone)? else {
                return self.receive(request, url, zone, response).await;
            };
            if let Some(reason) = request.redirect_refusal {
                return Err(redirect::refused(&url, &target, reason));
            }
            if redirects == self.settings.redirects {
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

    async fn send_hop(
        &self,
        request: &Request<'_>,
        method: &Method,
        url: &Url,
        from: Option<NetworkZone>,
    ) -> Result<Response, HttpError> {
        let address = display_url(url);
        self.progress.request_sent(&address);
        let mut builder = self.hop_client(from)?.request(method.clone(), url.clone());
        if url.origin() == request.url.origin() {
            builder = builder.headers(self.headers.clone()).headers(self.secret_headers.clone());
            builder = builder.headers(request.headers.clone());
        }
        // A redirect can change the method to GET.
        if let Some((kind, body)) = request.body.as_ref().filter(|_| *method != Method::GET) {
            builder = builder.header(CONTENT_TYPE, *kind).body(body.to_string());
        }
        let sent = builder.send().await;
        sent.map_err(|error| HttpError::from_reqwest(&address, self.settings.connect_timeout_seconds, &error))
    }

    async fn receive(
        &self,
        request: &Request<'_>,
        url: Url,
        zone: NetworkZone,
        response: Response,
    ) -> Result<Body, HttpError> {
        let address = display_url(&url);
        let status = response.status();
        if !status.is_success() {
            let values = || response.headers().get_all(WWW_AUTHENTICATE).iter().cloned().collect();
            // A challenge of another host must not receive credentials.
            let may_authenticate = status == StatusCode::UNAUTHORIZED && url.origin() == request.url.origin();
            let challenge = may_authenticate.then(|| Box::new(AuthChallenge { values: values(), url, zone }));
            return Err(self.error_response(request, address, challenge, response).await);
        }
        if response.content_length().is_some_and(|length| length > request.limit) {
            return Err(HttpError::TooLarge { address, limit: request.limit });
        }
        Ok(self.body(address, response, request.limit, request.sha256))
    }

    async fn error_response(
        &self,
        request: &Request<'_>,
        address: String,
        challenge: Option<Box<AuthChallenge>>,
        response: Response,
    ) -> HttpError {
        let status = response.status();
        let retry_after = retry::retry_after(&response);
        let mut body = self.body(address.clone(), response, MAX_ERROR_BYTES, None);
        // If there is no message, the status must suffice.
        let read = timeout(ERROR_TIMEOUT, body.read(MAX_ERROR_BYTES)).await;
        let message = read.ok().and_then(Result::ok).and_then(|body| (request.message)(&body));
        let message = message.map_or_else(String::new, |message| {
            let message: String = self
                .redact(&request.headers, &request.secrets, &message)
                .chars()
                .take(MAX_MESSAGE_CHARS)
                .collect();
            format!(" ({message:?})")
        });
        let remedy = (request.remedy)(status);
        HttpError::Status { address, status, message, remedy, retry_after, challenge }
    }

    fn body(&self, address: String, response: Response, limit: u64, expected: Option<Expected<'_>>) -> Body {
        let (from, seconds) = (address.clone(), self.settings.connect_timeout_seconds);
        let announced = response.content_length();
        let stream =
            response.bytes_stream().map_err(move |error| HttpError::from_reqwest(&from, seconds, &error));
        Body::new(stream.boxed(), address, Arc::clone(&self.progress), limit, expected)
            .announced_as(announced)
    }
}
