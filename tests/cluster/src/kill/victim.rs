//! The processes that are killed.

use std::fmt;
use std::time::Duration;

use crate::processes::Process;

/// A process that is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Victim {
    /// The launcher that supervises the task: the first process of the container.
    Launcher,
    /// The task.
    Task,
    /// The sidecar that sends the outputs to the store.
    Sidecar,
    /// The init container that boots the task.
    Boot,
    /// A replica of the store.
    Store,
    /// The API server.
    ApiServer,
    /// The kubelet.
    Kubelet,
    /// The container runtime.
    Containerd,
}

impl Victim {
    /// All victims.
    pub const ALL: [Self; 8] = [
        Self::Launcher,
        Self::Task,
        Self::Sidecar,
        Self::Boot,
        Self::Store,
        Self::ApiServer,
        Self::Kubelet,
        Self::Containerd,
    ];
    /// The victims that do not affect other scenarios on the same cluster.
    pub const OF_A_POD: [Self; 4] = [Self::Launcher, Self::Task, Self::Sidecar, Self::Boot];

    /// The process whose start triggers the kill: the victim itself, or a process of the pod.
    pub(super) fn trigger(self) -> Self {
        match self {
            Self::Launcher | Self::Task | Self::Sidecar | Self::Boot => self,
            // The store works while the launcher waits for its outputs.
            Self::Store => Self::Launcher,
            Self::ApiServer | Self::Kubelet | Self::Containerd => Self::Boot,
        }
    }

    /// The maximum delay of the kill after the trigger: about the duration of the work of the victim.
    pub(super) fn max_delay(self) -> Duration {
        Duration::from_millis(match self {
            Self::Boot => 50,
            Self::Task => 150,
            Self::Launcher | Self::Sidecar | Self::Store => 600,
            Self::ApiServer | Self::Kubelet | Self::Containerd => 2_500,
        })
    }

    /// Whether the victim is a process of the pod.
    fn is_of_a_pod(self) -> bool {
        Self::OF_A_POD.contains(&self)
    }

    /// Whether `process` is the victim, for the pod with the UID `pod_uid` and a task whose last argument is
    /// `task`.
    pub(super) fn matches(self, process: &Process, pod_uid: &str, task: &str) -> bool {
        let argument = |at: usize| process.argv.get(at).map_or("", String::as_str);
        let program = argument(0).rsplit('/').next().unwrap_or_default();
        let matches = match self {
            Self::Launcher => program == "launch" && ["run", "supervise"].contains(&argument(1)),
            // The arguments of the launcher include those of the task.
            Self::Task => program == "sh" && process.argv.last().is_some_and(|last| last == task),
            Self::Sidecar => (program, argument(1)) == ("bootlace", "pipe"),
            Self::Boot => (program, argument(1)) == ("bootlace", "boot"),
            Self::Store => (program, argument(1)) == ("bootlace", "store"),
            Self::ApiServer => program == "kube-apiserver",
            Self::Kubelet => program == "kubelet",
            Self::Containerd => program == "containerd",
        };
        matches && (!self.is_of_a_pod() || process.is_in_pod(pod_uid))
    }
}

impl fmt::Display for Victim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Launcher => "launcher",
            Self::Task => "task",
            Self::Sidecar => "sidecar",
            Self::Boot => "boot",
            Self::Store => "a replica of the store",
            Self::ApiServer => "API server",
            Self::Kubelet => "kubelet",
            Self::Containerd => "containerd",
        })
    }
}
