//! One request with its redirects, and all of its attempts.

use std::borrow::Cow;
use std::rc::Rc;
use std::time::Duration;

use futures::StreamExt;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Response, StatusCode, Url};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::address::Zone;
use super::body::{Body, Checksum};
use super::client::{Client, place};
use super::error::{HttpError, remedy};
use super::{redirect, retry};
use crate::boot::source::SourceError;

/// How much of an error's body is read, and for how long, to find the server's own sentence.
const MAX_ERROR_BYTES: u64 = 64 * 1024;
const ERROR_TIME: Duration = Duration::from_secs(5);

/// How much of the server's own sentence is told, in characters.
const MAX_SAID: usize = 500;

/// What is asked.
pub(crate) struct Request<'a> {
    /// `GET` or `POST`.
    pub(crate) method: Method,
    /// Where.
    pub(crate) url: Url,
    /// Content type and body.
    pub(crate) body: Option<(&'a str, Cow<'a, str>)>,
    /// What the body's SHA-256 must be, in hexadecimal digits.
    pub(crate) sha256: Option<&'a str>,
    /// Bytes of the answer at most.
    pub(crate) limit: u64,
    /// Finds the server's own sentence in an error's body, where the format is known.
    pub(crate) said: fn(&[u8]) -> Option<String>,
}

impl Client<'_> {
    /// Asks until there is an answer that `take` could read to its end: it is called for each attempt that brings
    /// one, so what it was given before must not count.
    pub(crate) async fn fetch<T>(
        &self,
        request: &Request<'_>,
        take: impl AsyncFnMut(Body) -> Result<T, SourceError>,
    ) -> Result<T, SourceError> {
        let Some(seconds) = self.says.timeout_seconds else {
            return self.attempts(request, take).await;
        };
        let in_time = timeout_at(self.deadline, self.attempts(request, take)).await;
        in_time.unwrap_or_else(|_| {
            let doing = self.progress.describe();
            Err(SourceError::too_slow(seconds, "client.timeoutSeconds of the source", doing))
        })
    }

    async fn attempts<T>(
        &self,
        request: &Request<'_>,
        mut take: impl AsyncFnMut(Body) -> Result<T, SourceError>,
    ) -> Result<T, SourceError> {
        let mut pauses = retry::pauses(self.says.attempts);
        let mut attempts = 0;
        loop {
            attempts += 1;
            let result = match self.exchange(request).await {
                Ok(body) => take(body).await,
                Err(error) => Err(error.into()),
            };
            let error = match result {
                Err(SourceError::Http(error)) if error.is_temporary() => error,
                result => return result,
            };
            let Some(pause) = pauses.next() else {
                return Err(match attempts {
                    1 => error,
                    _ => HttpError::GaveUp { error: Box::new(error), attempts },
                }
                .into());
            };
            let (after, left) = (error.retry_after().unwrap_or_default(), self.deadline - Instant::now());
            if after >= left {
                return Err(
                    HttpError::TooPatient { error: Box::new(error), after, left: left.as_secs() }.into()
                );
            }
            self.progress.failed(&error.to_string());
            sleep(pause.max(after)).await;
        }
    }

    async fn exchange(&self, request: &Request<'_>) -> Result<Body, HttpError> {
        let mut method = request.method.clone();
        let mut url = request.url.clone();
        let mut from = None;
        let mut redirects = 0;
        loop {
            let response = self.hop_to(request, &method, &url, from).await?;
            // Behind a proxy the address is the proxy's, which says nothing about the server.
            let peer = response.remote_addr().filter(|_| self.says.proxy.is_none());
            let zone = peer.map_or(Zone::Network, |address| Zone::of(address.ip()));
            let Some(target) = redirect::target(&url, &response, zone)? else {
                return self.answer(request, &url, response).await;
            };
            if redirects == self.says.redirects {
                return Err(redirect::too_many(&url, &target, redirects));
            }
            redirects += 1;
            // RFC 9110, section 15.4: what was sent is only sent again where the status says so.
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
        from: Option<Zone>,
    ) -> Result<Response, HttpError> {
        let place = place(url);
        self.progress.asked(&place);
        let mut builder = self.hop(from)?.request(method.clone(), url.clone());
        if url.origin() == request.url.origin() {
            builder = builder.headers(self.headers.clone()).headers(self.secret_headers.clone());
        }
        if let (Some((kind, body)), &Method::POST) = (&request.body, method) {
            builder = builder.header(CONTENT_TYPE, *kind).body(body.to_string());
        }
        let sent = builder.send().await;
        sent.map_err(|error| HttpError::of(&place, self.says.connect_timeout_seconds, &error))
    }

    async fn answer(&self, request: &Request<'_>, url: &Url, response: Response) -> Result<Body, HttpError> {
        let place = place(url);
        let status = response.status();
        if !status.is_success() {
            return Err(self.refusal(request, place, response).await);
        }
        if response.content_length().is_some_and(|length| length > request.limit) {
            return Err(HttpError::TooLarge { place, limit: request.limit });
        }
        let checksum = request.sha256.map(Checksum::new);
        Ok(self.body(place, response, request.limit, checksum))
    }

    async fn refusal(&self, request: &Request<'_>, place: String, response: Response) -> HttpError {
        let status = response.status();
        let retry_after = retry::after(&response);
        let mut body = self.body(place.clone(), response, MAX_ERROR_BYTES, None);
        // Without a sentence of its own the status says what there is to say.
        let read = timeout(ERROR_TIME, body.read(MAX_ERROR_BYTES)).await;
        let said = read.ok().and_then(Result::ok).and_then(|body| (request.said)(&body));
        let said = said.map_or_else(String::new, |said| {
            let said: String = self.redact(&said).chars().take(MAX_SAID).collect();
            format!(" and says {said:?}")
        });
        HttpError::Status { place, status, said, remedy: remedy(status), retry_after }
    }

    fn body(&self, place: String, response: Response, limit: u64, checksum: Option<Checksum>) -> Body {
        Body {
            stream: response.bytes_stream().boxed(),
            progress: Rc::clone(&self.progress),
            place,
            connect_seconds: self.says.connect_timeout_seconds,
            limit,
            seen: 0,
            checksum,
            held: Vec::new(),
            failure: None,
        }
    }
}
