//! Boot images that pods select: whether the profile allows the image, and its init containers.
//!
//! ```text
//! bootlace-install   Bootlace image: copies the launcher to the volume
//! bootlace-init      image of the pod, started by the launcher, which stops it after the timeout
//! bootlace-boot      Bootlace image: checks the output of the image, and boots as usual
//! ```
//!
//! Kubernetes has no timeout for init containers, so the launcher must be the parent process of the program,
//! and must be copied before it runs. The image cannot write to the volume that the task reads, so it cannot
//! change the launcher.

use bootlace_launch::layout;
use serde_json::{Value, json};

use super::boot_spec::{BootSource, SourceKind};
use super::prepared::PreparedInitImage;
use super::resources::{self, PodLimits};
use super::{BootSpec, InitImageError, PlanError, PreparedProfile, boot_config};
use crate::names;
use crate::pod::{Image, Pod};

/// A boot image that a pod selects and the profile allows.
pub(super) struct ChosenInitImage<'r> {
    image: Image,
    parts: &'r PreparedInitImage,
}

/// The boot image that the pod selects, if it selects one.
pub(super) fn choose<'r>(
    pod: &Pod<'_>,
    prepared: &'r PreparedProfile,
) -> Result<Option<ChosenInitImage<'r>>, InitImageError> {
    let Some(name) = pod.annotations.get(names::ANNOTATION_INIT_IMAGE) else { return Ok(None) };
    if name.is_empty() {
        return Err(InitImageError::Empty);
    }
    let image = Image::parse(name)?;
    let settings = prepared.profile.spec.boot.init_image.as_ref();
    match &prepared.init_image {
        Some(parts) if settings.is_some_and(|settings| settings.allows(&image)) => {
            Ok(Some(ChosenInitImage { image, parts }))
        }
        _ => Err(InitImageError::NotAllowed {
            image: image.to_string(),
            profile: prepared.profile.name.clone(),
            allowed: settings
                .into_iter()
                .flat_map(|settings| &settings.allow)
                .map(ToString::to_string)
                .collect(),
        }),
    }
}

impl<'r> ChosenInitImage<'r> {
    /// The prepared profile of a pod with such an image.
    pub(super) fn prepared(&self) -> &'r PreparedProfile {
        &self.parts.prepared
    }

    /// The full reference of the image.
    pub(super) fn image(&self) -> String {
        self.image.to_string()
    }

    /// Sets the image in the configuration of boot.
    pub(super) fn set_in(&self, spec: &mut BootSpec<'_>) {
        if let Some(BootSource { from: SourceKind::InitImage(from), .. }) = spec.sources.to_mut().last_mut() {
            from.image = self.image();
        }
    }

    /// The resources of the container of the image.
    pub(super) fn resources(&self, limits: &PodLimits<'_>) -> Result<resources::AddedResources, PlanError> {
        let boot = &self.parts.prepared.profile.spec.boot;
        let settings = boot.init_image.as_ref().and_then(|settings| settings.resources.as_ref());
        limits.init_container(
            names::CONTAINER_INIT,
            settings.unwrap_or(&boot.resources),
            resources::min_memory(),
        )
    }

    /// The containers that boot the pod, with `boot` as the last one.
    pub(super) fn containers(
        &self,
        namespace: &str,
        spec: &BootSpec<'_>,
        boot: Value,
    ) -> Result<[Value; 3], PlanError> {
        let (mut install, mut init) = (self.parts.install.clone(), self.parts.init.clone());
        // A boot without sources copies the launcher and writes the identity of the task.
        let install_spec = BootSpec {
            log_format: spec.log_format,
            ..BootSpec::minimal(spec.task.clone(), spec.profile.clone(), spec.timeout_seconds)
        };
        set(&mut install, "env", boot_config::env(&install_spec, &spec.profile.name)?.into());
        // The full reference, so that every runtime pulls exactly the image that was checked.
        set(&mut init, "image", self.image().into());
        set(&mut init, "env", env(namespace, spec));
        Ok([install, init, boot])
    }
}

fn set(container: &mut Value, field: &str, value: Value) {
    if let Some(container) = container.as_object_mut() {
        container.insert(field.to_owned(), value);
    }
}

/// The env of the container of the image. Unknown values are omitted, so that `${NAME:?}` in a script reports
/// them.
fn env(namespace: &str, spec: &BootSpec<'_>) -> Value {
    let tmp = format!("{}/{}", names::MOUNT_OUT, layout::OUT_TMP);
    let timeout = spec.timeout_seconds.to_string();
    let task = &spec.task;
    let variables = [
        (names::ENV_OUT, Some(names::MOUNT_OUT)),
        (names::ENV_SECRETS, Some(names::MOUNT_SECRETS)),
        (names::ENV_TIMEOUT, Some(timeout.as_str())),
        // The root file system of the image is read-only, and its user has no home there.
        ("HOME", Some(&tmp)),
        ("TMPDIR", Some(&tmp)),
        (names::ENV_PROFILE, Some(&spec.profile.name)),
        (names::ENV_NAMESPACE, Some(namespace)),
        (names::ENV_SCHEDULER, task.scheduler.as_deref()),
        (names::ENV_WORKFLOW, task.workflow.as_deref()),
        (names::ENV_RUN, task.run.as_deref()),
        (names::ENV_TASK, task.task.as_deref()),
        (names::ENV_ATTEMPT, task.attempt.as_deref()),
        (names::ENV_MAP_INDEX, task.map_index.as_deref()),
        (names::ENV_SCHEDULED_TIME, task.scheduled_time.as_deref()),
    ];
    // A variable cannot contain a NUL byte, but an annotation can; `task.json` contains the value.
    let known = variables
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.filter(|value| !value.contains('\0'))?)));
    // The kubelet expands `$(NAME)` and replaces `$$`.
    let literal = known.map(|(name, value)| json!({"name": name, "value": value.replace('$', "$$")}));
    // The name of the pod is not known yet if the pod has a `generateName`.
    let pod = json!({"name": names::ENV_POD, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}});
    literal.chain([pod]).collect()
}
