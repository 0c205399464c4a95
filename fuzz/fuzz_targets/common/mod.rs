//! Common parts of the targets that process a pod up to its patch.

use std::sync::LazyLock;

use bootlace_core::plan::{PreparedProfiles, InstallationSettings};
use bootlace_core::profile::Profile;
use serde_json::json;

/// A profile that enables all features that a pod can use.
static RECIPES: LazyLock<PreparedProfiles> = LazyLock::new(|| {
    let spec = json!({
        "sources": [
            {"name": "inline", "inline": {"env": {"GREETING": "hello {{ labels['team'] | default('all') }}"}}},
            {"name": "object", "secret": {"name": "login", "into": "Env"}},
        ],
        "overlays": [
            {"name": "label", "pod": {"metadata": {"labels": {"team": "{{ annotations['x'] | default('all') }}"}}}},
            {"name": "volume", "optional": true, "rename": true, "pod": {"spec": {
                "volumes": [{"name": "data", "emptyDir": {}}],
                "containers": [{"name": "*", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
            }}},
            {"name": "class", "optional": true, "when": "labels.team == 'all'", "jsonPatch": [
                {"op": "add", "path": "/spec/priorityClassName", "value": "{{ namespace }}"},
            ]},
        ],
        "boot": {"initImage": {"allow": [{"registry": "r.example.com", "repository": "data/*"}]}},
    });
    let spec = serde_json::from_value(spec).expect("the spec is valid");
    let profile = Profile { name: "default".to_owned(), generation: 1, spec, ..Profile::default() };
    PreparedProfiles::new([profile].into_iter().collect(), &InstallationSettings::default()).expect("the profile can be planned")
});

/// The profiles for all pods.
pub fn recipes() -> &'static PreparedProfiles {
    &RECIPES
}
