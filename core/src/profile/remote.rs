//! Settings of network sources: requests, and how they are sent.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address;
use super::mounted::SourceTarget;
use super::rule::{self, CelRule, Validated};
use super::size::Size;
use super::targets::{
    PATH, PREFIX_OF_NAMES, PREFIX_OF_PATHS, cel_is_path, is_path, is_start_of_path, is_template, is_variable,
};
use crate::exactly_one::exactly_one;

/// Limits of the content of a source. Boot fails as soon as a limit is exceeded.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// Maximum size of all values and files, and of the download: for example `16Mi`. Defaults to
    /// `volume.sizeLimit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(max = 20), regex(pattern = "^[1-9][0-9]*(k|M|G|Ki|Mi|Gi)?$"))]
    pub size: Option<Size>,
    /// Maximum number of files. Defaults to 10000. At most 1000000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub files: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { size: None, files: 10_000 }
    }
}

/// An HTTP request, and how its response is used.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rule::cel::<Http>()))]
pub struct Http {
    /// Method: `GET` or `POST`. Boot can send a request more than once, so it must not have side effects.
    /// Defaults to `GET`.
    #[serde(default)]
    pub method: Method,
    /// Scheme, host and fixed start of the path, without user and query: `https://assets.example.com/v1`.
    /// Required.
    #[schemars(length(max = 2048), regex(pattern = address::BASE_PATTERN))]
    pub url: String,
    /// Rest of the path, URL-encoded. Can be a template.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 2048), regex(pattern = address::PATH_PATTERN))]
    pub path: String,
    /// Query parameters by name, as plain text: boot encodes them. Each value can be a template. At most 64.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub query: BTreeMap<String, String>,
    /// Body of a POST request. Can be a template if contentType is JSON, `application/x-www-form-urlencoded`
    /// or `text/plain`. At most 65536 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536))]
    pub body: Option<String>,
    /// Content type of the body. Defaults to `application/json`.
    #[serde(default = "json_type")]
    #[schemars(length(min = 1, max = 253))]
    pub content_type: String,
    /// SHA-256 digest of the response body in hexadecimal digits: of the archive, not of its files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    pub sha256: Option<String>,
    /// Path of the file that contains the response. Can be a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 3841))]
    pub file: Option<String>,
    /// Objects in a JSON response that contain variables or files by name. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16))]
    pub json: Vec<JsonPart>,
    /// How to unpack the response, which is an archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<Archive>,
    /// How requests are sent.
    #[serde(default)]
    pub client: Client,
}

impl Validated for Http {
    const RULES: &'static [CelRule<Self>] = &[
        CelRule {
            cel: "(has(self.file) ? 1 : 0) + (has(self.json) ? 1 : 0) + (has(self.archive) ? 1 : 0) == 1",
            message: "http must have exactly one of file, json and archive: set one of them",
            is_met: |part| exactly_one([part.file.is_some(), !part.json.is_empty(), part.archive.is_some()]),
        },
        CelRule {
            cel: concat!("!has(self.file) || self.file.contains('{') || ", cel_is_path!("self.file")),
            message: PATH,
            is_met: |part| part.file.as_deref().is_none_or(|file| is_template(file) || is_path(file)),
        },
        CelRule {
            cel: "!has(self.body) || self.method == 'POST'",
            message: "body requires method POST: set method to POST, or remove body",
            is_met: |part| part.body.is_none() || part.method == Method::Post,
        },
    ];
}

pub(super) fn json_type() -> String {
    "application/json".to_owned()
}

/// Method of a request.
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
    /// The method in a request.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// An object in a JSON document whose names and values become variables or files.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rule::cel::<JsonPart>()))]
pub struct JsonPart {
    /// JSON pointer (RFC 6901) to the object: `/data/env`. Defaults to the whole document.
    #[serde(default)]
    #[schemars(length(max = 253), regex(pattern = "^(/.*)?$"))]
    pub pointer: String,
    /// Target of the names: `Env` for variables, `Files` for files. Defaults to `Files`.
    #[serde(default)]
    pub into: SourceTarget,
    /// Names to leave out. A `*` matches any characters. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub exclude: Vec<String>,
    /// Prefix of all names: a folder such as `sql/` for files, which can be a template, or a prefix such as
    /// `DB_` for variables.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub prefix: String,
    /// Whether the variables are secrets. The log counts them, and in the layout `Optimus` they
    /// are in `.secret`. Defaults to false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
}

