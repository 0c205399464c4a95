//! Which env names a profile's sources can give, as far as the profile says.

use std::collections::BTreeSet;

use crate::profile::spec::{Into, Mounted, Source};

/// The names that boot may set. The pod's own variables of other names cannot meet the boot env, so boot need not
/// be told of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Given {
    names: BTreeSet<String>,
    /// Every name that starts with one of these, because a whole object becomes env.
    prefixes: Vec<String>,
}

impl Given {
    /// What `sources` can give.
    pub(super) fn by(sources: &[Source]) -> Self {
        let mut given = Self::default();
        for source in sources {
            if let Some(inline) = &source.inline {
                given.names.extend(inline.env.keys().cloned());
            }
            for object in [&source.config_map, &source.secret].into_iter().flatten() {
                given.add_object(object);
            }
        }
        given
    }

    fn add_object(&mut self, object: &Mounted) {
        match (object.into, object.items.as_slice()) {
            (Into::Files, _) => {}
            (Into::Env, []) => self.prefixes.push(object.prefix.clone()),
            (Into::Env, items) => {
                self.names.extend(items.iter().map(|item| format!("{}{}", object.prefix, item.target)));
            }
        }
    }

    /// Whether boot may set `name`.
    pub(super) fn may_hold(&self, name: &str) -> bool {
        self.names.contains(name) || self.prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(sources: &str) -> Given {
        Given::by(&serde_saphyr::from_str::<Vec<Source>>(sources).unwrap())
    }

    #[test]
    fn names_are_known_as_far_as_the_profile_says_them() {
        let given = given(
            "
- {name: a, inline: {env: {A: x}, files: {FILE: x}}}
- {name: b, secret: {name: b, into: Env, prefix: B_, items: [{key: k, as: ONE}]}}
- {name: c, configMap: {name: c, into: Env, prefix: C_}}
- {name: d, configMap: {name: d, prefix: D_}}
",
        );
        for name in ["A", "B_ONE", "C_ANYTHING", "C_"] {
            assert!(given.may_hold(name), "{name}");
        }
        for name in ["FILE", "ONE", "B_TWO", "D_ANYTHING", "C"] {
            assert!(!given.may_hold(name), "{name}");
        }
    }

    #[test]
    fn a_whole_object_without_a_prefix_may_hold_any_name() {
        assert!(given("[{name: a, secret: {name: a, into: Env}}]").may_hold("ANYTHING"));
        assert!(!given("[]").may_hold("ANYTHING"));
    }
}
