//! The volumes for the objects of sources, which only boot mounts, and of hooks, which only the sidecar
//! mounts.

use k8s_openapi::api::core::v1 as core;

use super::boot_spec::{DIR_CA, DIR_CREDENTIALS, DIR_HEADERS, DIR_PULL_SECRET, DIR_TOKEN, FILE_TOKEN};
use super::volumes;
use crate::input::ResolvedInput;
use crate::names;
use crate::output::ObjectKind;
use crate::profile::object_store::ObjectStore;
use crate::profile::remote::{Ca, Client, Token};
use crate::profile::spec::BootProfileSpec;
use crate::profile::volume::VolumeSource;
use crate::profile::{Source, SourceOrigin, templates};

/// A volume, and its mount path in the boot container or the sidecar.
pub(super) struct SourceMount {
    pub(super) volume: core::Volume,
    pub(super) path: String,
}

/// Content of a volume.
enum MountContent<'a> {
    ConfigMap(&'a str),
    Secret(&'a str),
    Token(&'a Token),
    Volume(&'a VolumeSource),
}

/// What the volumes belong to: a source or a hook at a position in the profile.
#[derive(Clone, Copy)]
enum Owner {
    Source(usize),
    Hook(usize),
}

impl Owner {
    /// Start of the names of its volumes.
    fn volume(self) -> String {
        match self {
            Self::Source(position) => format!("{}{position}", names::VOLUME_SOURCE_PREFIX),
            Self::Hook(position) => format!("{}{position}", names::VOLUME_HOOK_PREFIX),
        }
    }

    /// Folder of its mounts.
    fn path(self) -> String {
        match self {
            Self::Source(position) => path(position),
            Self::Hook(position) => format!("{}/{position}", names::MOUNT_HOOKS),
        }
    }
}

/// Folder of the mounts of the source at `position` in the profile.
pub(super) fn path(position: usize) -> String {
    format!("{}/{position}", names::MOUNT_SOURCES)
}

/// The mounts of all hooks of the profile that run in the sidecar.
pub(super) fn hooks(profile: &BootProfileSpec) -> Vec<SourceMount> {
    let requests = profile.hooks.requests().enumerate();
    let clients = requests.filter_map(|(position, hook)| Some((position, &hook.http.as_ref()?.client)));
    clients.flat_map(|(position, client)| client_mounts(Owner::Hook(position), client)).collect()
}

/// The mounts of the sources of the profile that are the same for all pods.
pub(super) fn all(profile: &BootProfileSpec) -> Vec<SourceMount> {
    let sources = profile.sources.iter().enumerate();
    let shared = sources.filter(|(_, source)| source.volume.is_none() || !templates::has_templates(source));
    shared.flat_map(|(position, source)| source_mounts(position, source)).collect()
}

/// Whether the volume of a source of the profile has this name.
pub(super) fn is_source_volume(profile: &BootProfileSpec, name: &str) -> bool {
    // The prefix is compared first, so that other volumes, of which a pod can have many, are cheap.
    let mut sources = profile.sources.iter().enumerate();
    name.starts_with(names::VOLUME_SOURCE_PREFIX)
        && sources.any(|(position, source)| {
            source_mounts(position, source).iter().any(|mount| mount.volume.name == name)
        })
}

/// Whether a volume for a boot image that pods select has this name.
pub(super) fn is_init_image_volume(name: &str) -> bool {
    name == names::VOLUME_OUT || name.starts_with(names::VOLUME_SECRET_PREFIX)
}

/// The mount of the output of an earlier task that is the source at `position`.
pub(super) fn input_mount(position: usize, input: &ResolvedInput) -> SourceMount {
    let content = match input.kind {
        ObjectKind::ConfigMap => MountContent::ConfigMap(&input.object),
        ObjectKind::Secret => MountContent::Secret(&input.object),
    };
    mount(Owner::Source(position), None, &content)
}

/// The mount of the volume that is the source at `position`.
pub(super) fn volume_mount(position: usize, volume: &VolumeSource) -> SourceMount {
    mount(Owner::Source(position), None, &MountContent::Volume(volume))
}

fn source_mounts(position: usize, source: &Source) -> Vec<SourceMount> {
    let owner = Owner::Source(position);
    let whole = |content| vec![mount(owner, None, &content)];
    match source.origin() {
        SourceOrigin::ConfigMap(object) => whole(MountContent::ConfigMap(&object.name)),
        SourceOrigin::Secret(object) => whole(MountContent::Secret(&object.name)),
        SourceOrigin::Volume(volume) => vec![volume_mount(position, volume)],
        SourceOrigin::Http(http) => client_mounts(owner, &http.client),
        SourceOrigin::Optimus(optimus) => client_mounts(owner, &optimus.client),
        SourceOrigin::ObjectStore(store) => store_mounts(owner, store),
        SourceOrigin::Oci(oci) => {
            let mut mounts = client_mounts(owner, &oci.client);
            let pull_secret = oci.pull_secret.as_deref().map(MountContent::Secret);
            mounts.extend(pull_secret.map(|secret| mount(owner, Some(DIR_PULL_SECRET), &secret)));
            mounts
        }
        SourceOrigin::Vault(vault) => {
            let mut mounts = client_mounts(owner, &vault.client);
            mounts.push(mount(owner, Some(DIR_TOKEN), &MountContent::Token(&vault.auth.token)));
            mounts
        }
        // The volume of an output is added once its object is looked up for a pod.
        SourceOrigin::Inline(_) | SourceOrigin::Pipe(_) | SourceOrigin::Context(_) => Vec::new(),
    }
}

fn client_mounts(owner: Owner, client: &Client) -> Vec<SourceMount> {
    let headers = client.headers_from_secret.as_deref().map(|name| (DIR_HEADERS, MountContent::Secret(name)));
    let ca = client.ca.as_ref().and_then(ca_content);
    let token = client.token.as_ref().map(|token| (DIR_TOKEN, MountContent::Token(token)));
    let parts = [headers, ca, token].into_iter().flatten();
    parts.map(|(folder, content)| mount(owner, Some(folder), &content)).collect()
}

fn store_mounts(owner: Owner, store: &ObjectStore) -> Vec<SourceMount> {
    let secret = store.credentials.as_ref().and_then(|credentials| credentials.secret.as_deref());
    let credentials = secret.map(|name| (DIR_CREDENTIALS, MountContent::Secret(name)));
    let parts = [credentials, store.client.ca.as_ref().and_then(ca_content)].into_iter().flatten();
    parts.map(|(folder, content)| mount(owner, Some(folder), &content)).collect()
}

fn ca_content(ca: &Ca) -> Option<(&'static str, MountContent<'_>)> {
    let config_map = ca.config_map.as_deref().map(MountContent::ConfigMap);
    Some((DIR_CA, config_map.or_else(|| ca.secret.as_deref().map(MountContent::Secret))?))
}

fn mount(owner: Owner, folder: Option<&str>, content: &MountContent<'_>) -> SourceMount {
    let (name, path) = match folder {
        None => (owner.volume(), owner.path()),
        Some(folder) => (format!("{}-{folder}", owner.volume()), format!("{}/{folder}", owner.path())),
    };
    SourceMount { volume: volume(name, content), path }
}

fn volume(name: String, content: &MountContent<'_>) -> core::Volume {
    let mut volume = core::Volume { name, ..core::Volume::default() };
    // All keys are mounted and boot selects the listed ones: if a key is missing, the kubelet would not start
    // the pod, and would report it only in an event. The volume is always optional for the kubelet, which
    // would otherwise wait indefinitely for a missing object. Boot reports what is missing, and fails.
    let optional = Some(true);
    match *content {
        MountContent::ConfigMap(name) => {
            let name = name.to_owned();
            volume.config_map = Some(core::ConfigMapVolumeSource { name, optional, ..Default::default() });
        }
        MountContent::Secret(name) => {
            let secret_name = Some(name.to_owned());
            volume.secret = Some(core::SecretVolumeSource { secret_name, optional, ..Default::default() });
        }
        MountContent::Volume(source) => volumes::set(&mut volume, source),
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
    fn a_client_has_a_volume_for_each_object() {
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
    fn the_objects_of_a_hook_have_volumes_of_their_own() {
        let http = |client: Value| json!({"url": "https://a.example", "client": client});
        let profile = serde_json::from_value(json!({
            "sources": [{"name": "a", "http": {"url": "https://a.example", "file": "a", "client": {"headersFromSecret": "api"}}}],
            "hooks": {
                "postKill": [{"name": "a", "http": http(json!({}))}],
                "abort": [{"name": "b", "http": http(json!({"headersFromSecret": "api", "token": {"audience": "b"}}))}],
            },
        }))
        .unwrap();
        let found = hooks(&profile).into_iter().map(|mount| (mount.volume.name, mount.path));
        let mount =
            |suffix: &str| (format!("bootlace-hook-1-{suffix}"), format!("/bootlace-hooks/1/{suffix}"));
        assert_eq!(found.collect::<Vec<_>>(), [mount("headers"), mount("token")]);
        assert_eq!(all(&profile).len(), 1);
    }

    #[test]
    fn a_pull_secret_is_mounted_in_addition_to_the_objects_of_the_client() {
        let oci =
            json!({"reference": "a/b:v1", "pullSecret": "registry", "client": {"ca": {"configMap": "own"}}});
        let found =
            mounts(&json!([{"name": "a", "oci": oci}])).into_iter().map(|(name, path, _)| (name, path));
        let mount =
            |suffix: &str| (format!("bootlace-source-0-{suffix}"), format!("/bootlace-sources/0/{suffix}"));
        assert_eq!(found.collect::<Vec<_>>(), [mount("ca"), mount("pull-secret")]);
    }

    #[test]
    fn the_token_for_vault_is_mounted_like_that_of_a_client() {
        let auth = json!({"role": "etl", "token": {"audience": "vault", "expirationSeconds": 600}});
        let found = mounts(&json!([{"name": "a", "vault": {
            "address": "https://vault", "auth": auth, "secrets": [{"mount": "secret", "path": "etl"}],
            "client": {"ca": {"configMap": "own"}},
        }}]));
        let token = json!({"audience": "vault", "expirationSeconds": 600, "path": "token"});
        let mount = |suffix: &str, volume: Value| {
            let path = format!("/bootlace-sources/0/{suffix}");
            (format!("bootlace-source-0-{suffix}"), path, volume)
        };
        assert_eq!(
            found,
            [
                mount("ca", json!({"configMap": {"name": "own", "optional": true}})),
                mount("token", json!({"projected": {"sources": [{"serviceAccountToken": token}]}})),
            ]
        );
    }

    #[test]
    fn a_client_without_objects_has_no_mounts() {
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
