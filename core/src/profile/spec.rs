//! The `BootProfile` custom resource: how tasks boot.
//!
//! The CRD in the chart is generated from these types (`bootlace crds`); a test fails if they differ. The API
//! server refuses what the schema and the CEL rules can detect, with the messages below.

use std::borrow::Cow;
use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::env::Env;
use super::hook::{Hook, HookWhen};
use super::hooks::Hooks;
use super::init_image::InitImage;
use super::launch::{Launch, OnSidecarFailure};
use super::overlay::Overlay;
use super::pipes::Pipes;
use super::progress::Progress;
use super::pull_policy::PullPolicy;
use super::resources::ContainerResources;
use super::rule::{self, CelRule, Validated};
use super::run_as_user::{self, RunAsUser};
use super::source::Source;
use super::task_info::TaskInfo;
use crate::quantity::Quantity;
use crate::{crd, entry, names};

/// How tasks boot: what boot fetches, and how the task gets it.
#[derive(CustomResource, JsonSchema, Deserialize, Serialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "bootlace.dev",
    version = "v1alpha1",
    kind = "BootProfile",
    plural = "bootprofiles",
    shortname = "bp",
    category = "bootlace",
    status = "super::BootProfileStatus",
    doc = "A BootProfile describes how tasks boot: what boot fetches before a task starts, and how the task gets it.",
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"In force","type":"integer","jsonPath":".status.lastGood.generation","description":"Generation that tasks boot with"}"#,
    printcolumn = r#"{"name":"Message","type":"string","priority":1,"jsonPath":".status.conditions[?(@.type==\"Ready\")].message"}"#,
    printcolumn = r#"{"name":"Assets","type":"string","jsonPath":".spec.assets.layout"}"#,
    printcolumn = r#"{"name":"Env","type":"string","jsonPath":".spec.env.mode"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-kubernetes-validations" = rule::cel::<BootProfileSpec>()))]
#[schemars(transform = crd::known_integers)]
pub struct BootProfileSpec {
    /// The boot container.
    pub boot: Boot,
    /// Sources that boot fetches, in order. If two sources provide the same variable or file, the later one
    /// wins. At most 32.
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub sources: Vec<Source>,
    /// Changes to the pod of a task, each applied to the result of the one before. They are applied before
    /// boot is planned, so that the result passes the same checks as the pod itself. At most 32.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub overlays: Vec<Overlay>,
    /// Links to what else shows a task, by name: its logs, a dashboard, the page of a remote job. Each is a
    /// URL whose path, query and fragment can be templates, and becomes the annotation
    /// `bootlace.dev/link.NAME` of the pod. At most 16.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub links: BTreeMap<String, String>,
    /// The description of the task in `task.json`.
    #[serde(skip_serializing_if = "TaskInfo::is_empty")]
    pub task: TaskInfo,
    /// Where the task finds its files.
    pub assets: Assets,
    /// The volume that contains the files and the env that boot fetched.
    pub volume: BootVolume,
    /// How the boot env is delivered to the task process.
    pub env: Env,
    /// The postStart hook, which verifies that the task process has the boot env.
    pub hook: Hook,
    /// Commands and requests before the task starts, when it runs, and when it ends.
    #[serde(skip_serializing_if = "Hooks::is_empty")]
    pub hooks: Hooks,
    /// Outputs of the tasks, which later tasks of the run can use.
    pub pipes: Pipes,
    /// The progress that tasks report.
    #[serde(skip_serializing_if = "Progress::is_default")]
    pub progress: Progress,
    /// Limits on the launch of the tasks. The monitor enforces them, if it is installed.
    #[serde(skip_serializing_if = "Launch::is_default")]
    pub launch: Launch,
    /// What the monitor, if it is installed, does when another container of the pod has failed while a task
    /// has not ended: `Fail` or `Ignore`. Defaults to `Ignore`.
    #[serde(skip_serializing_if = "OnSidecarFailure::is_ignore")]
    pub on_sidecar_failure: OnSidecarFailure,
}

/// Memory that boot needs in addition to the content of the volume. The CEL rule contains the same value.
const BOOT_MEMORY_BYTES: u64 = 16 << 20;

