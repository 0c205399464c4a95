//! The sources of a profile for one pod: with its templates rendered, and with the objects of its inputs.

use serde_json::Value;

use super::boot_spec::{BootSource, SourceKind};
use super::prepared::json;
use super::{PlanError, PreparedProfile, boot, mounts};
use crate::input::ResolvedInput;
use crate::pod::{Container, Pod};
use crate::profile::templates;
use crate::template::Context;

/// The sources with every template rendered. Variables of `container`, the first task container, are in the context.
pub(super) fn render(
    prepared: &PreparedProfile,
    pod: &Pod<'_>,
    namespace: &str,
    container: Option<&Container<'_>>,
) -> Result<Vec<BootSource>, PlanError> {
    let profile = &prepared.profile;
    let context = Context::new(pod, namespace, container, &prepared.schedulers);
    let mut sources = prepared.sources.clone();
    for &position in &prepared.templated {
        let found = profile.spec.sources.get(position).cloned().zip(sources.get_mut(position));
        let Some((mut spec, source)) = found else { continue };
        templates::fill(&mut spec, &context)
            .map_err(|error| PlanError::Template { profile: profile.name.clone(), error })?;
        *source = boot::source(&profile.spec, position, &spec);
    }
    Ok(sources)
}

/// Volumes for sources that are outputs of earlier tasks, and the mounts of the boot container.
#[derive(Debug, Default)]
pub(super) struct InputVolumes {
    pub(super) volumes: Vec<Value>,
    pub(super) mounts: Vec<Value>,
}

/// Sets the objects that `inputs` resolved, by the positions of their sources, and removes the sources without one.
pub(super) fn add_inputs(
    sources: &mut Vec<BootSource>,
    inputs: &[(usize, Option<ResolvedInput>)],
    pod: &Pod<'_>,
) -> Result<InputVolumes, PlanError> {
    let mut added = InputVolumes::default();
    for (position, input) in inputs {
        let Some(input) = input else { continue };
        if let Some(BootSource { from: SourceKind::Mounted(object), .. }) = sources.get_mut(*position) {
            object.name.clone_from(&input.object);
            object.kind = input.kind;
        }
        let mount = mounts::of_taken(*position, input);
        if pod.volumes.iter().flatten().any(|volume| volume.name == mount.volume.name) {
            return Err(PlanError::NameTaken { field: "a volume of the pod", name: mount.volume.name });
        }
        added.mounts.push(json(&boot::read_only(&mount.volume.name, &mount.path))?);
        added.volumes.push(json(&mount.volume)?);
    }
    // From the back, so that the positions of the others stay valid.
    let absent: Vec<_> =
        inputs.iter().filter(|(_, input)| input.is_none()).map(|(position, _)| *position).collect();
    for position in absent.into_iter().rev() {
        if position < sources.len() {
            sources.remove(position);
        }
    }
    Ok(added)
}
