//! A boot image of the pod's own: whether it may have it, and what stands before `bootlace-boot` for it.
//!
//! ```text
//! bootlace-install   Bootlace's image: puts the launcher onto the volume
//! bootlace-init      the pod's image, started by that launcher, which ends it at the profile's time
//! bootlace-boot      Bootlace's image: checks what the pod's image left, and boots as always
//! ```
//!
//! Kubernetes gives an init container no deadline, so something of Bootlace's must stand above the image's program, and
//! must be there before it. The image cannot write to the volume that the task reads, so it cannot change the launcher.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bootlace_launch::layout;
use k8s_openapi::api::core::v1 as core;
use serde_json::{Value, json};

use super::boot_spec::{BootSource, InitImageSource, SourceKind, SourceLimits};
use super::env_names::BootEnvNames;
use super::prepared::{json, shared};
use super::resources::{self, BootMemory, PodLimits};
use super::{BootSpec, InstallationSettings, PlanError, PreparedProfile, boot};
use crate::names;
use crate::pod::{Image, InvalidImage, Pod};
use crate::profile::BootProfileSpec;
use crate::profile::init_image::{InitImage, OwnSources};
use crate::profile::remote::Limits;
use crate::profile::run_as_user::RunAsUser;
use crate::profile::spec::Boot;
use crate::quote::quoted;

/// The source's name in boot's log.
const SOURCE: &str = "init-image";

/// Why a pod may not have the boot image that it names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InitImageError {
    /// It names none.
    #[error(
        "annotation {} is empty: name an image, or remove the annotation to use the default boot image",
        names::ANNOTATION_INIT_IMAGE
    )]
    Empty,
    /// What it names is no image.
    #[error("annotation {}: {error}", names::ANNOTATION_INIT_IMAGE)]
    NotAnImage {
        /// Why not.
        #[from]
        error: InvalidImage,
    },
    /// The profile does not allow it.
    #[error(
        "annotation {} is {image:?}, which BootProfile {profile:?} does not allow: {}, or remove the annotation to use the \
         default boot image",
        names::ANNOTATION_INIT_IMAGE,
        remedy(allowed)
    )]
    NotAllowed {
        /// The image, in full.
        image: String,
        /// The profile.
        profile: String,
        /// What it allows, as a person would write it.
        allowed: Vec<String>,
    },
}

impl InitImageError {
    /// Whether it is a matter of what is allowed.
    pub(super) fn is_forbidden(&self) -> bool {
        matches!(self, Self::NotAllowed { .. })
    }
}

fn remedy(allowed: &[String]) -> String {
    match allowed {
        [] => "add the image to boot.initImage.allow of the profile".to_owned(),
        allowed => format!("use one of {}", quoted(allowed)),
    }
}

/// What every pod of a profile gets that has a boot image of its own, but for the image and what differs from pod to
/// pod anyway.
#[derive(Debug, Clone)]
pub(super) struct PreparedInitImage {
    /// The profile's recipe, with the image's source and volumes.
    recipe: PreparedProfile,
    install: Value,
    init: Value,
}

impl PreparedInitImage {
    /// Prepares a profile; none where it allows no image.
    pub(super) fn new(
        recipe: &PreparedProfile,
        settings: &InstallationSettings,
    ) -> Result<Option<Self>, PlanError> {
        let spec = &recipe.profile.spec;
        let Some(says) = spec.boot.init_image.as_ref().filter(|says| !says.allow.is_empty()) else {
            return Ok(None);
        };
        // The profile without what the image stands for.
        let mut own = spec.clone();
        if says.sources == OwnSources::Replace {
            own.sources.clear();
        }
        let mut sources = boot::sources(&own);
        sources.push(source(&own));

        let mut container = boot::container(&own, settings);
        let mounts = container.volume_mounts.get_or_insert_default();
        mounts.push(boot::writable(names::VOLUME_OUT, names::MOUNT_OUT));
        let install = core::Container {
            name: names::CONTAINER_INSTALL.to_owned(),
            volume_mounts: Some(vec![boot::writable(names::VOLUME, names::MOUNT)]),
            ..container.clone()
        };
        let volumes = boot::volumes(&own, settings).into_iter().chain(volumes(says, &own));
        let recipe = PreparedProfile {
            boot: json(&container)?,
            volumes: volumes.map(|volume| shared(&volume)).collect::<Result<_, _>>()?,
            given: BootEnvNames::by(&sources),
            memory: BootMemory::of(&own, &sources),
            sources,
            templated: if own.sources.is_empty() { Vec::new() } else { recipe.templated.clone() },
            ..recipe.clone()
        };
        Ok(Some(Self {
            install: json(&install)?,
            init: json(&init(says, &own.boot, recipe.run_as_user))?,
            recipe,
        }))
    }
}

