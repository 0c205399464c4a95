//! The profile's words for what is fetched over the network: requests, and how to make them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;
use super::size::Size;
use super::spec::SourceTarget;

/// How much one source may give. What is over a limit fails the boot while it streams in.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of all values and files, and of what is downloaded for them: `16Mi`. Without it:
    /// `volume.sizeLimit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(max = 20), regex(pattern = "^[1-9][0-9]*(k|M|G|Ki|Mi|Gi)?$"))]
    pub size: Option<Size>,
    /// Number of files.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub files: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { size: None, files: 10_000 }
    }
}

/// One HTTP request, and what becomes of its answer.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rules::cel(rules::HTTP)))]
pub struct Http {
    /// `GET` or `POST`. Either may be sent more than once, so the server must answer it without side effects.
    #[serde(default)]
    pub method: Method,
    /// Scheme, host and the path's fixed start. No user, no query: `https://assets.example.com/v1`.
    #[schemars(length(max = 2048), regex(pattern = "^https?://[^/?#@\\s]+(/[^?#\\s]*)?$"))]
    pub url: String,
    /// What follows in the path, URL-encoded. May be a template.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 2048), regex(pattern = "^([^?#\\s]|[{][{%#][^}]*[}])*$"))]
    pub path: String,
    /// The query's values by name, as plain text: boot encodes them. Each may be a template.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub query: BTreeMap<String, String>,
    /// Body of a POST. May be a template where contentType is JSON, `application/x-www-form-urlencoded` or
    /// `text/plain`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536))]
    pub body: Option<String>,
    /// Content type of the body.
    #[serde(default = "json_type")]
    #[schemars(length(min = 1, max = 253))]
    pub content_type: String,
    /// SHA-256 of the answer's body in hexadecimal digits: of the archive, not of what it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    pub sha256: Option<String>,
    /// The answer is one file: its path. May be a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 3841))]
    pub file: Option<String>,
    /// The answer is JSON, and objects in it hold variables or files by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16))]
    pub json: Vec<JsonPart>,
    /// The answer is an archive of files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<Archive>,
    /// How the request is made.
    #[serde(default)]
    pub client: Client,
}

fn json_type() -> String {
    "application/json".to_owned()
}

/// A request's method.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Method {
    /// `GET`.
    #[default]
    #[serde(rename = "GET")]
    Get,
    /// `POST`.
    #[serde(rename = "POST")]
    Post,
}

impl Method {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// An object in a JSON answer: its names and values become variables or files.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rules::cel(rules::JSON_PART)))]
pub struct JsonPart {
    /// Where the object is, as RFC 6901 writes it: `/data/env`. Empty: the answer itself.
    #[serde(default)]
    #[schemars(length(max = 253), regex(pattern = "^(/.*)?$"))]
    pub pointer: String,
    /// Whether the names are variables or files.
    #[serde(default)]
    pub into: SourceTarget,
    /// Which names to leave out, with `*` for any characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub exclude: Vec<String>,
    /// Put in front of every name: a folder (`sql/`) for files, which may be a template; a prefix (`DB_`) for env.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub prefix: String,
    /// Whether the variables are secrets. They are kept as all others are; the log counts them, and with
    /// `assets.layout: Optimus` they stand in `.secret`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
}

/// An archive of files.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-kubernetes-validations" = rules::cel(rules::ARCHIVE)))]
pub struct Archive {
    /// How it is packed. Without it, boot looks at its first bytes.
    pub format: ArchiveFormat,
    /// Leading folders to strip from every name; a file that has no more is left out. A git host's archive
    /// of a ref has one.
    #[schemars(range(max = 32))]
    pub strip_components: u32,
    /// Take only what lies below this folder, without its name; counted after stripping. May be a template.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253), regex(pattern = "^([^/]+(/[^/]+)*)?$"))]
    pub path: String,
    /// Put in front of every file: a folder (`sql/`). May be a template.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub prefix: String,
}

/// How an archive is packed.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum ArchiveFormat {
    /// What its first bytes say.
    #[default]
    Auto,
    /// tar.
    Tar,
    /// tar, compressed by gzip.
    TarGz,
    /// zip. It is read from its end, so that it takes room on the volume while it is unpacked.
    Zip,
}