impl Validated for BootProfileSpec {
    const RULES: &'static [CelRule<Self>] = &[
        CelRule {
            cel: "self.hook.when != 'Never' || !(self.env.mode in ['Hook', 'File'])",
            message: "env.mode Hook and File require the postStart hook, but hook.when is Never: set hook.when \
                      to Auto, or set another env.mode",
            is_met: |part| part.hook.when != HookWhen::Never || !part.env.mode.needs_hook(),
        },
        CelRule {
            cel: "self.hook.when != 'Never' || !has(self.hooks) || !has(self.hooks.postLaunch) || \
                  self.hooks.postLaunch.size() == 0",
            message: "hooks.postLaunch requires the postStart hook, but hook.when is Never: remove hooks.postLaunch, or \
                      set hook.when to Auto",
            is_met: |part| part.hook.when != HookWhen::Never || part.hooks.post_launch.is_empty(),
        },
        CelRule {
            cel: "!has(self.sources) || (has(self.env) && has(self.env.allow)) || self.sources.all(s, !has(s.inline) || \
              !has(s.inline.env) || s.inline.env.all(n, !(n in ['PATH', 'HOME', 'IFS', 'ENV', 'BASH_ENV', 'SHELLOPTS', \
              'BASHOPTS', 'PS4', 'GLIBC_TUNABLES', 'GCONV_PATH', 'LOCPATH', 'PYTHONPATH', 'PYTHONHOME', 'PYTHONUSERBASE', \
              'PYTHONSTARTUP', 'PYTHONWARNINGS', 'PYTHONBREAKPOINT', 'PERL5LIB', 'PERLLIB', 'PERL5OPT', 'PERL5DB', 'RUBYLIB', \
              'RUBYOPT', 'NODE_PATH', 'NODE_OPTIONS', 'CLASSPATH', 'JAVA_TOOL_OPTIONS', 'JDK_JAVA_OPTIONS', \
              '_JAVA_OPTIONS']) && !n.startsWith('LD_') && !n.startsWith('BASH_FUNC_')))",
            message: "inline.env sets a variable that controls which code runs (PATH, HOME, LD_*, PYTHONPATH \
                      and others): add it to env.allow, or remove it",
            is_met: |part| {
                let inline = part.sources.iter().filter_map(|source| source.inline.as_ref());
                let mut names = inline.flat_map(|inline| inline.env.keys());
                !part.env.allow.is_empty() || names.all(|name| entry::decides(name, &[]).is_none())
            },
        },
        CelRule {
            cel: "!has(self.boot) || !has(self.boot.resources) || !has(self.boot.resources.limits) || \
                  !('memory' in self.boot.resources.limits) || !isQuantity(self.boot.resources.limits['memory']) || \
                  !has(self.volume) || !isQuantity(self.volume.sizeLimit) || \
                  quantity(self.boot.resources.limits['memory']).compareTo(\
                  quantity(self.volume.sizeLimit).add(quantity('16Mi'))) >= 0",
            message: "boot.resources.limits.memory must be at least volume.sizeLimit plus 16Mi, because the \
                      volume counts as memory of boot: raise it, lower volume.sizeLimit, or remove it",
            is_met: |part| fits_volume(Some(&part.boot.resources), part),
        },
        CelRule {
            cel: "!has(self.boot) || !has(self.boot.initImage) || !has(self.boot.initImage.resources) || \
                  !has(self.boot.initImage.resources.limits) || !('memory' in self.boot.initImage.resources.limits) || \
                  !isQuantity(self.boot.initImage.resources.limits['memory']) || \
                  !has(self.volume) || !isQuantity(self.volume.sizeLimit) || \
                  quantity(self.boot.initImage.resources.limits['memory']).compareTo(\
                  quantity(self.volume.sizeLimit).add(quantity('16Mi'))) >= 0",
            message: "boot.initImage.resources.limits.memory must be at least volume.sizeLimit plus 16Mi, \
                      because the volume counts as memory of the container: raise it, lower volume.sizeLimit, \
                      or remove it",
            is_met: |part| {
                let image = part.boot.init_image.as_ref();
                fits_volume(image.and_then(|image| image.resources.as_ref()), part)
            },
        },
    ];
}

fn fits_volume(resources: Option<&ContainerResources>, profile: &BootProfileSpec) -> bool {
    let memory = resources.and_then(|resources| resources.limits.get("memory"));
    let limit = memory.and_then(|memory| Quantity::parse(memory).ok());
    let volume = Quantity::parse(&profile.volume.size_limit).ok();
    match (limit, volume) {
        (Some(limit), Some(volume)) => limit >= volume.plus(Quantity::from_bytes(BOOT_MEMORY_BYTES)),
        _ => true,
    }
}

/// The boot container.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Boot {
    /// Image of the boot container. Defaults to the image that the webhook is configured with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// Pull policy of the boot image: `Always`, `IfNotPresent` or `Never`. Defaults to the policy that the
    /// webhook is configured with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<PullPolicy>,
    /// Names of Secrets in the namespace of the pod, for a boot image in a private registry. They are added
    /// to `imagePullSecrets` of the pod, together with those that the webhook is configured with. At most 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub image_pull_secrets: Vec<String>,
    /// Boot images that a pod can select with the annotation `bootlace.dev/init-image`. By default, no image
    /// is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init_image: Option<InitImage>,
    /// Position of boot among the init containers of the pod: `First` or `Last`. Defaults to `Last`.
    pub position: Position,
    /// Timeout for all sources together, in seconds. Boot fails when it expires. Defaults to 120. At most
    /// 3600.
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_seconds: u32,
    /// Format of the log of boot: `Text`, or `Json` for one JSON object per line. Defaults to `Text`.
    pub log_format: LogFormat,
    /// Resources of the boot container. Defaults to those of the largest container of the pod, which add
    /// nothing to the requests of the pod because boot exits before the task starts. Ignored if the pod has
    /// pod-level resources (`spec.resources`).
    #[serde(skip_serializing_if = "ContainerResources::is_empty")]
    pub resources: ContainerResources,
    /// User ID of all injected containers; must not be 0. Defaults to the ID that the webhook is configured
    /// with, which is 65532 by default. With `null`, the platform sets the ID, for example `OpenShift` from
    /// the range of the namespace.
    #[serde(deserialize_with = "run_as_user::present", skip_serializing_if = "Option::is_none")]
    pub run_as_user: Option<RunAsUser>,
}

