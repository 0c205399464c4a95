//! Settings of sources in Vault.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address;
use super::mounted::{HasKeys, Item, Keys, SourceTarget, key_rules};
use super::remote::{Client, Token};
use super::rule::{self, CelRule, Validated};
use super::targets::{cel_is_path, is_path, is_template};

/// Secrets of `HashiCorp` Vault or `OpenBao`. Boot logs in once, with a token of the service account of the
/// pod.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rule::cel::<Vault>()))]
pub struct Vault {
    /// Scheme and host of the server, and the path before `/v1`: `https://vault.example.com:8200`. Required.
    #[schemars(length(max = 2048), regex(pattern = address::BASE_PATTERN))]
    pub address: String,
    /// Namespace in the server, sent as `X-Vault-Namespace`: `teams/etl`. Not set by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[^/{}\\s]+(/[^/{}\\s]+)*/?$"))]
    pub namespace: Option<String>,
    /// How boot logs in. Required.
    pub auth: VaultAuth,
    /// Secrets to read, in order. At least 1, at most 8.
    #[schemars(length(min = 1, max = 8))]
    pub secrets: Vec<VaultSecret>,
    /// Time in seconds for which a task needs leased secrets. Boot warns about a lease that ends earlier.
    /// Defaults to `activeDeadlineSeconds` of the pod, or to 3600 if the pod has none. If the pod has a lower
    /// `activeDeadlineSeconds`, it is used instead. At most 31536000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 31_536_000))]
    pub min_lease_seconds: Option<u32>,
    /// How requests are sent. `redirects` does not apply, because a redirect would carry the token to another
    /// host.
    #[serde(default)]
    pub client: Client,
}

impl Validated for Vault {
    const RULES: &'static [CelRule<Self>] = &[CelRule {
        cel: "!has(self.client) || !(has(self.client.headers) || has(self.client.headersFromSecret) || \
              has(self.client.token))",
        message: "client.headers, client.headersFromSecret and client.token are not supported for Vault: \
                  remove them, and set auth",
        is_met: |part| !part.client.has_headers(),
    }];
}

/// How boot logs in to Vault: with a projected token of the service account of the pod.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rule::cel::<VaultAuth>()))]
pub struct VaultAuth {
    /// Auth method: `Kubernetes`, with which Vault lets the API server review the token, or `Jwt`, with which
    /// Vault verifies the signature of the token. Defaults to `Kubernetes`.
    #[serde(default)]
    pub method: VaultAuthMethod,
    /// Path at which the auth method is enabled, without `auth/`. Defaults to `kubernetes` or `jwt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[^/{}\\s]+(/[^/{}\\s]+)*$"))]
    pub mount: Option<String>,
    /// Role of the auth method. Can be a template. Required.
    #[schemars(length(min = 1, max = 1024))]
    pub role: String,
    /// The token, which boot sends to log in. Required.
    pub token: Token,
}

impl Validated for VaultAuth {
    const RULES: &'static [CelRule<Self>] = &[CelRule {
        cel: concat!("!has(self.mount) || ", cel_is_path!("self.mount")),
        message: MOUNT,
        is_met: |part| part.mount.as_deref().is_none_or(is_path),
    }];
}

impl VaultAuth {
    /// Path at which the auth method is enabled, without `auth/`.
    #[must_use]
    pub fn mount(&self) -> &str {
        self.mount.as_deref().unwrap_or(match self.method {
            VaultAuthMethod::Kubernetes => "kubernetes",
            VaultAuthMethod::Jwt => "jwt",
        })
    }
}

/// Auth method of Vault.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum VaultAuthMethod {
    /// Vault lets the API server of the cluster review the token.
    #[default]
    Kubernetes,
    /// Vault verifies the token with the keys of its issuer.
    Jwt,
}

/// A secret in Vault, and how its keys are used.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rule::cel::<VaultSecret>()))]
pub struct VaultSecret {
    /// Path at which the secrets engine is enabled: `secret`. Required.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[^/{}\\s]+(/[^/{}\\s]+)*$"))]
    pub mount: String,
    /// Path in the secrets engine, as plain text: `etl/warehouse` for a key-value engine, `creds/etl` for
    /// dynamic secrets. Can be a template. Required.
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^[^/]+(/[^/]+)*$"))]
    pub path: String,
    /// Secrets engine: `KvV2` or `KvV1` for a version of the key-value engine, `Dynamic` for any other, whose
    /// response has the values in `data`. Defaults to `KvV2`.
    #[serde(default)]
    pub engine: VaultEngine,
    /// Version of the secret in a `KvV2` engine. Defaults to the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub version: Option<u32>,
    /// Parameters of a `Dynamic` secret by name. Boot then writes to the path instead of reading it, as
    /// `pki/issue` requires. Each value can be a template. At most 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 64))]
    pub data: Option<BTreeMap<String, String>>,
    /// Target of the keys: `Env` for variables, `Files` for files. Defaults to `Files`.
    #[serde(default)]
    pub into: SourceTarget,
    /// Keys to use, with their names as variables or files. Defaults to all keys under their own names. At
    /// most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub items: Vec<Item>,
    /// Keys to leave out if all keys are used. A `*` matches any characters. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub exclude: Vec<String>,
    /// Prefix of all names: a folder such as `tls/` for files, or a prefix such as `DB_` for variables.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub prefix: String,
}