/// How requests are made: trust, identity, patience.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Client {
    /// Name of a Secret of the pod's namespace whose keys are headers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"))]
    pub headers_from_secret: Option<String>,
    /// Further headers. They show in every pod's spec: write what is secret into headersFromSecret.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub headers: Vec<Header>,
    /// A token of the pod's service account, sent as `Authorization: Bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
    /// The only certificate authorities that are trusted. Without it: the public ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<Ca>,
    /// An HTTP proxy for all requests: `http://proxy.example.com:3128`. Without it none is used, whatever the
    /// env of the boot container says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = "^https?://[^/?#@\\s]+/?$"))]
    pub proxy: Option<String>,
    /// Seconds until a connection must stand, TLS included.
    #[schemars(range(min = 1, max = 300))]
    pub connect_timeout_seconds: u32,
    /// Seconds that the source may take with all its attempts. Without it: `boot.timeoutSeconds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_seconds: Option<u32>,
    /// How often the request is sent at most. Repeated are connections that fail or break and the statuses
    /// 408, 429 and 5xx.
    #[schemars(range(min = 1, max = 20))]
    pub attempts: u32,
    /// How many redirects are followed. None leads to another scheme, nor to the node's own addresses.
    #[schemars(range(max = 20))]
    pub redirects: u32,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            headers_from_secret: None,
            headers: Vec::new(),
            token: None,
            ca: None,
            proxy: None,
            connect_timeout_seconds: 10,
            timeout_seconds: None,
            attempts: 5,
            redirects: 5,
        }
    }
}

/// A header of a request.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rules::cel(rules::HEADER)))]
pub struct Header {
    /// Its name.
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[0-9A-Za-z!#$%&'*+.^_`|~-]+$"))]
    pub name: String,
    /// Its value: one line. May be a template.
    #[schemars(length(max = 4096))]
    pub value: String,
}

/// A token of the pod's service account, made for one audience.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Token {
    /// Who it is for: what the server checks.
    #[schemars(length(min = 1, max = 253))]
    pub audience: String,
    /// Seconds that it is valid for. Kubernetes takes no less than ten minutes.
    #[serde(default = "an_hour")]
    #[schemars(range(min = 600, max = 86400))]
    pub expiration_seconds: i64,
}

fn an_hour() -> i64 {
    3600
}

/// Where the certificate authorities are: a key of a `ConfigMap` or a `Secret` of the pod's namespace.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rules::cel(rules::CA)))]
pub struct Ca {
    /// Name of a `ConfigMap`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"))]
    pub config_map: Option<String>,
    /// Name of a `Secret`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"))]
    pub secret: Option<String>,
    /// The key that holds them in PEM.
    #[serde(default = "ca_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

fn ca_key() -> String {
    "ca.crt".to_owned()
}

impl Ca {
    /// The object in words: `ConfigMap company-ca`.
    #[must_use]
    pub fn title(&self) -> String {
        match (&self.config_map, &self.secret) {
            (Some(name), _) => format!("ConfigMap {name}"),
            (None, name) => format!("Secret {}", name.as_deref().unwrap_or_default()),
        }
    }
}

/// A job's assets, config and secrets, compiled by an Optimus server for one run (its `run_input`).
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Optimus {
    /// Scheme and host of the server, and the path before `/api`: `http://optimus.data:9100`.
    #[schemars(length(max = 2048), regex(pattern = "^https?://[^/?#@\\s]+(/[^?#\\s]*)?$"))]
    pub host: String,
    /// The project. May be a template.
    #[schemars(length(min = 1, max = 1024))]
    pub project: String,
    /// The job. May be a template.
    #[schemars(length(min = 1, max = 1024))]
    pub job: String,
    /// When the run is scheduled: a time as RFC 3339 writes it. May be a template.
    #[schemars(length(min = 1, max = 1024))]
    pub scheduled_at: String,
    /// The plugin that runs: its name. May be a template.
    #[schemars(length(min = 1, max = 1024))]
    pub instance_name: String,
    /// Whether the plugin is the job's task or one of its hooks.
    #[serde(default)]
    pub instance_type: InstanceType,
    /// What becomes of a value that holds the words no value in angle brackets, which Optimus' templates write for what is
    /// not defined.
    #[serde(default)]
    pub no_value: NoValue,
    /// How the request is made.
    #[serde(default)]
    pub client: Client,
}

/// What an Optimus plugin is to its job.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum InstanceType {
    /// The job's task.
    #[default]
    Task,
    /// A hook of the job.
    Hook,
}

/// What becomes of a value that holds `<no value>`.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum NoValue {
    /// The boot fails and names the entry.
    #[default]
    Error,
    /// The log names the entry, and the task gets the value as it is.
    Warn,
}
