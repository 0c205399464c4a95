//! Sources in Vault: their templates, the deadline of the pod, and the token of the service account.

use std::path::Path;

use bootlace_core::admission::{self, Decision};
use bootlace_core::plan::boot_spec::{SourceKind, VaultSource};
use bootlace_core::plan::{BootSpec, InstallationSettings, PreparedProfiles};
use bootlace_core::profile::vault::VaultSecret;
use bootlace_core::profile::{BootProfile, BootProfileSpec, Profile};
use serde_json::{Value, json};

fn prepared(profile: Profile) -> PreparedProfiles {
    PreparedProfiles::new([profile].into_iter().collect(), &InstallationSettings::default()).unwrap()
}

/// A profile whose only source has the settings `more` in addition to the required ones.
fn profile(more: &Value) -> Result<PreparedProfiles, String> {
    let mut settings = json!({
        "address": "https://vault.example.com:8200",
        "auth": {"role": "etl", "token": {"audience": "vault"}},
        "secrets": [{"mount": "secret", "path": "etl"}],
    });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let spec = json!({"sources": [{"name": "secrets", "vault": settings}]});
    let spec: BootProfileSpec = serde_json::from_value(spec).unwrap();
    Profile::new("default", 1, spec).map(prepared).map_err(|error| error.to_string())
}

fn admit(pod: Value, profiles: &PreparedProfiles) -> Result<Value, String> {
    match admission::admit(pod, "etl", profiles) {
        Decision::Inject(injection) => Ok(injection.pod),
        Decision::Refuse(refusal) => Err(refusal.message),
        Decision::Skip(skip) => panic!("skipped: {skip}"),
        Decision::Reorder(_) => panic!("reordered"),
    }
}

/// The source in the configuration of boot.
fn source(pod: &Value) -> VaultSource {
    let boot = pod["spec"]["initContainers"].as_array().unwrap().last().unwrap();
    let spec: BootSpec<'_> = serde_json::from_str(boot["env"][0]["value"].as_str().unwrap()).unwrap();
    match &spec.sources[0].from {
        SourceKind::Vault(vault) => vault.clone(),
        other => panic!("{other:?}"),
    }
}

/// A task whose label `team` and variable `TEAM` have this value.
fn task(team: &str) -> Value {
    json!({
        "metadata": {"name": "load", "labels": {"bootlace.dev/task": "true", "team": team}},
        "spec": {"containers": [
            {"name": "main", "command": ["true"], "env": [{"name": "TEAM", "value": team}]},
        ]},
    })
}

#[test]
fn the_example_is_valid_and_mounts_the_token() {
    let path = Path::new(env!("BOOTLACE_ROOT")).join("examples/vault/bootprofile.yaml");
    let profile: BootProfile = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let profile = Profile { name: "default".to_owned(), ..Profile::try_from(profile).unwrap() };
    let pod = admit(task("a"), &prepared(profile)).unwrap();
    let settings = source(&pod).remote.request;
    let paths: Vec<_> = settings.secrets.iter().map(VaultSecret::api_path).collect();
    assert_eq!(paths, ["secret/data/etl/shared", "database/creds/etl", "pki/issue/tasks"]);
    let volumes = pod["spec"]["volumes"].as_array().unwrap();
    let token = volumes.iter().find(|volume| volume["name"] == "bootlace-source-0-token").unwrap();
    assert_eq!(
        token["projected"]["sources"],
        json!([{"serviceAccountToken": {"audience": "vault", "expirationSeconds": 600, "path": "token"}}])
    );
    // Only boot mounts it.
    let mounts = pod["spec"]["containers"][0]["volumeMounts"].as_array().unwrap();
    assert!(!mounts.iter().any(|mount| mount["name"] == "bootlace-source-0-token"), "{mounts:?}");
}

#[test]
fn role_path_and_data_are_rendered() {
    let settings = json!({
        "auth": {"role": "etl-{{ labels.team }}", "token": {"audience": "vault"}},
        "secrets": [{
            "mount": "pki", "path": "issue/{{ labels.team }}", "engine": "Dynamic",
            "data": {"common_name": "{{ labels.team }}.example.com"},
        }],
    });
    let settings = *source(&admit(task("a b"), &profile(&settings).unwrap()).unwrap()).remote.request;
    assert_eq!(settings.auth.role, "etl-a b");
    assert_eq!(settings.secrets[0].api_path(), "pki/issue/a b");
    assert_eq!(settings.secrets[0].data.as_ref().unwrap()["common_name"], "a b.example.com");
}

/// Vault decodes the whole path before it splits it, so an encoded slash would lead elsewhere too.
#[test]
fn a_value_cannot_leave_its_part_of_the_path() {
    let settings = json!({"secrets": [{"mount": "secret", "path": "etl/{{ env.TEAM }}"}]});
    let profiles = profile(&settings).unwrap();
    for evil in ["../admin", "..", "a/b", "a\\b"] {
        let refusal = admit(task(evil), &profiles).unwrap_err();
        let part = "BootProfile \"default\", source \"secrets\", vault.secrets[].path: ";
        assert!(refusal.contains(part) && refusal.contains("[BL1105]"), "{refusal}");
    }
    let settings = source(&admit(task("a%2Fb"), &profiles).unwrap()).remote.request;
    assert_eq!(settings.secrets[0].path, "etl/a%2Fb");

    let settings = json!({"auth": {"role": "{{ env.TEAM }}", "token": {"audience": "vault"}}});
    let refusal = admit(task(".."), &profile(&settings).unwrap()).unwrap_err();
    assert!(refusal.contains("vault.auth.role: ") && refusal.contains("[BL1105]"), "{refusal}");
}

#[test]
fn a_pod_chooses_no_server_namespace_or_engine() {
    let secrets = |mount: &str, name: &str| json!({"secrets": [{"mount": mount, "path": "a", "engine": "Dynamic", "data": {name: "b"}}]});
    let auth = |mount: &str| json!({"auth": {"mount": mount, "role": "etl", "token": {"audience": "vault"}}});
    for (settings, field) in [
        (json!({"address": "https://{{ namespace }}.example.com"}), "vault.address"),
        (json!({"namespace": "{{ namespace }}"}), "vault.namespace"),
        (auth("{{ namespace }}"), "vault.auth.mount"),
        (secrets("{{ namespace }}", "a"), "vault.secrets[].mount"),
        (secrets("secret", "{{ namespace }}"), "name in vault.secrets[].data"),
    ] {
        let error = profile(&settings).unwrap_err();
        assert!(error.contains(field) && error.contains("a template is not allowed here"), "{error}");
    }
}

#[test]
fn boot_gets_the_deadline_of_the_pod() {
    let profiles = profile(&json!({})).unwrap();
    assert_eq!(source(&admit(task("a"), &profiles).unwrap()).deadline_seconds, None);
    let mut pod = task("a");
    pod["spec"]["activeDeadlineSeconds"] = json!(7200);
    assert_eq!(source(&admit(pod, &profiles).unwrap()).deadline_seconds, Some(7200));
}