impl HasKeys for VaultSecret {
    fn keys(&self) -> Keys<'_> {
        let Self { into, items, exclude, prefix, .. } = self;
        Keys { into: *into, items, exclude, prefix }
    }
}

impl Validated for VaultSecret {
    const RULES: &'static [CelRule<Self>] = &{
        let [names, prefix_of_names, paths, prefix_of_paths, exclude] = key_rules();
        [
            names,
            prefix_of_names,
            paths,
            prefix_of_paths,
            exclude,
            CelRule {
                cel: cel_is_path!("self.mount"),
                message: MOUNT,
                is_met: |part: &Self| is_path(&part.mount),
            },
            CelRule {
                cel: concat!("self.path.contains('{') || ", cel_is_path!("self.path")),
                message: "path must be a path in the secrets engine: write it without a leading or trailing \
                          slash, and without empty parts, . and ..",
                is_met: |part: &Self| is_template(&part.path) || is_path(&part.path),
            },
            CelRule {
                cel: "!has(self.version) || self.engine == 'KvV2'",
                message: "version requires engine KvV2: remove it",
                is_met: |part: &Self| part.version.is_none() || part.engine == VaultEngine::KvV2,
            },
            CelRule {
                cel: "!has(self.data) || self.engine == 'Dynamic'",
                message: "data requires engine Dynamic: set engine to Dynamic, or remove data",
                is_met: |part: &Self| part.data.is_none() || part.engine == VaultEngine::Dynamic,
            },
        ]
    };
}

/// Kind of a secrets engine.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum VaultEngine {
    /// Key-value engine of version 1.
    KvV1,
    /// Key-value engine of version 2, with versions of each secret.
    #[default]
    KvV2,
    /// Any other engine, which creates the secret for the request.
    Dynamic,
}

const MOUNT: &str = "mount must be the path of an engine or auth method: write it without a leading or trailing \
                     slash, and without empty parts, . and ..";

impl Vault {
    /// The seconds for which a task needs its leases, and what determines them. `deadline` is
    /// `activeDeadlineSeconds` of the pod.
    #[must_use]
    pub fn needed_lease(&self, deadline: Option<u64>) -> (u64, &'static str) {
        let own = self.min_lease_seconds.map(u64::from);
        match (own, deadline) {
            (Some(own), Some(deadline)) if deadline < own => (deadline, DEADLINE),
            (Some(own), _) => (own, "minLeaseSeconds"),
            (None, Some(deadline)) => (deadline, DEADLINE),
            (None, None) => (DEFAULT_LEASE_SECONDS, "the default of minLeaseSeconds"),
        }
    }
}

const DEADLINE: &str = "activeDeadlineSeconds of the pod";

/// How long a lease has to be valid if neither the source nor the pod determines it.
const DEFAULT_LEASE_SECONDS: u64 = 3600;

impl VaultSecret {
    /// Path of the secret below `/v1` of the API, as plain text: `secret/data/etl/warehouse`.
    #[must_use]
    pub fn api_path(&self) -> String {
        let data = if self.engine == VaultEngine::KvV2 { "/data" } else { "" };
        format!("{}{data}/{}", self.mount, self.path)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn vault(more: &Value) -> Vault {
        let mut settings = json!({
            "address": "https://vault.example.com:8200",
            "auth": {"role": "etl", "token": {"audience": "vault"}},
            "secrets": [{"mount": "team/secret", "path": "a/b"}],
        });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(settings).unwrap()
    }

    #[test]
    fn the_path_depends_on_the_engine() {
        let path = |engine: &str| {
            let secret = json!({"mount": "team/secret", "path": "a/b", "engine": engine});
            serde_json::from_value::<VaultSecret>(secret).unwrap().api_path()
        };
        assert_eq!(vault(&json!({})).secrets[0].api_path(), "team/secret/data/a/b");
        assert_eq!(path("KvV1"), "team/secret/a/b");
        assert_eq!(path("Dynamic"), "team/secret/a/b");
    }

    #[test]
    fn an_auth_method_has_a_usual_path() {
        let mount = |auth: Value| vault(&json!({"auth": auth})).auth.mount().to_owned();
        let token = json!({"audience": "vault"});
        assert_eq!(mount(json!({"role": "etl", "token": token})), "kubernetes");
        assert_eq!(mount(json!({"method": "Jwt", "role": "etl", "token": token})), "jwt");
        assert_eq!(mount(json!({"mount": "clusters/eu", "role": "etl", "token": token})), "clusters/eu");
    }

    #[test]
    fn a_lease_has_to_last_as_long_as_the_task_may_run() {
        let seconds = |settings: Value, deadline| vault(&settings).needed_lease(deadline).0;
        assert_eq!(seconds(json!({}), None), 3600);
        assert_eq!(seconds(json!({}), Some(60)), 60);
        assert_eq!(seconds(json!({}), Some(86_400)), 86_400);
        assert_eq!(seconds(json!({"minLeaseSeconds": 600}), None), 600);
        assert_eq!(seconds(json!({"minLeaseSeconds": 600}), Some(86_400)), 600);
        assert_eq!(seconds(json!({"minLeaseSeconds": 600}), Some(60)), 60);
    }
}
