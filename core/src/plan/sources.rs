//! The sources of a profile in the configuration of boot: for all pods, and for one pod with its templates
//! rendered and its inputs resolved.

use std::borrow::Cow;

use serde_json::Value;

use super::boot_spec::{
    BootSource, ContextSource, MountedSource, RemoteSpec, SourceKind, SourceLimits, VaultSource, VolumeKind,
};
use super::container_parts::{json, memory_volume_bytes, read_only_mount};
use super::context::{self, TaskInPod};
use super::mounts::SourceMount;
use super::{PlanError, Version, mounts, volumes};
use crate::code::Coded as _;
use crate::input::ResolvedInput;
use crate::output::ObjectKind;
use crate::pod::Pod;
use crate::profile::remote::Limits;
use crate::profile::spec::BootProfileSpec;
use crate::profile::templates::{self, FieldError, InvalidTemplate};
use crate::profile::{Mounted, Profile, Source, SourceOrigin};

/// The sources of the profile.
pub(super) fn all(profile: &BootProfileSpec) -> Vec<BootSource> {
    let sources = profile.sources.iter().enumerate();
    sources.map(|(position, source)| boot_source(profile, position, source)).collect()
}

fn boot_source(profile: &BootProfileSpec, position: usize, source: &Source) -> BootSource {
    BootSource {
        name: source.name.clone(),
        optional: source.optional,
        limits: limits(profile, source),
        from: kind(position, source),
    }
}

