//! Test data in the stores, written with the APIs of the servers and not with the library that boot reads
//! with.

use std::fmt::Write as _;
use std::fs;
use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Client, Method, RequestBuilder, Url};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::servers::{self, Server};
use super::{S3_KEY, S3_SECRET};
use crate::support::Container;

/// The well-known account and key of azurite, which are not secret.
/// <https://learn.microsoft.com/en-us/azure/storage/common/storage-use-azurite#well-known-storage-account-and-key>
pub(super) const ACCOUNT: &str = "devstoreaccount1";
pub(super) const ACCOUNT_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    S3,
    Gcs,
    Azure,
}

/// A store with one bucket.
pub(super) struct Store {
    pub(super) kind: Kind,
    pub(super) bucket: String,
    server: Arc<Server>,
}

impl Store {
    /// Creates the bucket `bucket` in a store.
    pub(super) fn new(kind: Kind, bucket: &str) -> Self {
        let server = match kind {
            Kind::S3 => servers::s3(),
            Kind::Gcs => servers::gcs(),
            Kind::Azure => servers::azure(),
        };
        let store = Self { kind, bucket: bucket.to_owned(), server };
        match kind {
            Kind::S3 => fs::create_dir(store.server.folder.path().join("root").join(bucket)).unwrap(),
            Kind::Gcs => {
                let body = json!({"name": bucket}).to_string();
                let url = format!("{}/storage/v1/b?project=test", store.endpoint());
                send(client().post(url).header(CONTENT_TYPE, "application/json").body(body));
            }
            Kind::Azure => store.put_azure(&["restype", "container"], "", &[]),
        }
        store
    }

    /// A store of each kind, all of them with this bucket.
    pub(super) fn each(bucket: &str) -> impl Iterator<Item = Self> {
        [Kind::S3, Kind::Gcs, Kind::Azure].into_iter().map(move |kind| Self::new(kind, bucket))
    }

    pub(super) fn put(&self, key: &str, content: &[u8]) {
        match self.kind {
            Kind::S3 => {
                let file = self.server.folder.path().join("root").join(&self.bucket).join(key);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, content).unwrap();
            }
            Kind::Gcs => {
                let mut url: Url =
                    format!("{}/upload/storage/v1/b/{}/o", self.endpoint(), self.bucket).parse().unwrap();
                url.query_pairs_mut().append_pair("uploadType", "media").append_pair("name", key);
                send(client().post(url).body(content.to_vec()));
            }
            Kind::Azure => self.put_azure(&[], key, content),
        }
    }

    fn put_azure(&self, query: &[&str], key: &str, content: &[u8]) {
        let mut url: Url = format!("{}/{}", self.endpoint(), self.bucket).parse().unwrap();
        if !key.is_empty() {
            url.path_segments_mut().unwrap().extend(key.split('/'));
        }
        let mut resource = format!("/{ACCOUNT}{}", url.path());
        if let [name, value] = query {
            url.query_pairs_mut().append_pair(name, value);
            write!(resource, "\n{name}:{value}").unwrap();
        }
        let date = httpdate::fmt_http_date(std::time::SystemTime::now());
        let headers = [("x-ms-blob-type", "BlockBlob"), ("x-ms-date", &date), ("x-ms-version", "2021-12-02")];
        let canonical = headers.map(|(name, value)| format!("{name}:{value}\n")).concat();
        let length = if content.is_empty() { String::new() } else { content.len().to_string() };
        // https://learn.microsoft.com/en-us/rest/api/storageservices/authorize-with-shared-key
        let signed = format!("PUT\n\n\n{length}\n\n\n\n\n\n\n\n\n{canonical}{resource}");
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &STANDARD.decode(ACCOUNT_KEY).unwrap());
        let signature = STANDARD.encode(ring::hmac::sign(&key, signed.as_bytes()));
        let mut request = client().request(Method::PUT, url).body(content.to_vec());
        request = request.header(CONTENT_LENGTH, content.len());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        send(request.header("Authorization", format!("SharedKey {ACCOUNT}:{signature}")));
    }

    pub(super) fn endpoint(&self) -> String {
        let path = if self.kind == Kind::Azure { format!("/{ACCOUNT}") } else { String::new() };
        format!("http://127.0.0.1:{}{path}", self.server.port)
    }

    /// The bucket in the format of the profile.
    pub(super) fn settings(&self) -> Value {
        let (bucket, endpoint) = (&self.bucket, self.endpoint());
        match self.kind {
            Kind::S3 => json!({"s3": {"bucket": bucket, "endpoint": endpoint}}),
            Kind::Gcs => json!({"gcs": {"bucket": bucket, "endpoint": endpoint}}),
            Kind::Azure => json!({"azure": {"account": ACCOUNT, "container": bucket, "endpoint": endpoint}}),
        }
    }

    /// Mounts valid keys, and returns the credentials in the format of the profile.
    pub(super) fn credentials(&self, container: &Container) -> Value {
        match self.kind {
            Kind::S3 => mount(
                container,
                &[("AWS_ACCESS_KEY_ID", S3_KEY), ("AWS_SECRET_ACCESS_KEY", &format!("{S3_SECRET}\n"))],
            ),
            // The server does not authenticate its clients.
            Kind::Gcs => json!({"anonymous": true}),
            Kind::Azure => mount(container, &[("AZURE_STORAGE_KEY", ACCOUNT_KEY)]),
        }
    }
}

/// Mounts a Secret with credentials.
pub(super) fn mount(container: &Container, keys: &[(&str, &str)]) -> Value {
    container.mount("store/credentials", keys.iter().map(|(key, value)| (*key, value.as_bytes())));
    json!({"secret": "login"})
}

pub(crate) fn client() -> &'static Client {
    static CLIENT: LazyLock<Client> = LazyLock::new(|| {
        // Another test may have installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Client::builder().no_proxy().build().unwrap()
    });
    &CLIENT
}

fn send(request: RequestBuilder) {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
    RUNTIME.block_on(async {
        let answer = request.send().await.unwrap();
        let status = answer.status();
        assert!(status.is_success(), "{status}: {}", answer.text().await.unwrap());
    });
}
