//! `http`: one request, whose response becomes a file, the files of an archive, or the content of JSON
//! objects.

use reqwest::Method;

use super::SourceError;
use super::content::ContentKind;
use super::remote::RemoteApi;
use crate::boot::sink::Sink;
use crate::http::{Body, Expected, HttpError, Request};
use bootlace_core::entry::Rename;
use bootlace_core::profile::address;
use bootlace_core::profile::remote::{self, Http};

impl RemoteApi for Http {
    const RENAME: Rename = Rename::Json;

    fn title(&self) -> String {
        format!("{} {}", self.method.as_str(), self.url)
    }

    fn client(&self) -> &remote::Client {
        &self.client
    }

    fn request(&self, limit: u64) -> Result<Request<'_>, SourceError> {
        Ok(Request {
            method: match self.method {
                remote::Method::Get => Method::GET,
                remote::Method::Post => Method::POST,
            },
            body: self.body.as_deref().map(|body| (self.content_type.as_str(), body.into())),
            sha256: self.sha256.as_deref().map(|sha256| Expected { sha256, by: "the profile" }),
            ..Request::get(address::join(&self.url, &self.path, &self.query).map_err(HttpError::from)?, limit)
        })
    }

    async fn receive(&self, body: &mut Body, sink: &mut Sink<'_>) -> Result<(), SourceError> {
        let content =
            ContentKind { file: self.file.as_deref(), archive: self.archive.as_ref(), json: &self.json };
        content.write(body, sink).await
    }
}