fn kind(position: usize, source: &Source) -> SourceKind {
    let path = mounts::path(position);
    let mounted = |kind, mounted: &Mounted| {
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
        SourceOrigin::ConfigMap(config_map) => mounted(ObjectKind::ConfigMap, config_map),
        SourceOrigin::Secret(secret) => mounted(ObjectKind::Secret, secret),
        SourceOrigin::Http(http) => SourceKind::Http(remote(http, path)),
        SourceOrigin::Optimus(optimus) => SourceKind::Optimus(remote(optimus, path)),
        SourceOrigin::ObjectStore(store) => SourceKind::ObjectStore(remote(store, path)),
        SourceOrigin::Oci(oci) => SourceKind::Oci(remote(oci, path)),
        SourceOrigin::Vault(vault) => {
            // `set_deadline` sets the deadline of a pod.
            SourceKind::Vault(VaultSource { remote: remote(vault, path), deadline_seconds: None })
        }
        SourceOrigin::Volume(volume) => SourceKind::Volume(volumes::spec(volume, path)),
        // `render` sets it for a pod.
        SourceOrigin::Context(_) => SourceKind::Context(ContextSource::default()),
        SourceOrigin::Pipe(pipe) => SourceKind::Mounted(MountedSource {
            // `add_inputs` sets kind and name after the lookup for a pod.
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

/// Sources on the network and volumes always have limits: those of the profile, or the size of the volume of
/// boot.
fn limits(profile: &BootProfileSpec, source: &Source) -> Option<SourceLimits> {
    let unbounded = source.origin().is_unbounded();
    let limits = source.limits.clone().or_else(|| unbounded.then(Limits::default))?;
    let bytes = limits.size.map_or_else(|| memory_volume_bytes(profile), |size| size.bytes());
    Some(SourceLimits { bytes, files: limits.files })
}

/// The positions of the sources that differ from pod to pod.
///
/// # Errors
/// If a template cannot work for any pod.
pub(super) fn per_pod(sources: &[Source]) -> Result<Vec<usize>, InvalidTemplate> {
    let mut positions = templates::check(sources)?;
    let contexts = sources.iter().enumerate().filter(|(_, source)| source.context.is_some());
    positions.extend(contexts.map(|(position, _)| position));
    positions.sort_unstable();
    positions.dedup();
    Ok(positions)
}

/// Refuses image volumes on a version of Kubernetes that ignores them.
pub(super) fn check_version(
    sources: &[BootSource],
    profile: &str,
    kubernetes: Option<Version>,
) -> Result<(), PlanError> {
    let Some(version) = kubernetes.filter(|version| *version < Version::IMAGE_VOLUME) else { return Ok(()) };
    let is_image = |source: &&BootSource| match &source.from {
        SourceKind::Volume(volume) => volume.kind == VolumeKind::Image,
        _ => false,
    };
    match sources.iter().find(is_image) {
        None => Ok(()),
        Some(source) => {
            let (name, profile) = (source.name.clone(), profile.to_owned());
            Err(PlanError::TooOldForImageVolume { name, profile, version })
        }
    }
}

/// Sets the sources at `positions` for the task of a pod: renders their templates, adds its context, and adds
/// their volumes to `added`. Returns warnings about variables that are left out.
pub(super) fn render(
    sources: &mut [BootSource],
    positions: &[usize],
    profile: &Profile,
    task: &TaskInPod<'_, '_>,
    added: &mut PodVolumes,
) -> Result<Vec<String>, PlanError> {
    let invalid = |error| PlanError::Template { profile: profile.name.clone(), error };
    let invalid_field = |name: &str, (field, error): (&'static str, FieldError)| {
        let (part, field) = (format!("source {name:?}"), field.to_owned());
        invalid(InvalidTemplate { part, field, error: Box::new(error) })
    };
    let mut warnings = Vec::new();
    for &position in positions {
        let found = profile.spec.sources.get(position).cloned().zip(sources.get_mut(position));
        let Some((mut spec, source)) = found else { continue };
        let has_own_volume = spec.volume.is_some() && templates::has_templates(&spec);
        templates::fill(&mut spec, task.variables).map_err(invalid)?;
        *source = boot_source(&profile.spec, position, &spec);
        if let Some(volume) = spec.volume.as_ref().filter(|_| has_own_volume) {
            volumes::check_rendered(volume).map_err(|error| invalid_field(&spec.name, error))?;
            added.add(mounts::volume_mount(position, volume), task.pod)?;
        }
        if let Some(settings) = &spec.context {
            let resolved = context::resolve(settings, task);
            let resolved = resolved.map_err(|error| invalid_field(&spec.name, error))?;
            let left_out = resolved.left_out(&profile.name, &spec.name);
            warnings.extend(left_out.map(|left_out| format!("bootlace: {left_out} [{}]", left_out.code())));
            source.from = SourceKind::Context(resolved.source);
        }
    }
    Ok(warnings)
}

/// Sets `activeDeadlineSeconds` of the pod in the sources that compare it with their leases.
pub(super) fn set_deadline(sources: &mut Cow<'_, [BootSource]>, pod: &Pod<'_>) {
    let deadline = pod.active_deadline_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    let has_leases = |source: &BootSource| matches!(source.from, SourceKind::Vault(_));
    if deadline.is_none() || !sources.iter().any(has_leases) {
        return;
    }
    for source in sources.to_mut() {
        if let SourceKind::Vault(vault) = &mut source.from {
            vault.deadline_seconds = deadline;
        }
    }
}

/// Volumes of sources that are specific to a pod (outputs of earlier tasks, and volumes with templates), and
/// their mounts in the boot container.
#[derive(Debug, Default)]
pub(super) struct PodVolumes {
    pub(super) volumes: Vec<Value>,
    pub(super) mounts: Vec<Value>,
}

impl PodVolumes {
    /// Adds a volume, unless the pod has one with its name.
    fn add(&mut self, mount: SourceMount, pod: &Pod<'_>) -> Result<(), PlanError> {
        let SourceMount { volume, path } = mount;
        if pod.volumes.iter().flatten().any(|existing| existing.name == volume.name) {
            return Err(PlanError::NameTaken { field: "volume", name: volume.name });
        }
        self.mounts.push(json(&read_only_mount(&volume.name, &path))?);
        self.volumes.push(json(&volume)?);
        Ok(())
    }
}

/// Sets the objects that `inputs` resolved, by the positions of their sources, removes the sources without
/// one, and adds the volumes of the others to `added`.
pub(super) fn add_inputs(
    sources: &mut Vec<BootSource>,
    inputs: &[(usize, Option<ResolvedInput>)],
    pod: &Pod<'_>,
    added: &mut PodVolumes,
) -> Result<(), PlanError> {
    for (position, input) in inputs {
        let Some(input) = input else { continue };
        if let Some(BootSource { from: SourceKind::Mounted(object), .. }) = sources.get_mut(*position) {
            object.name.clone_from(&input.object);
            object.kind = input.kind;
        }
        added.add(mounts::input_mount(*position, input), pod)?;
    }
    // From the last to the first, so that the positions of the others stay valid.
    let absent: Vec<_> =
        inputs.iter().filter(|(_, input)| input.is_none()).map(|(position, _)| *position).collect();
    for position in absent.into_iter().rev() {
        if position < sources.len() {
            sources.remove(position);
        }
    }
    Ok(())
}
