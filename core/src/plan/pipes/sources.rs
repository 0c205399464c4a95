//! Sources of boot's that take what an earlier task handed over: by now it is known which object that is.

use serde_json::Value;

use crate::input::ResolvedInput;
use crate::plan::boot_spec::{BootSource, SourceKind};
use crate::plan::prepared::json;
use crate::plan::{PlanError, boot, mounts};
use crate::pod::Pod;

/// Volumes of the pod, and boot's mounts of them.
#[derive(Debug, Default)]
pub(in crate::plan) struct Mounted {
    pub(in crate::plan) volumes: Vec<Value>,
    pub(in crate::plan) mounts: Vec<Value>,
}

/// Tells the profile's `sources` what is `taken`, by their position. One that takes nothing is left out.
pub(in crate::plan) fn add_sources(
    sources: &mut Vec<BootSource>,
    taken: &[(usize, Option<ResolvedInput>)],
    pod: &Pod<'_>,
) -> Result<Mounted, PlanError> {
    let mut mounted = Mounted::default();
    for (position, taken) in taken {
        let Some(taken) = taken else { continue };
        if let Some(BootSource { from: SourceKind::Mounted(object), .. }) = sources.get_mut(*position) {
            object.name.clone_from(&taken.object);
            object.kind = taken.kind;
        }
        let mount = mounts::of_taken(*position, taken);
        if pod.volumes.iter().flatten().any(|volume| volume.name == mount.volume.name) {
            return Err(PlanError::NameTaken { field: "volume", name: mount.volume.name });
        }
        mounted.mounts.push(json(&boot::read_only(&mount.volume.name, &mount.path))?);
        mounted.volumes.push(json(&mount.volume)?);
    }
    // From the back, so that positions stay what they are.
    let without: Vec<_> =
        taken.iter().filter(|(_, taken)| taken.is_none()).map(|(position, _)| *position).collect();
    for position in without.into_iter().rev() {
        if position < sources.len() {
            sources.remove(position);
        }
    }
    Ok(mounted)
}
