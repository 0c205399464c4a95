//! Settings of OCI sources.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::remote::Client;
use super::rules;

/// Files of an OCI artifact or image in a registry.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rules::cel(rules::OCI)))]
pub struct Oci {
    /// Registry, repository, and a tag or a digest: `registry.example.com/team/assets:v3`. If it has both,
    /// the digest is used. Without a registry, Docker Hub is used. Can be a template after the registry.
    /// Required.
    #[schemars(length(min = 1, max = 1024))]
    pub reference: String,
    /// Folder or file to use, of all files. The path of the folder is removed. Defaults to all files. Can be
    /// a template.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253), regex(pattern = "^([^/]+(/[^/]+)*)?$"))]
    pub path: String,
    /// Prefix of all paths: a folder such as `sql/`. Can be a template.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub prefix: String,
    /// Platform to select from an image index: `linux/arm64`. Defaults to the platform of the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), regex(pattern = "^[a-z0-9]+/[a-z0-9_]+(/[a-z0-9.]+)?$"))]
    pub platform: Option<String>,
    /// Name of a Secret of type `kubernetes.io/dockerconfigjson` in the namespace of the pod. By default,
    /// boot pulls anonymously.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"))]
    pub pull_secret: Option<String>,
    /// Whether to use HTTP without TLS, which exposes the credentials to the network. Defaults to false.
    #[serde(default)]
    pub plain_http: bool,
    /// How requests are sent.
    #[serde(default)]
    pub client: Client,
}