/// What boot takes from the image. It is the last source, so it wins: who names the image is nearer to the task than
/// the profile is.
fn source(profile: &BootProfileSpec) -> BootSource {
    let limits = Some(SourceLimits { bytes: boot::volume_bytes(profile), files: Limits::default().files });
    let from = InitImageSource { image: String::new(), path: names::MOUNT_OUT.to_owned() };
    BootSource { name: SOURCE.to_owned(), optional: false, limits, from: SourceKind::InitImage(from) }
}

/// The container of the image, but for the image, the env and the resources.
fn init(says: &InitImage, boot: &Boot, user: RunAsUser) -> core::Container {
    let launch = [
        format!("{}/{}", names::MOUNT, names::FILE_LAUNCHER),
        "init".to_owned(),
        format!("--container={}", names::CONTAINER_INIT),
        format!("--timeout={}", boot.timeout_seconds),
        "--".to_owned(),
    ];
    let secrets = says.secrets.iter().enumerate().map(|(position, name)| {
        boot::read_only(&secret_volume(position), &format!("{}/{name}", names::MOUNT_SECRETS))
    });
    let mounts =
        [boot::read_only(names::VOLUME, names::MOUNT), boot::writable(names::VOLUME_OUT, names::MOUNT_OUT)];
    core::Container {
        name: names::CONTAINER_INIT.to_owned(),
        command: Some(launch.into_iter().chain(says.command.iter().cloned()).collect()),
        volume_mounts: Some(mounts.into_iter().chain(secrets).collect()),
        // What the image says last is its reason, unless it leaves a message of its own.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        security_context: Some(boot::security_context(user)),
        ..core::Container::default()
    }
}

fn volumes(says: &InitImage, profile: &BootProfileSpec) -> Vec<core::Volume> {
    let secrets = says.secrets.iter().enumerate().map(|(position, name)| core::Volume {
        name: secret_volume(position),
        secret: Some(core::SecretVolumeSource {
            secret_name: Some(name.clone()),
            // The kubelet would wait for a missing one for ever; the image sees an empty folder and can say so.
            optional: Some(true),
            ..Default::default()
        }),
        ..core::Volume::default()
    });
    [boot::memory(names::VOLUME_OUT, profile)].into_iter().chain(secrets).collect()
}

fn secret_volume(position: usize) -> String {
    format!("{}{position}", names::VOLUME_SECRET_PREFIX)
}

/// Whether a volume has a name that is used here.
pub(super) fn is_called(name: &str) -> bool {
    name == names::VOLUME_OUT || name.starts_with(names::VOLUME_SECRET_PREFIX)
}

/// A boot image that a pod names and may have.
pub(super) struct ChosenInitImage<'r> {
    image: Image,
    says: &'r PreparedInitImage,
}

/// The boot image that the pod names, where it names one.
pub(super) fn choose<'r>(
    pod: &Pod<'_>,
    recipe: &'r PreparedProfile,
) -> Result<Option<ChosenInitImage<'r>>, InitImageError> {
    let Some(name) = pod.annotations.get(names::ANNOTATION_INIT_IMAGE) else { return Ok(None) };
    if name.is_empty() {
        return Err(InitImageError::Empty);
    }
    let image = Image::parse(name)?;
    let says = recipe.profile.spec.boot.init_image.as_ref();
    match &recipe.init_image {
        Some(prepared) if says.is_some_and(|says| says.allows(&image)) => {
            Ok(Some(ChosenInitImage { image, says: prepared }))
        }
        _ => Err(InitImageError::NotAllowed {
            image: image.to_string(),
            profile: recipe.profile.name.clone(),
            allowed: says.into_iter().flat_map(|says| &says.allow).map(ToString::to_string).collect(),
        }),
    }
}

