//! The profile's words for an object store: which store, which objects, as whom.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::remote::{Archive, Ca, Client, JsonPart};
use super::rules;

/// An object, or every object below a prefix, of S3, Google Cloud Storage or Azure Blob Storage.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rules::cel(rules::OBJECT_STORE)))]
pub struct ObjectStore {
    /// Amazon S3, or a store that speaks its protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3>,
    /// Google Cloud Storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gcs: Option<Gcs>,
    /// Azure Blob Storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure: Option<Azure>,
    /// Key of one object, as plain text: `jobs/daily/config.json`. May be a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^[^/]+(/[^/]+)*$"))]
    pub object: Option<String>,
    /// Every object whose key lies below this folder becomes a file, without the folder's name. Empty: the whole
    /// bucket. May be a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024), regex(pattern = "^([^/]+(/[^/]+)*/?)?$"))]
    pub prefix: Option<String>,
    /// Folder that the files of a prefix lie in: `sql/daily`. Without it: the assets folder itself. May be a
    /// template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[^/]+(/[^/]+)*$"))]
    pub folder: Option<String>,
    /// SHA-256 of the object in hexadecimal digits: of the archive, not of what it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    pub sha256: Option<String>,
    /// The object is one file: its path. May be a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 3841))]
    pub file: Option<String>,
    /// The object is JSON, and objects in it hold variables or files by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16))]
    pub json: Vec<JsonPart>,
    /// The object is an archive of files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<Archive>,
    /// As whom. Without it: the workload identity that the cloud gives the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<ObjectStoreCredentials>,
    /// How requests are made.
    #[serde(default)]
    pub client: ObjectStoreClient,
}

/// A bucket of S3.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct S3 {
    /// Name of the bucket.
    #[schemars(length(min = 3, max = 255), regex(pattern = "^[A-Za-z0-9][-A-Za-z0-9._]*$"))]
    pub bucket: String,
    /// The bucket's region. Without it: what the cloud's workload identity says, else `us-east-1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[-a-z0-9]+$"))]
    pub region: Option<String>,
    /// Scheme and host of a store that speaks S3's protocol: `https://minio.example.com:9000`. Without it: Amazon's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = "^https?://[^/?#@\\s]+(/[^?#\\s]*)?$"))]
    pub endpoint: Option<String>,
    /// Whether the bucket's name stands in the host (`https://BUCKET.s3.example.com/`) instead of the path.
    #[serde(default)]
    pub virtual_hosted: bool,
}

/// A bucket of Google Cloud Storage.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gcs {
    /// Name of the bucket.
    #[schemars(length(min = 3, max = 222), regex(pattern = "^[a-z0-9][-a-z0-9._]*$"))]
    pub bucket: String,
    /// Scheme and host of a store that speaks its protocol. Without it: Google's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = "^https?://[^/?#@\\s]+(/[^?#\\s]*)?$"))]
    pub endpoint: Option<String>,
}

/// A container of Azure Blob Storage.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Azure {
    /// Name of the storage account.
    #[schemars(length(min = 3, max = 24), regex(pattern = "^[a-z0-9]+$"))]
    pub account: String,
    /// Name of the container.
    #[schemars(length(min = 3, max = 63), regex(pattern = "^[$a-z0-9][-a-z0-9]*$"))]
    pub container: String,
    /// Scheme, host and path before the container, where they are not
    /// `https://ACCOUNT.blob.core.windows.net`: `http://azurite:10000/devstoreaccount1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = "^https?://[^/?#@\\s]+(/[^?#\\s]*)?$"))]
    pub endpoint: Option<String>,
}

/// As whom boot asks.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rules::cel(rules::CREDENTIALS)))]
pub struct ObjectStoreCredentials {
    /// Name of a Secret of the pod's namespace. Its keys are those of the cloud's own tools: `AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`; `key.json`; `AZURE_STORAGE_KEY`, `AZURE_STORAGE_SAS_TOKEN`, or
    /// `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and `AZURE_CLIENT_SECRET`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"))]
    pub secret: Option<String>,
    /// Whether boot asks without credentials, as public buckets allow it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anonymous: bool,
}

/// How a store's requests are made: trust and patience.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ObjectStoreClient {
    /// The only certificate authorities that are trusted. Without it: the public ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<Ca>,
    /// An HTTP proxy for all requests but those to the node's own metadata service:
    /// `http://proxy.example.com:3128`. Without it none is used, whatever the env of the boot container says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = "^https?://[^/?#@\\s]+/?$"))]
    pub proxy: Option<String>,
    /// Seconds until a connection must stand, TLS included.
    #[schemars(range(min = 1, max = 300))]
    pub connect_timeout_seconds: u32,
    /// Seconds that the source may take with all its requests. Without it: `boot.timeoutSeconds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_seconds: Option<u32>,
    /// How often each request is sent at most. Repeated are connections that fail or break and the statuses 408, 429
    /// and 5xx; an object that broke off goes on where it did.
    #[schemars(range(min = 1, max = 20))]
    pub attempts: u32,
    /// How many objects of a prefix are fetched at the same time. Each takes up to half a megabyte of memory.
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
            // With more, a node that boots many tasks at once is what is slow, not the store.
            concurrency: 16,
        }
    }
}

impl ObjectStore {
    /// Where the objects are, as the store's own tools write it: `s3://assets/jobs/daily`.
    #[must_use]
    pub fn address(&self) -> String {
        let key = self.object.as_deref().or(self.prefix.as_deref()).unwrap_or_default();
        format!("{}/{}", self.bucket_address(), key.escape_debug())
    }

    /// The bucket, or Azure's container, in the same words.
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
