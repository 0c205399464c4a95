//! The boot container, its volumes, and what it is told.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource;
use serde_json::{Value, json};

use super::boot_spec::{self, BootSource, MountedSource, RemoteSpec, SourceKind, SourceLimits};
use super::{
    BootSpec, EnvDelivery, InstallationSettings, PlanError, PreparedProfile, TaskContainer, env_secret,
    init_image, mounts, references,
};
use crate::names;
use crate::output::ObjectKind;
use crate::pod::{Container, Pod, PostStart};
use crate::profile::remote::Limits;
use crate::profile::run_as_user::RunAsUser;
use crate::profile::spec::{self, BootProfileSpec, Source};
use crate::profile::{MAX_SPEC_BYTES, SourceOrigin};
use crate::quantity::Quantity;

/// Bytes of the spec in one env variable. Linux takes at most 32 pages in one string of the environment
/// (`MAX_ARG_STRLEN`), its name and its end included; a longer spec goes on in further variables.
const MAX_PART_BYTES: usize = 32 * 4096 - 64;

/// The profile's sources, as boot sees them.
pub(super) fn sources(profile: &BootProfileSpec) -> Vec<BootSource> {
    profile.sources.iter().enumerate().map(|(position, says)| source(profile, position, says)).collect()
}

/// The source at `position`, as boot sees it.
pub(super) fn source(profile: &BootProfileSpec, position: usize, source: &Source) -> BootSource {
    BootSource {
        name: source.name.clone(),
        optional: source.optional,
        limits: limits(profile, source),
        from: from(position, source),
    }
}

fn from(position: usize, source: &Source) -> SourceKind {
    let path = mounts::path(position);
    let object = |kind, mounted: &spec::Mounted| {
        SourceKind::Mounted(MountedSource {
            kind,
            name: mounted.name.clone(),
            path: path.clone(),
            into: mounted.into,
            items: mounted.items.clone(),
            exclude: mounted.exclude.clone(),
            prefix: mounted.prefix.clone(),
            optional: mounted.optional,
        })
    };
    match source.origin() {
        SourceOrigin::Inline(inline) => SourceKind::Inline(inline.clone()),
        SourceOrigin::ConfigMap(config_map) => object(ObjectKind::ConfigMap, config_map),
        SourceOrigin::Secret(secret) => object(ObjectKind::Secret, secret),
        SourceOrigin::Http(http) => SourceKind::Http(remote(http, path)),
        SourceOrigin::Optimus(optimus) => SourceKind::Optimus(remote(optimus, path)),
        SourceOrigin::ObjectStore(store) => SourceKind::ObjectStore(remote(store, path)),
        SourceOrigin::Oci(oci) => SourceKind::Oci(remote(oci, path)),
        SourceOrigin::Pipe(pipe) => SourceKind::Mounted(MountedSource {
            // Kind and name are known once it is looked up for a pod: see `sources::add_inputs`.
            kind: ObjectKind::ConfigMap,
            name: String::new(),
            path,
            into: pipe.into,
            items: pipe.items.clone(),
            exclude: pipe.exclude.clone(),
            prefix: pipe.prefix.clone(),
            optional: false,
        }),
    }
}

fn remote<T: Clone>(request: &T, path: String) -> RemoteSpec<T> {
    RemoteSpec { request: Box::new(request.clone()), path }
}

/// What comes from the network is limited always: by the profile, else by what the volume takes.
fn limits(profile: &BootProfileSpec, source: &Source) -> Option<SourceLimits> {
    let remote = source.origin().is_remote();
    let limits = source.limits.clone().or_else(|| remote.then(Limits::default))?;
    let bytes = limits.size.map_or_else(|| volume_bytes(profile), |size| size.bytes());
    Some(SourceLimits { bytes, files: limits.files })
}

/// What the volume takes.
pub(super) fn volume_bytes(profile: &BootProfileSpec) -> u64 {
    // Anything but a quantity is refused when the profile is read.
    Quantity::parse(&profile.volume.size_limit).map_or(u64::MAX, Quantity::units)
}

/// The names that the container sets itself and that boot's env may hold. What may be missing is for boot to find.
fn kept<'a>(container: &Container<'a>, recipe: &PreparedProfile) -> impl Iterator<Item = &'a str> {
    let names = container.sure_variables().map(|variable| variable.name);
    names.filter(|name| recipe.given.may_hold(name))
}

