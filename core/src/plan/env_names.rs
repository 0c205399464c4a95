//! Which env names a profile's sources can give, as far as the profile says.

use std::collections::BTreeSet;

use super::boot_spec::{BootSource, MountedSource, SourceKind};
use crate::profile::remote::JsonPart;
use crate::profile::spec::SourceTarget;

/// The names that boot may set. The pod's own variables of other names cannot meet the boot env, so boot need not
/// be told of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct BootEnvNames {
    names: BTreeSet<String>,
    /// Every name that starts with one of these, because a whole object becomes env.
    prefixes: Vec<String>,
}

impl BootEnvNames {
    /// What `sources` can give.
    pub(super) fn by(sources: &[BootSource]) -> Self {
        let mut given = Self::default();
        for source in sources {
            match &source.from {
                SourceKind::Inline(inline) => given.names.extend(inline.env.keys().cloned()),
                SourceKind::Mounted(object) => given.add_object(object),
                SourceKind::Http(http) => given.add_json(&http.request.json),
                SourceKind::ObjectStore(store) => given.add_json(&store.request.json),
                SourceKind::Optimus(_) | SourceKind::InitImage(_) => given.prefixes.push(String::new()),
                // Files only.
                SourceKind::Oci(_) => {}
            }
        }
        given
    }

    fn add_object(&mut self, object: &MountedSource) {
        match (object.into, object.items.as_slice()) {
            (SourceTarget::Files, _) => {}
            (SourceTarget::Env, []) => self.prefixes.push(object.prefix.clone()),
            (SourceTarget::Env, items) => {
                self.names.extend(items.iter().map(|item| format!("{}{}", object.prefix, item.target)));
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
    pub(super) fn may_hold(&self, name: &str) -> bool {
        self.names.contains(name) || self.prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::boot;
    use crate::profile::BootProfileSpec;

    fn given(sources: &str) -> BootEnvNames {
        let sources = serde_saphyr::from_str(sources).unwrap();
        BootEnvNames::by(&boot::sources(&BootProfileSpec { sources, ..BootProfileSpec::default() }))
    }

    #[test]
    fn names_are_known_as_far_as_the_profile_says_them() {
        let given = given(
            "
- {name: a, inline: {env: {A: x}, files: {FILE: x}}}
- {name: b, secret: {name: b, into: Env, prefix: B_, items: [{key: k, as: ONE}]}}
- {name: c, configMap: {name: c, into: Env, prefix: C_}}
- {name: d, configMap: {name: d, prefix: D_}}
- {name: e, http: {url: 'https://a', json: [{pointer: /e, into: Env, prefix: E_}, {pointer: /f, prefix: F_}]}}
- {name: f, objectStore: {gcs: {bucket: b}, object: o, json: [{into: Env, prefix: G_}]}}
",
        );
        for name in ["A", "B_ONE", "C_ANYTHING", "C_", "E_X", "G_X"] {
            assert!(given.may_hold(name), "{name}");
        }
        for name in ["FILE", "ONE", "B_TWO", "D_ANYTHING", "C", "F_X"] {
            assert!(!given.may_hold(name), "{name}");
        }
    }

    #[test]
    fn a_whole_object_without_a_prefix_may_hold_any_name() {
        assert!(given("[{name: a, secret: {name: a, into: Env}}]").may_hold("ANYTHING"));
        assert!(!given("[]").may_hold("ANYTHING"));
    }
}