impl Validated for JsonPart {
    const RULES: &'static [CelRule<Self>] = &[
        CelRule {
            cel: "self.into != 'Env' || !has(self.prefix) || self.prefix.matches('^[ -<>-~]+$')",
            message: PREFIX_OF_NAMES,
            is_met: |part| {
                part.into != SourceTarget::Env || part.prefix.is_empty() || is_variable(&part.prefix)
            },
        },
        CelRule {
            cel: concat!(
                "self.into != 'Files' || !has(self.prefix) || self.prefix.contains('{') || ",
                cel_is_path!("self.prefix + 'x'")
            ),
            message: PREFIX_OF_PATHS,
            is_met: |part| {
                part.into != SourceTarget::Files
                    || is_template(&part.prefix)
                    || is_start_of_path(&part.prefix)
            },
        },
    ];
}

/// An archive of files.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-kubernetes-validations" = rule::cel::<Archive>()))]
pub struct Archive {
    /// Format of the archive: `Auto`, `Tar`, `TarGz` or `Zip`. Defaults to `Auto`, which detects it from the
    /// first bytes.
    pub format: ArchiveFormat,
    /// Number of leading folders to remove from every path; files with fewer folders are left out. An archive
    /// that a Git host creates has one. Defaults to 0. At most 32.
    #[schemars(range(max = 32))]
    pub strip_components: u32,
    /// Folder to unpack, after stripComponents is applied. Its own path is removed. Defaults to the whole
    /// archive. Can be a template.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253), regex(pattern = "^([^/]+(/[^/]+)*)?$"))]
    pub path: String,
    /// Prefix of all paths: a folder such as `sql/`. Can be a template.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub prefix: String,
}

impl Validated for Archive {
    const RULES: &'static [CelRule<Self>] = &[CelRule {
        cel: concat!("!has(self.prefix) || self.prefix.contains('{') || ", cel_is_path!("self.prefix + 'x'")),
        message: PREFIX_OF_PATHS,
        is_met: |part| is_template(&part.prefix) || is_start_of_path(&part.prefix),
    }];
}

/// Format of an archive.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum ArchiveFormat {
    /// Detected from the first bytes.
    #[default]
    Auto,
    /// tar.
    Tar,
    /// tar, compressed by gzip.
    TarGz,
    /// zip. Boot reads it from its end, so it needs space on the volume while it is unpacked.
    Zip,
}

/// How requests are sent: credentials, trust, timeouts and retries.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Client {
    /// Name of a Secret in the namespace of the pod whose keys are headers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"))]
    pub headers_from_secret: Option<String>,
    /// Additional headers. They are visible in the spec of every pod: put secrets in headersFromSecret. At
    /// most 32.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub headers: Vec<Header>,
    /// A token of the service account of the pod, sent as `Authorization: Bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
    /// Trusted certificate authorities. Defaults to the public ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<Ca>,
    /// HTTP proxy for all requests: `http://proxy.example.com:3128`. By default, no proxy is used; the env of
    /// the boot container does not matter.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = "^https?://[^/?#@\\s]+/?$"))]
    pub proxy: Option<String>,
    /// Timeout for connecting, with TLS, in seconds. Defaults to 10. At most 300.
    #[schemars(range(min = 1, max = 300))]
    pub connect_timeout_seconds: u32,
    /// Timeout for the source with all attempts, in seconds. Defaults to `boot.timeoutSeconds`. At most 3600.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_seconds: Option<u32>,
    /// Maximum number of attempts. Boot retries if a connection fails or is closed, and on the statuses 408,
    /// 429 and 5xx. Defaults to 5. At most 20.
    #[schemars(range(min = 1, max = 20))]
    pub attempts: u32,
    /// Maximum number of redirects. A redirect to another scheme or to an address of the node is refused.
    /// Defaults to 5. At most 20.
    #[schemars(range(max = 20))]
    pub redirects: u32,
}