/// What boot is told of one pod.
pub(super) fn spec<'a>(
    pod: &Pod<'_>,
    containers: &[&Container<'a>],
    tasks: &[TaskContainer],
    held: BTreeMap<String, String>,
    recipe: &'a PreparedProfile,
) -> BootSpec<'a> {
    // For every task container, empty or not: the launcher takes a missing list for a boot that did not finish.
    let keep = |container: &&Container<'a>| {
        (Cow::Borrowed(container.name), kept(container, recipe).map(Cow::Borrowed).collect())
    };
    let references = containers.iter().zip(tasks).filter_map(|(container, task)| {
        let texts = task.references(container, &recipe.given);
        (!texts.is_empty()).then_some((Cow::Borrowed(container.name), texts))
    });
    let by_file = containers.iter().zip(tasks).filter(|(_, task)| task.way == EnvDelivery::File);
    let built_on = by_file.filter_map(|(container, _)| {
        let built_on = references::built_on(container);
        let names = kept(container, recipe).filter(|name| built_on.contains(name));
        let names: Vec<_> = names.map(Cow::Borrowed).collect();
        (!names.is_empty()).then_some((Cow::Borrowed(container.name), names))
    });
    let env = &recipe.profile.spec.env;
    let by_file = tasks.iter().any(|task| task.way == EnvDelivery::File);
    BootSpec {
        task: recipe.schedulers.identify(pod),
        profile: recipe.reference(),
        timeout_seconds: recipe.profile.spec.boot.timeout_seconds,
        store: recipe.store.as_deref().map(Cow::Borrowed),
        env_secret: None,
        log_format: recipe.profile.spec.boot.log_format,
        layout: recipe.profile.spec.assets.layout,
        sources: Cow::Borrowed(&recipe.sources),
        keep: containers.iter().map(keep).collect(),
        held,
        references: references.collect(),
        built_on: built_on.collect(),
        http_get: containers.iter().zip(tasks).any(|(container, task)| {
            task.hook.is_some() && matches!(container.post_start, Some(PostStart::HttpGet(_)))
        }),
        by_shell: tasks.iter().any(|task| task.way == EnvDelivery::Hook),
        file_keys: by_file.then_some(Cow::Borrowed(&*env.file.keys)),
        allow: Cow::Borrowed(&env.allow),
    }
}

/// The volumes that boot needs.
pub(super) fn volumes(profile: &BootProfileSpec, settings: &InstallationSettings) -> Vec<core::Volume> {
    let token = settings.store.as_ref().map(|_| env_secret::volume());
    let sources = mounts::all(profile).into_iter().map(|mount| mount.volume);
    let data = profile.assets.writable().map(|_| core::Volume {
        name: names::VOLUME_DATA.to_owned(),
        // On the node's disk: what a task writes there is not Bootlace's to keep in memory.
        empty_dir: Some(core::EmptyDirVolumeSource::default()),
        ..core::Volume::default()
    });
    [memory(names::VOLUME, profile)].into_iter().chain(token).chain(sources).chain(data).collect()
}

/// An emptyDir of the size that the profile gives.
pub(super) fn memory(name: &str, profile: &BootProfileSpec) -> core::Volume {
    core::Volume {
        name: name.to_owned(),
        empty_dir: Some(core::EmptyDirVolumeSource {
            // Memory, so that secrets do not reach the node's disk. Where the node swaps, the kubelet mounts it with
            // noswap if the kernel can (6.4 and later); docs/memory.md says what else can be done.
            medium: Some("Memory".to_owned()),
            size_limit: Some(resource::Quantity(profile.volume.size_limit.clone())),
            ..Default::default()
        }),
        ..core::Volume::default()
    }
}

/// The boot container, but for the env and the resources, which differ from pod to pod.
pub(super) fn container(profile: &BootProfileSpec, settings: &InstallationSettings) -> core::Container {
    let boot = &profile.boot;
    let policy = match boot.image {
        Some(_) => boot.image_pull_policy,
        None => boot.image_pull_policy.or(settings.boot_image_pull_policy),
    };
    core::Container {
        name: names::CONTAINER_BOOT.to_owned(),
        image: Some(boot.image.clone().unwrap_or_else(|| settings.boot_image.clone())),
        image_pull_policy: policy.map(|policy| policy.as_str().to_owned()),
        command: Some(vec![names::IMAGE_BOOTLACE.to_owned(), "boot".to_owned()]),
        volume_mounts: Some(volume_mounts(profile, settings)),
        // Boot writes the message itself; where it is killed before it can, its log's end is the next best.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        security_context: Some(security_context(user(boot, settings))),
        ..core::Container::default()
    }
}

