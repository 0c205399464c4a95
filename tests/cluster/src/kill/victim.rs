//! What is killed.

use std::fmt;
use std::time::Duration;

use crate::processes::Process;

/// A process that is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Victim {
    /// The launcher that supervises the task: the container's first process.
    Launcher,
    /// The task itself.
    Task,
    /// The sidecar that has the outputs stored.
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
    /// All of them.
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
    /// Those whose death other scenarios on the same cluster do not notice.
    pub const OF_A_POD: [Self; 4] = [Self::Launcher, Self::Task, Self::Sidecar, Self::Boot];

    /// From when on it can be killed: once it runs, or once the task does.
    pub(super) fn waits_for(self) -> Self {
        match self {
            Self::Launcher | Self::Task | Self::Sidecar | Self::Boot => self,
            // At work when outputs are handed over.
            Self::Store => Self::Launcher,
            Self::ApiServer | Self::Kubelet | Self::Containerd => Self::Boot,
        }
    }

    /// The longest time from then on: about as long as what it has a part in takes.
    pub(super) fn within(self) -> Duration {
        Duration::from_millis(match self {
            Self::Boot => 50,
            Self::Task => 150,
            Self::Launcher | Self::Sidecar | Self::Store => 600,
            Self::ApiServer | Self::Kubelet | Self::Containerd => 2_500,
        })
    }

    /// Whether there is one for each pod.
    fn is_of_a_pod(self) -> bool {
        Self::OF_A_POD.contains(&self)
    }

    /// Whether `process` is it, of the pod with this uid, whose task has the word `task` among its arguments.
    pub(super) fn is(self, process: &Process, pod_uid: &str, task: &str) -> bool {
        let word = |at: usize| process.argv.get(at).map_or("", String::as_str);
        let program = word(0).rsplit('/').next().unwrap_or_default();
        let is = match self {
            Self::Launcher => program == "launch" && ["run", "supervise"].contains(&word(1)),
            // The launcher has the task's words among its own.
            Self::Task => program == "sh" && process.argv.last().is_some_and(|last| last == task),
            Self::Sidecar => (program, word(1)) == ("bootlace", "pipe"),
            Self::Boot => (program, word(1)) == ("bootlace", "boot"),
            Self::Store => (program, word(1)) == ("bootlace", "store"),
            Self::ApiServer => program == "kube-apiserver",
            Self::Kubelet => program == "kubelet",
            Self::Containerd => program == "containerd",
        };
        is && (!self.is_of_a_pod() || process.is_in_pod(pod_uid))
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