impl Client {
    /// Whether it sets headers or a token, which a source that authenticates in another way does not support.
    #[must_use]
    pub fn has_headers(&self) -> bool {
        !self.headers.is_empty() || self.headers_from_secret.is_some() || self.token.is_some()
    }
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
#[schemars(extend("x-kubernetes-validations" = rule::cel::<Header>()))]
pub struct Header {
    /// Name of the header. Required.
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[0-9A-Za-z!#$%&'*+.^_`|~-]+$"))]
    pub name: String,
    /// Value of the header, without line breaks. Can be a template. Required.
    #[schemars(length(max = 4096))]
    pub value: String,
}

impl Validated for Header {
    const RULES: &'static [CelRule<Self>] = &[
        CelRule {
            cel: "!(self.name.lowerAscii() in ['authorization', 'cookie', 'proxy-authorization'])",
            message: "the header is a credential, which would be visible in the spec of every pod: put it in \
                      the Secret of headersFromSecret",
            is_met: |part| {
                !contains_ignoring_case(&part.name, &["authorization", "cookie", "proxy-authorization"])
            },
        },
        CelRule {
            cel: "!(self.name.lowerAscii() in ['connection', 'content-length', 'content-type', 'host', 'transfer-encoding'])",
            message: "the header is set by boot: remove it, or set contentType of the request",
            is_met: |part| {
                let own = ["connection", "content-length", "content-type", "host", "transfer-encoding"];
                !contains_ignoring_case(&part.name, &own)
            },
        },
    ];
}

fn contains_ignoring_case(name: &str, names: &[&str]) -> bool {
    names.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// A token of the service account of the pod, for one audience.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Token {
    /// Audience of the token, which the server verifies. Required.
    #[schemars(length(min = 1, max = 253))]
    pub audience: String,
    /// Validity of the token, in seconds. Defaults to 3600. At least 600, at most 86400.
    #[serde(default = "an_hour")]
    #[schemars(range(min = 600, max = 86400))]
    pub expiration_seconds: i64,
}

pub(super) fn an_hour() -> i64 {
    3600
}

/// Certificate authorities in a key of a `ConfigMap` or `Secret` in the namespace of the pod.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rule::cel::<Ca>()))]
pub struct Ca {
    /// Name of a `ConfigMap`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"))]
    pub config_map: Option<String>,
    /// Name of a `Secret`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"))]
    pub secret: Option<String>,
    /// Key that contains the certificates in PEM format. Defaults to `ca.crt`.
    #[serde(default = "ca_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

impl Validated for Ca {
    const RULES: &'static [CelRule<Self>] = &[CelRule {
        cel: "has(self.configMap) != has(self.secret)",
        message: "ca must have exactly one of configMap and secret: set one of them",
        is_met: |part| part.config_map.is_some() != part.secret.is_some(),
    }];
}

fn ca_key() -> String {
    "ca.crt".to_owned()
}

impl Ca {
    /// The object for messages: `ConfigMap company-ca`.
    #[must_use]
    pub fn title(&self) -> String {
        match (&self.config_map, &self.secret) {
            (Some(name), _) => format!("ConfigMap {name}"),
            (None, name) => format!("Secret {}", name.as_deref().unwrap_or_default()),
        }
    }
}

/// Assets, config and secrets of a job, compiled by an Optimus server for one run (its `run_input`).
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Optimus {
    /// Scheme and host of the server, and the path before `/api`: `http://optimus.data:9100`. Required.
    #[schemars(length(max = 2048), regex(pattern = address::BASE_PATTERN))]
    pub host: String,
    /// Project. Can be a template. Required.
    #[schemars(length(min = 1, max = 1024))]
    pub project: String,
    /// Job. Can be a template. Required.
    #[schemars(length(min = 1, max = 1024))]
    pub job: String,
    /// Time for which the run is scheduled (RFC 3339). Can be a template. Required.
    #[schemars(length(min = 1, max = 1024))]
    pub scheduled_at: String,
    /// Name of the plugin that runs. Can be a template. Required.
    #[schemars(length(min = 1, max = 1024))]
    pub instance_name: String,
    /// Type of the plugin: `Task` for the task of the job, `Hook` for one of its hooks. Defaults to `Task`.
    #[serde(default)]
    pub instance_type: InstanceType,
    /// What to do with a value that contains the words no value in angle brackets, which Optimus templates
    /// write for undefined values: `Error` or `Warn`. Defaults to `Error`.
    #[serde(default)]
    pub no_value: NoValue,
    /// How requests are sent.
    #[serde(default)]
    pub client: Client,
}

/// Type of an Optimus plugin.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum InstanceType {
    /// The task of the job.
    #[default]
    Task,
    /// A hook of the job.
    Hook,
}

/// What to do with a value that contains `<no value>`.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum NoValue {
    /// Boot fails with a message that names the entry.
    #[default]
    Error,
    /// The log names the entry, and the task gets the value unchanged.
    Warn,
}
