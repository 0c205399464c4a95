//! What the targets that walk the whole way from a pod to its patch have in common.

use std::sync::LazyLock;

use bootlace_core::plan::{PreparedProfiles, InstallationSettings};
use bootlace_core::profile::Profile;
use serde_json::json;

/// A profile that offers everything that a pod can ask for.
static RECIPES: LazyLock<PreparedProfiles> = LazyLock::new(|| {
    let spec = json!({
        "sources": [
            {"name": "inline", "inline": {"env": {"GREETING": "hello {{ labels['team'] | default('all') }}"}}},
            {"name": "object", "secret": {"name": "login", "into": "Env"}},
        ],
        "boot": {"initImage": {"allow": [{"registry": "r.example.com", "repository": "data/*"}]}},
    });
    let spec = serde_json::from_value(spec).expect("the profile is one");
    let profile = Profile { name: "default".to_owned(), generation: 1, spec, ..Profile::default() };
    PreparedProfiles::new([profile].into_iter().collect(), &InstallationSettings::default()).expect("the profile can be planned")
});

/// What pods are injected by.
pub fn recipes() -> &'static PreparedProfiles {
    &RECIPES
}
