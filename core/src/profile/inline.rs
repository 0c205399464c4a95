//! Settings of sources with values in the profile itself.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::{self, CelRule, Validated};

/// Variables and files in the profile itself. Not for secrets: they are visible in the spec of every pod.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-kubernetes-validations" = rule::cel::<Inline>()))]
pub struct Inline {
    /// Variables by name. Each value can be a template. At most 1024.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 1024))]
    pub env: BTreeMap<String, String>,
    /// File contents by path relative to the assets folder. Paths and contents can be templates. At most
    /// 1024.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 1024))]
    pub files: BTreeMap<String, String>,
}

impl Validated for Inline {
    const RULES: &'static [CelRule<Self>] = &[CelRule {
        // The length of map keys cannot be limited, so a regular expression would exceed the cost budget of
        // the API server.
        cel: "!has(self.files) || self.files.all(p, p != '' && p != '.' && p != '..' && !p.startsWith('/') && \
              !p.endsWith('/') && !p.startsWith('../') && !p.startsWith('./') && !p.endsWith('/..') && !p.endsWith('/.'))",
        message: "the keys of files must be paths relative to the assets folder: write them without a leading \
                  or trailing slash, and without . and .. as parts",
        is_met: |part| {
            part.files.keys().all(|path| {
                let ends = [path.split('/').next(), path.rsplit('/').next()];
                ends.into_iter().flatten().all(|part| !["", ".", ".."].contains(&part))
            })
        },
    }];
}
