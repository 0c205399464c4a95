//! Sends the requests of the library like those of boot itself.

use std::sync::Arc;

use ::object_store::ClientOptions;
use ::object_store::client::{
    HttpClient, HttpConnector, HttpError as ServiceError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use async_trait::async_trait;
use http_body_util::{BodyExt, Limited};
use reqwest::{Request, Url};

use crate::http::{HttpError, LibraryTransport, display_url};

/// Marks a request for an object, whose size is limited while it is written.
#[derive(Clone, Copy)]
pub(super) struct ObjectRequest;

/// Maximum size of any other response: a page of a list, or credentials, which the library keeps in memory.
/// S3 lists 1,000 objects in a page and Azure 5,000, each with a name of at most 1,024 bytes and some hundred
/// bytes more.
const MAX_ANSWER: usize = 16 << 20;

/// Creates the HTTP client of the library.
#[derive(Debug, Clone)]
pub(super) struct Connector(Arc<LibraryTransport>);

impl Connector {
    pub(super) fn new(transport: Arc<LibraryTransport>) -> Self {
        Self(transport)
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> ::object_store::Result<HttpClient> {
        Ok(HttpClient::new(Self::clone(self)))
    }
}

#[async_trait]
impl HttpService for Connector {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, ServiceError> {
        let (parts, body) = request.into_parts();
        let is_object = parts.extensions.get::<ObjectRequest>().is_some();
        let url = Url::parse(&parts.uri.to_string()).map_err(|error| {
            failed(HttpError::Address { url: parts.uri.path().to_owned(), reason: error.to_string() })
        })?;
        let mut request = Request::new(parts.method, url.clone());
        *request.headers_mut() = parts.headers;
        // Boot only reads: the only body is a form in one piece that requests credentials.
        *request.body_mut() = body.as_bytes().filter(|bytes| !bytes.is_empty()).cloned().map(Into::into);
        let response = self.0.send(request).await.map_err(failed)?;

        let (parts, body) = http::Response::<reqwest::Body>::from(response).into_parts();
        let (transport, from) = (Arc::clone(&self.0), display_url(&url));
        let body_error = move |error: &reqwest::Error| failed(transport.body_error(&url, error));
        let body = if is_object {
            HttpResponseBody::new(body.map_err(move |error| body_error(&error)))
        } else {
            HttpResponseBody::new(Limited::new(body, MAX_ANSWER).map_err(move |error| {
                match error.downcast::<reqwest::Error>() {
                    Ok(error) => body_error(&error),
                    Err(_) => failed(HttpError::Setup(format!(
                        "{from}: the response is larger than any list of objects or credentials: check that endpoint is \
                         the address of such a store"
                    ))),
                }
            }))
        };
        Ok(HttpResponse::from_parts(parts, body))
    }
}

/// An error that the library neither interprets nor retries: the transport has done both.
fn failed(error: HttpError) -> ServiceError {
    ServiceError::new(HttpErrorKind::Unknown, error)
}
