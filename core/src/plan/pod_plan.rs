//! The changes to a pod, as the result of planning.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::{BootSpec, ImageQuery, InitContainerMounts, InjectedAnnotation, TaskContainer};
use crate::input::AwaitedOutput;
use crate::output::SidecarConfig;
use crate::profile::spec::Position;

/// The changes to a pod.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan<'p> {
    /// The configuration of boot, with the identity of the task and the profile. The last of `boot` contains
    /// it as JSON.
    pub config: BootSpec<'p>,
    /// The configuration of the sidecar, if the pod has outputs. Its container contains it as JSON.
    pub sidecar: Option<SidecarConfig<'p>>,
    /// The outputs of earlier tasks that the pod waits for.
    pub awaits: &'p [AwaitedOutput],
    /// The init containers that boot the pod, in order. The last one is `bootlace-boot`, or the sidecar
    /// `bootlace-pipe` after it.
    pub boot: Vec<Value>,
    /// Whether they run before or after the init containers of the pod.
    pub position: Position,
    /// The init containers that wait for outputs of earlier tasks, before those that boot the pod.
    pub wait: Vec<Value>,
    /// Whether they run before the init containers of the pod too, because one of those uses such an output.
    pub wait_first: bool,
    /// The volumes to add.
    pub volumes: Arc<[Arc<Value>]>,
    /// The volumes to add that are specific to this pod.
    pub pod_volumes: Vec<Value>,
    /// The entries to add to `imagePullSecrets`.
    pub pull_secrets: Vec<Arc<Value>>,
    /// The mounts to add to each task container.
    pub mounts: Arc<[Arc<Value>]>,
    /// The other changes to each task container.
    pub tasks: Vec<TaskContainer>,
    /// The mounts to add to init containers that are not tasks.
    pub init_mounts: Vec<InitContainerMounts>,
    /// The first entry of `envFrom` of task containers that read the boot env from a Secret.
    pub env_from: Option<Value>,
    /// The links to add as annotations, by their names.
    pub links: BTreeMap<String, String>,
    /// Content of the annotation `bootlace.dev/injected`.
    pub injected: InjectedAnnotation,
    /// Warnings for the author of the pod.
    pub warnings: Vec<String>,
}

/// Result of planning a pod.
#[derive(Debug, Clone, PartialEq)]
pub enum PlanOutcome<'p> {
    /// The changes.
    Plan(Box<Plan<'p>>),
    /// Lookups that are needed first.
    Lookup(ImageQuery),
}
