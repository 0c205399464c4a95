//! Settings of OCI sources.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::remote::Client;
use super::rule::{self, CelRule, Validated};
use super::targets::{PREFIX_OF_PATHS, cel_is_path, is_start_of_path, is_template};

/// Files of an OCI artifact or image in a registry.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rule::cel::<Oci>()))]
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

impl Validated for Oci {
    const RULES: &'static [CelRule<Self>] = &[
        CelRule {
            cel: "self.reference.matches('(:[^/:@]+|@sha256:[0-9a-f]{64})$')",
            message: "reference must end in a tag or a digest: use a reference such as \
                      registry.example.com/team/assets:v3 or …@sha256:…",
            is_met: |part| match part.reference.rsplit_once('@') {
                Some((_, digest)) => digest.strip_prefix("sha256:").is_some_and(|hex| {
                    hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
                }),
                None => part
                    .reference
                    .rsplit_once(':')
                    .is_some_and(|(_, tag)| !tag.is_empty() && !tag.contains('/')),
            },
        },
        CelRule {
            cel: "!has(self.client) || !(has(self.client.headers) || has(self.client.headersFromSecret) || \
                  has(self.client.token))",
            message: "client.headers, client.headersFromSecret and client.token are not supported for \
                      registries: remove them, and set pullSecret",
            is_met: |part| !part.client.has_headers(),
        },
        CelRule {
            cel: concat!(
                "!has(self.prefix) || self.prefix.contains('{') || ",
                cel_is_path!("self.prefix + 'x'")
            ),
            message: PREFIX_OF_PATHS,
            is_met: |part| is_template(&part.prefix) || is_start_of_path(&part.prefix),
        },
    ];
}
