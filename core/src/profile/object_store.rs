//! Settings of object store sources.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address;
use super::remote::{Archive, Ca, Client, JsonPart};
use super::rule::{self, CelRule, Validated};
use super::targets::{PATH, cel_is_path, is_path, is_template};
use crate::exactly_one::exactly_one;

/// An object, or all objects with a prefix, in S3, Google Cloud Storage or Azure Blob Storage.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rule::cel::<ObjectStore>()))]
pub struct ObjectStore {
    /// Amazon S3, or a store with the same protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3>,
    /// Google Cloud Storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gcs: Option<Gcs>,
    /// Azure Blob Storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure: Option<Azure>,
    /// Key of one object, as plain text: `jobs/daily/config.json`. Can be a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^[^/]+(/[^/]+)*$"))]
    pub object: Option<String>,
    /// Folder whose objects become files, without the name of the folder. If it is empty, the whole bucket is
    /// used. Can be a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024), regex(pattern = "^([^/]+(/[^/]+)*/?)?$"))]
    pub prefix: Option<String>,
    /// Folder for the files of a prefix: `sql/daily`. Defaults to the assets folder. Can be a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[^/]+(/[^/]+)*$"))]
    pub folder: Option<String>,
    /// SHA-256 digest of the object in hexadecimal digits: of the archive, not of its files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    pub sha256: Option<String>,
    /// Path of the file that contains the object. Can be a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 3841))]
    pub file: Option<String>,
    /// Objects in a JSON document that contain variables or files by name. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16))]
    pub json: Vec<JsonPart>,
    /// How to unpack the object, which is an archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<Archive>,
    /// Credentials. Defaults to the workload identity of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<ObjectStoreCredentials>,
    /// How requests are sent.
    #[serde(default)]
    pub client: ObjectStoreClient,
}

impl Validated for ObjectStore {
    const RULES: &'static [CelRule<Self>] = &[
        CelRule {
            cel: "[has(self.s3), has(self.gcs), has(self.azure)].filter(store, store).size() == 1",
            message: "objectStore must have exactly one of s3, gcs and azure: set one of them",
            is_met: |part| exactly_one([part.s3.is_some(), part.gcs.is_some(), part.azure.is_some()]),
        },
        CelRule {
            cel: "has(self.object) != has(self.prefix)",
            message: "objectStore must have exactly one of object and prefix: set one of them",
            is_met: |part| part.object.is_some() != part.prefix.is_some(),
        },
        CelRule {
            cel: "!has(self.object) || [has(self.file), has(self.json), has(self.archive)].filter(kind, kind).size() == 1",
            message: "object requires exactly one of file, json and archive: set one of them",
            is_met: |part| {
                part.object.is_none()
                    || exactly_one([part.file.is_some(), !part.json.is_empty(), part.archive.is_some()])
            },
        },
        CelRule {
            cel: "!has(self.prefix) || !(has(self.file) || has(self.json) || has(self.archive) || has(self.sha256))",
            message: "file, json, archive and sha256 require object, not prefix: remove them, or set object",
            is_met: |part| {
                let of_an_object = part.file.is_some()
                    || !part.json.is_empty()
                    || part.archive.is_some()
                    || part.sha256.is_some();
                part.prefix.is_none() || !of_an_object
            },
        },
        CelRule {
            cel: "!has(self.folder) || has(self.prefix)",
            message: "folder requires prefix: for an object, set the path in file, json[].prefix or \
                      archive.prefix",
            is_met: |part| part.folder.is_none() || part.prefix.is_some(),
        },
        CelRule {
            cel: concat!("!has(self.file) || self.file.contains('{') || ", cel_is_path!("self.file")),
            message: PATH,
            is_met: |part| part.file.as_deref().is_none_or(|file| is_template(file) || is_path(file)),
        },
        CelRule {
            cel: concat!("!has(self.folder) || self.folder.contains('{') || ", cel_is_path!("self.folder")),
            message: "folder must be a path relative to the assets folder: write it without a leading or \
                      trailing slash, and without empty parts, . and ..",
            is_met: |part| part.folder.as_deref().is_none_or(|folder| is_template(folder) || is_path(folder)),
        },
    ];
}

/// A bucket in S3.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct S3 {
    /// Name of the bucket. Required.
    #[schemars(length(min = 3, max = 255), regex(pattern = "^[A-Za-z0-9][-A-Za-z0-9._]*$"))]
    pub bucket: String,
    /// Region of the bucket. Defaults to that of the workload identity, or `us-east-1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[-a-z0-9]+$"))]
    pub region: Option<String>,
    /// Scheme and host of a store with the protocol of S3: `https://minio.example.com:9000`. Defaults to the
    /// endpoint of Amazon S3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = address::BASE_PATTERN))]
    pub endpoint: Option<String>,
    /// Whether the name of the bucket is part of the host (`https://BUCKET.s3.example.com/`) instead of the
    /// path. Defaults to false.
    #[serde(default)]
    pub virtual_hosted: bool,
}

