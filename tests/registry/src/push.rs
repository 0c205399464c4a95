//! Pushes blobs and manifests.
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#push>

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Method, RequestBuilder, Url};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{PASSWORD, Registry, USER};

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A blob or manifest with its descriptor.
#[derive(Clone, Debug)]
pub struct Blob(Value);

impl Blob {
    /// The blob with this content, pushed or not.
    #[must_use]
    pub fn new(media_type: &str, content: &[u8]) -> Self {
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(content)));
        Self(json!({"mediaType": media_type, "digest": digest, "size": content.len()}))
    }

    /// The digest: `sha256:…`.
    #[must_use]
    pub fn digest(&self) -> &str {
        self.0.get("digest").and_then(Value::as_str).unwrap_or_default()
    }

    /// The blob with an additional annotation.
    #[must_use]
    pub fn annotated(mut self, key: &str, value: &str) -> Self {
        if let Some(blob) = self.0.as_object_mut() {
            let annotations = blob.entry("annotations").or_insert_with(|| json!({}));
            annotations.as_object_mut().and_then(|all| all.insert(key.to_owned(), json!(value)));
        }
        self
    }

    /// The blob as a file of an artifact.
    #[must_use]
    pub fn titled(self, title: &str) -> Self {
        self.annotated("org.opencontainers.image.title", title)
    }

    /// The manifest as an entry of an index, for a platform: `linux/arm64`.
    #[must_use]
    pub fn made_for(mut self, platform: &str) -> Self {
        let (os, architecture) = platform.split_once('/').unwrap_or((platform, ""));
        let platform = json!({"os": os, "architecture": architecture});
        self.0.as_object_mut().and_then(|blob| blob.insert("platform".to_owned(), platform));
        self
    }

    /// The descriptor.
    #[must_use]
    pub fn descriptor(&self) -> &Value {
        &self.0
    }
}

/// A manifest in the OCI format.
#[must_use]
pub fn manifest(config: &Blob, layers: &[Blob]) -> Value {
    let layers: Vec<_> = layers.iter().map(Blob::descriptor).collect();
    json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config.descriptor(), "layers": layers})
}

impl Registry {
    /// Pushes a blob.
    ///
    /// # Errors
    /// If the registry refuses it.
    pub async fn blob(
        &self,
        repository: &str,
        media_type: &str,
        content: impl Into<Vec<u8>>,
    ) -> Result<Blob> {
        let content = content.into();
        let blob = Blob::new(media_type, &content);
        let begun = self.send(self.request(Method::POST, &format!("{repository}/blobs/uploads/"))?).await?;
        let location = begun.headers().get(LOCATION).context("an upload has an address")?.to_str()?;
        let mut url = begun.url().join(location)?;
        url.query_pairs_mut().append_pair("digest", blob.digest());
        let request = self.client.put(url).basic_auth(USER, Some(PASSWORD));
        self.send(request.header(CONTENT_TYPE, "application/octet-stream").body(content)).await?;
        Ok(blob)
    }

    /// Pushes a manifest under a tag. Its media type is the one in the manifest.
    ///
    /// # Errors
    /// If the registry refuses it.
    pub async fn manifest(&self, repository: &str, tag: &str, manifest: &Value) -> Result<Blob> {
        let media_type =
            manifest.get("mediaType").and_then(Value::as_str).context("a manifest has a type")?;
        let content = manifest.to_string();
        let blob = Blob::new(media_type, content.as_bytes());
        let request = self.request(Method::PUT, &format!("{repository}/manifests/{tag}"))?;
        self.send(request.header(CONTENT_TYPE, media_type).body(content)).await?;
        Ok(blob)
    }

    /// Pushes an artifact with files and packed folders (`tar`, `tar+gzip`), as ORAS does.
    ///
    /// # Errors
    /// If the registry refuses it.
    pub async fn artifact(&self, repository: &str, tag: &str, files: &[(&str, &[u8])]) -> Result<Blob> {
        let config = self.blob(repository, "application/vnd.oci.empty.v1+json", "{}").await?;
        let mut layers = Vec::new();
        for (title, content) in files {
            layers.push(self.blob(repository, "application/octet-stream", *content).await?.titled(title));
        }
        self.manifest(repository, tag, &manifest(&config, &layers)).await
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder> {
        let scheme = if self.ca().is_empty() { "http" } else { "https" };
        let url = Url::parse(&format!("{scheme}://{}/v2/{path}", self.host()))?;
        Ok(self.client.request(method, url).basic_auth(USER, Some(PASSWORD)))
    }

    async fn send(&self, request: RequestBuilder) -> Result<reqwest::Response> {
        let answer = request.send().await?;
        let (status, url) = (answer.status(), answer.url().clone());
        if status.is_success() {
            return Ok(answer);
        }
        let said = answer.text().await.unwrap_or_default();
        bail!("{url}: {status}: {said}")
    }
}

pub(crate) fn client(ca: Option<&str>) -> Result<reqwest::Client> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca.unwrap_or_default().as_bytes()) {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let tls = tls.with_root_certificates(roots).with_no_client_auth();
    Ok(reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build()?)
}