fn volume_mounts(profile: &BootProfileSpec, settings: &InstallationSettings) -> Vec<core::VolumeMount> {
    let token = settings.store.as_ref().map(|_| read_only(names::VOLUME_STORE, names::MOUNT_STORE));
    let sources = mounts::all(profile).into_iter().map(|mount| read_only(&mount.volume.name, &mount.path));
    [writable(names::VOLUME, names::MOUNT)].into_iter().chain(token).chain(sources).collect()
}

/// A mount that the container may write to.
pub(super) fn writable(volume: &str, path: &str) -> core::VolumeMount {
    core::VolumeMount { name: volume.to_owned(), mount_path: path.to_owned(), ..core::VolumeMount::default() }
}

/// A mount that it may only read.
pub(super) fn read_only(volume: &str, path: &str) -> core::VolumeMount {
    core::VolumeMount { read_only: Some(true), ..writable(volume, path) }
}

/// The spec as JSON. The kubelet expands `$(NAME)` and folds `$$` in a container's env, so every dollar sign
/// is written as a JSON escape.
/// <https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/>
fn encode(spec: &BootSpec<'_>, profile: &str) -> Result<String, PlanError> {
    let json = serde_json::to_string(spec).map_err(|error| PlanError::Unwritable(error.to_string()))?;
    let json = if json.contains('$') { json.replace('$', "\\u0024") } else { json };
    if json.len() > MAX_SPEC_BYTES {
        let (size, limit, profile) = (json.len(), MAX_SPEC_BYTES, profile.to_owned());
        return Err(PlanError::SpecTooLarge { size, limit, profile });
    }
    Ok(json)
}

/// The spec as env of the boot container: in as many variables as it takes.
pub(super) fn env(spec: &BootSpec<'_>, profile: &str) -> Result<Vec<Value>, PlanError> {
    let json = encode(spec, profile)?;
    let mut rest = json.as_str();
    let mut variables = Vec::new();
    while !rest.is_empty() {
        let (part, after) = rest.split_at(rest.floor_char_boundary(MAX_PART_BYTES));
        variables.push(json!({"name": boot_spec::env_name(variables.len()), "value": part}));
        rest = after;
    }
    Ok(variables)
}

/// What the pod security standard `restricted` asks of every container.
/// <https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted>
pub(super) fn security_context(user: RunAsUser) -> core::SecurityContext {
    core::SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(core::Capabilities { add: None, drop: Some(vec!["ALL".to_owned()]) }),
        read_only_root_filesystem: Some(true),
        run_as_non_root: Some(true),
        run_as_user: user.id(),
        run_as_group: user.id(),
        seccomp_profile: Some(core::SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            localhost_profile: None,
        }),
        ..core::SecurityContext::default()
    }
}

/// The user that a profile's injected containers run as.
pub(super) fn user(boot: &spec::Boot, settings: &InstallationSettings) -> RunAsUser {
    boot.run_as_user.unwrap_or(settings.boot_run_as_user)
}

/// Gives an injected container a user where it would have the pod's, and that is root: the kubelet would never start it,
/// as it must not run as root. A platform that lets this pod run as root has its user be any.
pub(super) fn keep_from_root(container: &mut Value, pod: &Pod<'_>) {
    if pod.run_as_user != Some(0) {
        return;
    }
    let context = container.get_mut("securityContext").and_then(Value::as_object_mut);
    if let Some(context) = context.filter(|context| !context.contains_key("runAsUser")) {
        for field in ["runAsUser", "runAsGroup"] {
            context.insert(field.to_owned(), names::USER.into());
        }
    }
}

/// Refuses a pod that uses Bootlace's own names: merging by name would silently make two things one.
pub(super) fn check_names_are_free(pod: &Pod<'_>, profile: &BootProfileSpec) -> Result<(), PlanError> {
    let taken = |field, name: &str| PlanError::NameTaken { field, name: name.to_owned() };
    if let Some(container) = pod.all_containers().find(|container| names::is_own_container(container.name)) {
        return Err(taken("container", container.name));
    }
    let data = profile.assets.writable().is_some();
    let ours = |name: &str| {
        [names::VOLUME, names::VOLUME_RUN].contains(&name)
            || name == names::VOLUME_STORE
            || (data && name == names::VOLUME_DATA)
            || mounts::are_called(profile, name)
            || init_image::is_called(name)
    };
    match pod.volumes.iter().flatten().find(|volume| ours(volume.name)) {
        Some(volume) => Err(taken("volume", volume.name)),
        None => Ok(()),
    }
}