impl Default for Boot {
    fn default() -> Self {
        Self {
            image: None,
            image_pull_policy: None,
            image_pull_secrets: Vec::new(),
            init_image: None,
            position: Position::default(),
            timeout_seconds: 120,
            log_format: LogFormat::default(),
            resources: ContainerResources::default(),
            run_as_user: None,
        }
    }
}

/// Format of the log of boot.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum LogFormat {
    /// Lines of text.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl LogFormat {
    /// Whether it is the default.
    #[must_use]
    pub fn is_text(&self) -> bool {
        *self == Self::Text
    }
}

/// Position of boot among the init containers of the pod.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Position {
    /// Before all of them: they can use the fetched files.
    First,
    /// After all of them: boot can use what they set up, for example the network of a mesh.
    #[default]
    Last,
}

/// Where the task finds its files.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Assets {
    /// Layout of the files: `Bootlace`, or `Optimus` for the plugin images of Optimus. Defaults to
    /// `Bootlace`.
    pub layout: Layout,
    /// Absolute path of the files in the task containers. Defaults to `/var/assets`, or to `/data` in the
    /// layout `Optimus`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 250), regex(pattern = "^(/[^/:]+)+$"))]
    pub mount_path: Option<String>,
}

impl Assets {
    /// The mount path.
    #[must_use]
    pub fn mount_path(&self) -> &str {
        let of_layout = match self.layout {
            Layout::Bootlace => "/var/assets",
            Layout::Optimus => "/data",
        };
        self.mount_path.as_deref().unwrap_or(of_layout)
    }

    /// Where the task finds its files.
    #[must_use]
    pub fn files(&self) -> Cow<'_, str> {
        match self.layout {
            Layout::Bootlace => self.mount_path().into(),
            Layout::Optimus => format!("{}/{}", self.mount_path(), names::DIR_OPTIMUS_IN).into(),
        }
    }

    /// The folder around the files that the task can write to, if the layout has one.
    #[must_use]
    pub fn writable(&self) -> Option<&str> {
        (self.layout == Layout::Optimus).then(|| self.mount_path())
    }
}

/// Layout of the files at the mount path.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Layout {
    /// The files are directly at the mount path.
    #[default]
    Bootlace,
    /// As the plugin images of Optimus expect: the files are in `in`, and the boot env is in `in/.env` and
    /// `in/.secret`, for a shell to source. The mount path itself is writable.
    Optimus,
}

impl Layout {
    /// Whether it is the default.
    #[must_use]
    pub fn is_bootlace(&self) -> bool {
        *self == Self::Bootlace
    }
}

/// The volume that contains the files and the env that boot fetched.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-kubernetes-validations" = rule::cel::<BootVolume>()))]
pub struct BootVolume {
    /// Size limit of the memory-backed emptyDir. Its content counts as memory of the pod, see
    /// `docs/memory.md`. Defaults to `64Mi`.
    #[schemars(length(max = 32))]
    pub size_limit: String,
}

impl Default for BootVolume {
    fn default() -> Self {
        Self { size_limit: "64Mi".to_owned() }
    }
}

impl Validated for BootVolume {
    const RULES: &'static [CelRule<Self>] = &[CelRule {
        cel: "isQuantity(self.sizeLimit) && quantity(self.sizeLimit).compareTo(quantity('0')) > 0",
        message: "sizeLimit must be a quantity greater than zero: use a value such as 64Mi",
        is_met: |part| Quantity::parse(&part.size_limit).is_ok_and(|size| size > Quantity::ZERO),
    }];
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rule lists the names, because its text is a constant.
    #[test]
    fn the_rule_on_reserved_names_lists_all_of_them() {
        let cel = BootProfileSpec::RULES
            .iter()
            .map(|rule| rule.cel)
            .find(|cel| cel.contains("s.inline.env"))
            .unwrap();
        for (pattern, _) in entry::RESERVED {
            let listed = match pattern.strip_suffix('*') {
                Some(start) => format!("!n.startsWith('{start}')"),
                None => format!("'{pattern}'"),
            };
            assert!(cel.contains(&listed), "{listed}");
        }
        assert_eq!(cel.matches('\'').count(), 2 * entry::RESERVED.len(), "{cel}");
    }
}