/// A bucket in Google Cloud Storage.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gcs {
    /// Name of the bucket. Required.
    #[schemars(length(min = 3, max = 222), regex(pattern = "^[a-z0-9][-a-z0-9._]*$"))]
    pub bucket: String,
    /// Scheme and host of a store with the same protocol. Defaults to the endpoint of Google Cloud Storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = address::BASE_PATTERN))]
    pub endpoint: Option<String>,
}

/// A container in Azure Blob Storage.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Azure {
    /// Name of the storage account. Required.
    #[schemars(length(min = 3, max = 24), regex(pattern = "^[a-z0-9]+$"))]
    pub account: String,
    /// Name of the container. Required.
    #[schemars(length(min = 3, max = 63), regex(pattern = "^[$a-z0-9][-a-z0-9]*$"))]
    pub container: String,
    /// Scheme, host and path before the name of the container: `http://azurite:10000/devstoreaccount1`.
    /// Defaults to `https://ACCOUNT.blob.core.windows.net`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = address::BASE_PATTERN))]
    pub endpoint: Option<String>,
}

/// Credentials for an object store.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rule::cel::<ObjectStoreCredentials>()))]
pub struct ObjectStoreCredentials {
    /// Name of a Secret in the namespace of the pod, with the keys that the tools of the cloud use:
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`; `key.json`; `AZURE_STORAGE_KEY`,
    /// `AZURE_STORAGE_SAS_TOKEN`, or `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and `AZURE_CLIENT_SECRET`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"))]
    pub secret: Option<String>,
    /// Whether to send requests without credentials, for public buckets. Defaults to false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anonymous: bool,
}

impl Validated for ObjectStoreCredentials {
    const RULES: &'static [CelRule<Self>] = &[CelRule {
        cel: "has(self.secret) != (has(self.anonymous) && self.anonymous)",
        message: "credentials must have exactly one of secret and anonymous: set one of them, or remove \
                  credentials to use the workload identity of the pod",
        is_met: |part| part.secret.is_some() != part.anonymous,
    }];
}

/// How requests to an object store are sent: trust, timeouts and retries.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ObjectStoreClient {
    /// Trusted certificate authorities. Defaults to the public ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<Ca>,
    /// HTTP proxy for all requests except those to the metadata service of the node:
    /// `http://proxy.example.com:3128`. By default, no proxy is used; the env of the boot container does not
    /// matter.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = "^https?://[^/?#@\\s]+/?$"))]
    pub proxy: Option<String>,
    /// Timeout for connecting, with TLS, in seconds. Defaults to 10. At most 300.
    #[schemars(range(min = 1, max = 300))]
    pub connect_timeout_seconds: u32,
    /// Timeout for the source with all requests, in seconds. Defaults to `boot.timeoutSeconds`. At most 3600.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_seconds: Option<u32>,
    /// Maximum number of attempts for each request. Boot retries if a connection fails or is closed, and on
    /// the statuses 408, 429 and 5xx; it resumes a download that was interrupted. Defaults to 5. At most 20.
    #[schemars(range(min = 1, max = 20))]
    pub attempts: u32,
    /// Number of objects of a prefix that are fetched at the same time. Each uses up to 512 KiB of memory.
    /// Defaults to 16. At most 64.
    #[schemars(range(min = 1, max = 64))]
    pub concurrency: u32,
}

impl Default for ObjectStoreClient {
    fn default() -> Self {
        let Client { connect_timeout_seconds, attempts, .. } = Client::default();
        Self {
            ca: None,
            proxy: None,
            connect_timeout_seconds,
            timeout_seconds: None,
            attempts,
            // A higher value does not help: if many tasks boot at once, the node is the bottleneck, not the
            // store.
            concurrency: 16,
        }
    }
}

impl ObjectStore {
    /// URL of the objects in the notation of the tools of the store: `s3://assets/jobs/daily`.
    #[must_use]
    pub fn address(&self) -> String {
        let key = self.object.as_deref().or(self.prefix.as_deref()).unwrap_or_default();
        format!("{}/{}", self.bucket_address(), key.escape_debug())
    }

    /// URL of the bucket, or of the container in Azure, in the same notation.
    #[must_use]
    pub fn bucket_address(&self) -> String {
        match (&self.s3, &self.gcs, &self.azure) {
            (Some(s3), ..) => format!("s3://{}", s3.bucket),
            (_, Some(gcs), _) => format!("gs://{}", gcs.bucket),
            (.., Some(azure)) => format!("az://{}/{}", azure.account, azure.container),
            _ => "no store".to_owned(),
        }
    }
}