impl<'r> ChosenInitImage<'r> {
    /// The recipe of a pod with such an image.
    pub(super) fn recipe(&self) -> &'r PreparedProfile {
        &self.says.recipe
    }

    /// The image, in full.
    pub(super) fn image(&self) -> String {
        self.image.to_string()
    }

    /// Sets the image in the configuration of boot.
    pub(super) fn set_in(&self, spec: &mut BootSpec<'_>) {
        if let Some(BootSource { from: SourceKind::InitImage(from), .. }) = spec.sources.to_mut().last_mut() {
            from.image = self.image();
        }
    }

    /// The resources of the image's container, where there is `room`.
    pub(super) fn resources(&self, room: &PodLimits<'_>) -> Result<resources::AddedResources, PlanError> {
        let boot = &self.says.recipe.profile.spec.boot;
        let says = boot.init_image.as_ref().and_then(|says| says.resources.as_ref());
        room.ends(names::CONTAINER_INIT, says.unwrap_or(&boot.resources), resources::least())
    }

    /// The containers that boot the pod, of which `last` is `bootlace-boot`.
    pub(super) fn containers(
        &self,
        namespace: &str,
        spec: &BootSpec<'_>,
        last: Value,
    ) -> Result<[Value; 3], PlanError> {
        let PreparedInitImage { install, init, .. } = self.says;
        let (mut install, mut init) = (install.clone(), init.clone());
        // A boot that is told to fetch nothing leaves the launcher and the task's identity.
        let nothing = BootSpec {
            task: spec.task.clone(),
            profile: spec.profile.clone(),
            timeout_seconds: spec.timeout_seconds,
            store: None,
            env_secret: None,
            log_format: spec.log_format,
            layout: crate::profile::spec::Layout::Bootlace,
            sources: Cow::Borrowed(&[]),
            keep: BTreeMap::new(),
            held: BTreeMap::new(),
            references: BTreeMap::new(),
            built_on: BTreeMap::new(),
            http_get: false,
            by_shell: false,
            file_keys: None,
            allow: Cow::Borrowed(&[]),
        };
        set(&mut install, "env", boot::env(&nothing, &spec.profile.name)?.into());
        // In full, so that what was judged is what every runtime pulls.
        set(&mut init, "image", self.image().into());
        set(&mut init, "env", env(namespace, spec));
        Ok([install, init, last])
    }
}

fn set(container: &mut Value, field: &str, value: Value) {
    if let Some(container) = container.as_object_mut() {
        container.insert(field.to_owned(), value);
    }
}

/// What the image is told. Absent where it is not known, so that a script's `${NAME:?}` says so.
fn env(namespace: &str, spec: &BootSpec<'_>) -> Value {
    let tmp = format!("{}/{}", names::MOUNT_OUT, layout::OUT_TMP);
    let timeout = spec.timeout_seconds.to_string();
    let task = &spec.task;
    let known = [
        (names::ENV_OUT, Some(names::MOUNT_OUT)),
        (names::ENV_SECRETS, Some(names::MOUNT_SECRETS)),
        (names::ENV_TIMEOUT, Some(timeout.as_str())),
        // The image's own file system is read-only, and its user has no home there.
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
    // No variable holds a NUL byte, which an annotation can; `task.json` has it all the same.
    let known = known
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.filter(|value| !value.contains('\0'))?)));
    // The kubelet expands `$(NAME)` and folds `$$`.
    let literal = known.map(|(name, value)| json!({"name": name, "value": value.replace('$', "$$")}));
    // Not known yet where the pod has a `generateName`.
    let pod = json!({"name": names::ENV_POD, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}});
    literal.chain([pod]).collect()
}
