//! Settings of sources that the kubelet mounts: objects whose keys become variables or files.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::{self, CelRule, Validated};
use super::targets::{PREFIX_OF_NAMES, PREFIX_OF_PATHS, cel_is_path, is_path, is_start_of_path, is_variable};

/// A `ConfigMap` or `Secret` in the namespace of the pod.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rule::cel::<Mounted>()))]
pub struct Mounted {
    /// Name of the object. Required.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Target of the keys: `Env` for variables, `Files` for files. Defaults to `Files`.
    #[serde(default)]
    pub into: SourceTarget,
    /// Keys to use, with their names as variables or files. Defaults to all keys under their own names. At
    /// most 256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub items: Vec<Item>,
    /// Keys to leave out if all keys are used. A `*` matches any characters. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub exclude: Vec<String>,
    /// Prefix of all names: a folder such as `sql/` for files, or a prefix such as `DB_` for variables.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub prefix: String,
    /// Whether the task starts if the object or a key of `items` does not exist. Defaults to false.
    #[serde(default)]
    pub optional: bool,
}

/// Target of the keys of a source.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum SourceTarget {
    /// Variables of the task.
    Env,
    /// Files in the assets folder.
    #[default]
    Files,
}

/// A key of a `ConfigMap`, a `Secret` or an output, or a file of a volume.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Item {
    /// The key. Required.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
    /// Name of the variable, or path of the file. Required.
    #[serde(rename = "as")]
    #[schemars(length(min = 1, max = 253))]
    pub target: String,
}

/// How the keys of an object become variables or files.
pub(super) struct Keys<'a> {
    pub(super) into: SourceTarget,
    pub(super) items: &'a [Item],
    pub(super) exclude: &'a [String],
    pub(super) prefix: &'a str,
}

/// A source that is an object with keys.
pub(super) trait HasKeys: 'static {
    fn keys(&self) -> Keys<'_>;
}

impl HasKeys for Mounted {
    fn keys(&self) -> Keys<'_> {
        let Self { into, items, exclude, prefix, .. } = self;
        Keys { into: *into, items, exclude, prefix }
    }
}

impl Validated for Mounted {
    const RULES: &'static [CelRule<Self>] = &key_rules();
}

/// The rules of a source that is an object with keys.
pub(super) const fn key_rules<T: HasKeys>() -> [CelRule<T>; 5] {
    [
        CelRule {
            cel: "self.into != 'Env' || !has(self.items) || self.items.all(i, i.__as__.matches('^[ -<>-~]+$'))",
            message: "items[].as must consist of printable ASCII characters except =, because into is \
                      Env: correct it",
            is_met: |part| {
                let Keys { into, items, .. } = part.keys();
                into != SourceTarget::Env || items.iter().all(|item| is_variable(&item.target))
            },
        },
        CelRule {
            cel: "self.into != 'Env' || !has(self.prefix) || self.prefix.matches('^[ -<>-~]+$')",
            message: PREFIX_OF_NAMES,
            is_met: |part| {
                let Keys { into, prefix, .. } = part.keys();
                into != SourceTarget::Env || prefix.is_empty() || is_variable(prefix)
            },
        },
        CelRule {
            // With a prefix, the rule would exceed the cost budget of the API server.
            cel: concat!(
                "self.into != 'Files' || !has(self.items) || has(self.prefix) || self.items.all(i, ",
                cel_is_path!("i.__as__"),
                ")"
            ),
            message: "items[].as must be a path relative to the assets folder, because into is Files: \
                      write it without a leading or trailing slash, and without empty parts, . and ..",
            is_met: |part| {
                let Keys { into, items, prefix, .. } = part.keys();
                let is_ours = into == SourceTarget::Files && prefix.is_empty();
                !is_ours || items.iter().all(|item| is_path(&item.target))
            },
        },
        CelRule {
            cel: concat!("self.into != 'Files' || !has(self.prefix) || ", cel_is_path!("self.prefix + 'x'")),
            message: PREFIX_OF_PATHS,
            is_met: |part| {
                let Keys { into, prefix, .. } = part.keys();
                into != SourceTarget::Files || is_start_of_path(prefix)
            },
        },
        CelRule {
            cel: "!has(self.exclude) || !has(self.items)",
            message: "exclude and items are mutually exclusive: remove one of them",
            is_met: |part| {
                let Keys { items, exclude, .. } = part.keys();
                exclude.is_empty() || items.is_empty()
            },
        },
    ]
}
