//! The spec of a profile: parsed, validated and, if it is valid, planned for a pod.
#![no_main]

use bootlace_core::admission;
use bootlace_core::plan::{PreparedProfiles, InstallationSettings};
use bootlace_core::profile::Profile;
use bootlace_core::profile::rules;
use bootlace_core::profile::spec::BootProfileSpec;
use libfuzzer_sys::fuzz_target;
use serde_json::json;

fuzz_target!(|json: &[u8]| {
    let Ok(spec) = serde_json::from_slice::<BootProfileSpec>(json) else { return };
    if rules::check(&spec).is_err() {
        return;
    }
    let profile = Profile { name: "default".to_owned(), generation: 1, spec, ..Profile::default() };
    let Ok(recipes) = PreparedProfiles::new([profile].into_iter().collect(), &InstallationSettings::default()) else { return };
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "task", "labels": {"bootlace.dev/task": "true"}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox", "command": ["a"]}]},
    });
    let _ = admission::admit(pod, "etl", &recipes);
});
