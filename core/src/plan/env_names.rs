//! The env names that the sources of a profile can provide, as far as the profile determines them.

use std::collections::BTreeSet;

use super::boot_spec::{BootSource, ContextSource, SourceKind};
use crate::profile::remote::JsonPart;
use crate::profile::{Item, SourceTarget};

/// The names that boot may set. Variables of the pod with other names cannot conflict with the boot env, so
/// the configuration of boot does not contain them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct BootEnvNames {
    names: BTreeSet<String>,
    /// Prefixes of names: all keys of an object become variables.
    prefixes: Vec<String>,
}

impl BootEnvNames {
    /// The names that `sources` can provide.
    pub(super) fn new(sources: &[BootSource]) -> Self {
        let mut env_names = Self::default();
        for source in sources {
            match &source.from {
                SourceKind::Inline(inline) => env_names.names.extend(inline.env.keys().cloned()),
                SourceKind::Mounted(object) => {
                    env_names.add_keys(object.into, &object.prefix, &object.items);
                }
                SourceKind::Volume(volume) => {
                    env_names.add_keys(volume.into, &volume.prefix, &volume.items);
                }
                SourceKind::Vault(vault) => {
                    for secret in &vault.remote.request.secrets {
                        env_names.add_keys(secret.into, &secret.prefix, &secret.items);
                    }
                }
                SourceKind::Http(http) => env_names.add_json(&http.request.json),
                SourceKind::ObjectStore(store) => env_names.add_json(&store.request.json),
                SourceKind::Context(_) => env_names.names.extend(ContextSource::NAMES.map(str::to_owned)),
                SourceKind::Optimus(_) | SourceKind::InitImage(_) => env_names.prefixes.push(String::new()),
                // It only provides files.
                SourceKind::Oci(_) => {}
            }
        }
        env_names
    }

    /// Adds the names of the keys of an object, a volume or a secret.
    fn add_keys(&mut self, into: SourceTarget, prefix: &str, items: &[Item]) {
        match (into, items) {
            (SourceTarget::Files, _) => {}
            (SourceTarget::Env, []) => self.prefixes.push(prefix.to_owned()),
            (SourceTarget::Env, items) => {
                self.names.extend(items.iter().map(|item| format!("{prefix}{}", item.target)));
            }
        }
    }

    fn add_json(&mut self, parts: &[JsonPart]) {
        let env = parts.iter().filter(|part| part.into == SourceTarget::Env);
        self.prefixes.extend(env.map(|part| part.prefix.clone()));
    }

    /// Whether boot sets nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty() && self.prefixes.is_empty()
    }

    /// Whether boot may set `name`.
    pub(super) fn may_contain(&self, name: &str) -> bool {
        self.names.contains(name) || self.prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::sources;
    use crate::profile::BootProfileSpec;

    fn env_names(sources: &str) -> BootEnvNames {
        let sources = serde_saphyr::from_str(sources).unwrap();
        BootEnvNames::new(&sources::all(&BootProfileSpec { sources, ..BootProfileSpec::default() }))
    }

    #[test]
    fn the_names_are_those_in_the_profile() {
        let env_names = env_names(
            "
- {name: a, inline: {env: {A: x}, files: {FILE: x}}}
- {name: b, secret: {name: b, into: Env, prefix: B_, items: [{key: k, as: ONE}]}}
- {name: c, configMap: {name: c, into: Env, prefix: C_}}
- {name: d, configMap: {name: d, prefix: D_}}
- {name: e, http: {url: 'https://a', json: [{pointer: /e, into: Env, prefix: E_}, {pointer: /f, prefix: F_}]}}
- {name: f, objectStore: {gcs: {bucket: b}, object: o, json: [{into: Env, prefix: G_}]}}
- {name: g, context: {openTelemetry: {}}}
- {name: h, volume: {csi: {driver: d}, into: Env, prefix: H_}}
- {name: i, volume: {persistentVolumeClaim: {claimName: c}, into: Env, items: [{key: i/k, as: I_ONE}]}}
- {name: j, volume: {image: {reference: r/j:1}, prefix: J_}}
- name: k
  vault:
    address: https://vault
    auth: {role: etl, token: {audience: vault}}
    secrets:
    - {mount: secret, path: a, into: Env, prefix: K_, items: [{key: k, as: ONE}]}
    - {mount: secret, path: b, into: Env, prefix: L_}
    - {mount: secret, path: c, prefix: M_}
",
        );
        for name in
            ["A", "B_ONE", "C_ANYTHING", "C_", "E_X", "G_X", "TRACEPARENT", "H_X", "I_ONE", "K_ONE", "L_X"]
        {
            assert!(env_names.may_contain(name), "{name}");
        }
        for name in ["FILE", "ONE", "B_TWO", "D_ANYTHING", "C", "F_X", "I_TWO", "J_X", "K_TWO", "M_X"] {
            assert!(!env_names.may_contain(name), "{name}");
        }
    }

    #[test]
    fn an_object_without_a_prefix_may_contain_any_name() {
        assert!(env_names("[{name: a, secret: {name: a, into: Env}}]").may_contain("ANYTHING"));
        assert!(!env_names("[]").may_contain("ANYTHING"));
    }
}
