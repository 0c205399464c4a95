//! The profile's words for what a registry holds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::remote::Client;
use super::rules;

/// An OCI artifact's files, or an image's, from a registry.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rules::cel(rules::OCI)))]
pub struct Oci {
    /// Registry, repository, and a tag or a digest: `registry.example.com/team/assets:v3`. With both, the digest
    /// counts. Without a registry it is Docker Hub.
    #[schemars(length(min = 1, max = 1024))]
    pub reference: String,
    /// Take only what lies below this folder, without its name, or this one file.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253), regex(pattern = "^([^/]+(/[^/]+)*)?$"))]
    pub path: String,
    /// Put in front of every file: a folder (`sql/`).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub prefix: String,
    /// Which image of an index: `linux/arm64`. Without it, the one for the node that boot runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), regex(pattern = "^[a-z0-9]+/[a-z0-9_]+(/[a-z0-9.]+)?$"))]
    pub platform: Option<String>,
    /// Name of a Secret of the pod's namespace, of type `kubernetes.io/dockerconfigjson`. Without it boot asks as
    /// nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"))]
    pub pull_secret: Option<String>,
    /// Speak HTTP without TLS. Credentials can then be read on the way.
    #[serde(default)]
    pub plain_http: bool,
    /// How the requests are made.
    #[serde(default)]
    pub client: Client,
}
