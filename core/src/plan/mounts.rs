//! The volumes that a source's own objects are mounted by, in boot only.

use k8s_openapi::api::core::v1 as core;

use super::boot_spec::{DIR_CA, DIR_CREDENTIALS, DIR_HEADERS, DIR_PULL_SECRET, DIR_TOKEN, FILE_TOKEN};
use crate::input::ResolvedInput;
use crate::names;
use crate::output::ObjectKind;
use crate::profile::SourceOrigin;
use crate::profile::object_store::ObjectStore;
use crate::profile::remote::{Ca, Client, Token};
use crate::profile::spec::{BootProfileSpec, Source};

/// A volume and where boot sees it.
pub(super) struct SourceMount {
    pub(super) volume: core::Volume,
    pub(super) path: String,
}

/// What a volume holds.
enum MountContent<'a> {
    ConfigMap(&'a str),
    Secret(&'a str),
    Token(&'a Token),
}

/// Where the source at `position` in the profile has its mounts.
pub(super) fn path(position: usize) -> String {
    format!("{}/{position}", names::MOUNT_SOURCES)
}

/// All volumes of the profile's sources.
pub(super) fn all(profile: &BootProfileSpec) -> Vec<SourceMount> {
    profile
        .sources
        .iter()
        .enumerate()
        .flat_map(|(position, source)| mounts_of_source(position, source))
        .collect()
}

/// Whether one of them has this name.
pub(super) fn are_called(profile: &BootProfileSpec, name: &str) -> bool {
    // A pod's volumes are many and few are called alike: the others cost a comparison.
    name.starts_with(names::VOLUME_SOURCE_PREFIX)
        && all(profile).iter().any(|mount| mount.volume.name == name)
}

/// What holds what the source at `position` takes from an earlier task.
pub(super) fn of_taken(position: usize, taken: &ResolvedInput) -> SourceMount {
    let holds = match taken.kind {
        ObjectKind::ConfigMap => MountContent::ConfigMap(&taken.object),
        ObjectKind::Secret => MountContent::Secret(&taken.object),
    };
    mount(position, None, &holds)
}

fn mounts_of_source(position: usize, source: &Source) -> Vec<SourceMount> {
    let whole = |holds| vec![mount(position, None, &holds)];
    match source.origin() {
        SourceOrigin::ConfigMap(object) => whole(MountContent::ConfigMap(&object.name)),
        SourceOrigin::Secret(object) => whole(MountContent::Secret(&object.name)),
        SourceOrigin::Http(http) => of_client(position, &http.client),
        SourceOrigin::Optimus(optimus) => of_client(position, &optimus.client),
        SourceOrigin::ObjectStore(store) => of_store(position, store),
        SourceOrigin::Oci(oci) => {
            let mut mounts = of_client(position, &oci.client);
            let pull_secret = oci.pull_secret.as_deref().map(MountContent::Secret);
            mounts.extend(pull_secret.map(|secret| mount(position, Some(DIR_PULL_SECRET), &secret)));
            mounts
        }
        // The volume of an output is added once its object is looked up for a pod.
        SourceOrigin::Inline(_) | SourceOrigin::Pipe(_) => Vec::new(),
    }
}

fn of_client(position: usize, client: &Client) -> Vec<SourceMount> {
    let headers = client.headers_from_secret.as_deref().map(|name| (DIR_HEADERS, MountContent::Secret(name)));
    let ca = client.ca.as_ref().and_then(of_ca);
    let token = client.token.as_ref().map(|token| (DIR_TOKEN, MountContent::Token(token)));
    let parts = [headers, ca, token].into_iter().flatten();
    parts.map(|(folder, holds)| mount(position, Some(folder), &holds)).collect()
}

fn of_store(position: usize, store: &ObjectStore) -> Vec<SourceMount> {
    let secret = store.credentials.as_ref().and_then(|credentials| credentials.secret.as_deref());
    let credentials = secret.map(|name| (DIR_CREDENTIALS, MountContent::Secret(name)));
    let parts = [credentials, store.client.ca.as_ref().and_then(of_ca)].into_iter().flatten();
    parts.map(|(folder, holds)| mount(position, Some(folder), &holds)).collect()
}

fn of_ca(ca: &Ca) -> Option<(&'static str, MountContent<'_>)> {
    let config_map = ca.config_map.as_deref().map(MountContent::ConfigMap);
    Some((DIR_CA, config_map.or_else(|| ca.secret.as_deref().map(MountContent::Secret))?))
}

fn mount(position: usize, folder: Option<&str>, holds: &MountContent<'_>) -> SourceMount {
    let (name, path) = match folder {
        None => (format!("{}{position}", names::VOLUME_SOURCE_PREFIX), path(position)),
        Some(folder) => (
            format!("{}{position}-{folder}", names::VOLUME_SOURCE_PREFIX),
            format!("{}/{folder}", path(position)),
        ),
    };
    SourceMount { volume: volume(name, holds), path }
}

fn volume(name: String, holds: &MountContent<'_>) -> core::Volume {
    let mut volume = core::Volume { name, ..core::Volume::default() };
    // All keys are mounted, and boot picks the listed ones: the kubelet would refuse the whole pod for a missing
    // key, and say so where a task's owner does not look. Optional for the kubelet always: it would wait for a
    // missing object for ever. Boot says what is missing, and fails.
    let optional = Some(true);
    match *holds {
        MountContent::ConfigMap(name) => {
            let name = name.to_owned();
            volume.config_map = Some(core::ConfigMapVolumeSource { name, optional, ..Default::default() });
        }
        MountContent::Secret(name) => {
            let secret_name = Some(name.to_owned());
            volume.secret = Some(core::SecretVolumeSource { secret_name, optional, ..Default::default() });
        }
        MountContent::Token(token) => {
            let token = core::ServiceAccountTokenProjection {
                audience: Some(token.audience.clone()),
                expiration_seconds: Some(token.expiration_seconds),
                path: FILE_TOKEN.to_owned(),
                ..core::ServiceAccountTokenProjection::default()
            };
            let source = core::VolumeProjection {
                service_account_token: Some(token),
                ..core::VolumeProjection::default()
            };
            volume.projected =
                Some(core::ProjectedVolumeSource { sources: Some(vec![source]), ..Default::default() });
        }
    }
    volume
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn mounts(sources: &Value) -> Vec<(String, String, Value)> {
        let profile = serde_json::from_value(json!({"sources": sources})).unwrap();
        let shown = |mount: SourceMount| {
            let mut volume = serde_json::to_value(mount.volume).unwrap();
            let name = volume.as_object_mut().unwrap().remove("name").unwrap();
            (name.as_str().unwrap().to_owned(), mount.path, volume)
        };
        all(&profile).into_iter().map(shown).collect()
    }

    #[test]
    fn a_client_has_a_volume_for_each_thing_that_it_needs() {
        let client = json!({
            "headersFromSecret": "api",
            "ca": {"configMap": "company-ca"},
            "token": {"audience": "assets"},
        });
        let found = mounts(&json!([
            {"name": "a", "inline": {}},
            {"name": "b", "http": {"url": "https://a.example", "file": "a", "client": client}},
            {"name": "c", "secret": {"name": "login"}},
        ]));
        let mount = |name: &str, volume: Value| {
            let path = format!("/bootlace-sources/{}", name.replace('-', "/"));
            (format!("bootlace-source-{name}"), path, volume)
        };
        let token = json!({"audience": "assets", "expirationSeconds": 3600, "path": "token"});
        assert_eq!(
            found,
            [
                mount("1-headers", json!({"secret": {"secretName": "api", "optional": true}})),
                mount("1-ca", json!({"configMap": {"name": "company-ca", "optional": true}})),
                mount("1-token", json!({"projected": {"sources": [{"serviceAccountToken": token}]}})),
                mount("2", json!({"secret": {"secretName": "login", "optional": true}})),
            ]
        );
    }

    #[test]
    fn a_pull_secret_is_mounted_beside_what_the_client_needs() {
        let oci =
            json!({"reference": "a/b:v1", "pullSecret": "registry", "client": {"ca": {"configMap": "own"}}});
        let found =
            mounts(&json!([{"name": "a", "oci": oci}])).into_iter().map(|(name, path, _)| (name, path));
        let mount = |what: &str| (format!("bootlace-source-0-{what}"), format!("/bootlace-sources/0/{what}"));
        assert_eq!(found.collect::<Vec<_>>(), [mount("ca"), mount("pull-secret")]);
    }

    #[test]
    fn a_client_that_needs_nothing_mounts_nothing() {
        let optimus = json!({
            "host": "http://optimus:9100", "project": "p", "job": "j", "scheduledAt": "t", "instanceName": "i",
        });
        assert!(mounts(&json!([{"name": "a", "optimus": optimus}])).is_empty());
        let with_ca = json!({"url": "https://a", "file": "a", "client": {"ca": {"secret": "own"}}});
        let found = mounts(&json!([{"name": "a", "http": with_ca}]));
        assert_eq!(found[0].2, json!({"secret": {"secretName": "own", "optional": true}}));
    }

    #[test]
    fn a_store_has_a_volume_for_its_credentials_and_its_authorities() {
        let store = |more: Value| {
            let mut store = json!({"s3": {"bucket": "assets"}, "prefix": ""});
            store.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            mounts(&json!([{"name": "a", "objectStore": store}]))
        };
        let found = store(json!({"credentials": {"secret": "s3"}, "client": {"ca": {"configMap": "own"}}}));
        assert_eq!(found[0].1, "/bootlace-sources/0/credentials");
        assert_eq!(found[0].2, json!({"secret": {"secretName": "s3", "optional": true}}));
        assert_eq!(found[1].2, json!({"configMap": {"name": "own", "optional": true}}));
        assert!(store(json!({"credentials": {"anonymous": true}})).is_empty());
        assert!(store(json!({})).is_empty());
    }
}
