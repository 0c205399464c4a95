//! The ways in which a task is ended.

use std::fmt;

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, EvictParams};
use serde_json::{Value, json};

use crate::processes::{Node, Process};
use crate::scenario::Namespace;

/// How a task is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// Not at all.
    Itself,
    /// The pod is deleted.
    Deleted,
    /// The pod is deleted, and the pod has no grace period.
    WithoutGrace,
    /// The pod is deleted by force: its object is gone before its containers.
    Forced,
    /// The pod is evicted.
    Evicted,
    /// SIGTERM to the first process of the container, as Argo stops a step.
    Signalled,
    /// SIGKILL to the task.
    TaskKilled,
    /// SIGKILL to the launcher, as at the memory limit of the container.
    LauncherKilled,
}

impl Ending {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Itself,
        Self::Deleted,
        Self::WithoutGrace,
        Self::Forced,
        Self::Evicted,
        Self::Signalled,
        Self::TaskKilled,
        Self::LauncherKilled,
    ];

    /// The grace period of the pod, in seconds.
    pub(super) fn grace(self) -> i64 {
        if self == Self::WithoutGrace { 0 } else { 10 }
    }

    /// How often the job of a task can be cancelled: a pod that is deleted by force, or without a grace
    /// period, has no token any more, so its sidecar cannot remove the record, and the monitor repeats it. It
    /// also cancels the job of a task that ends by itself after the deletion.
    pub(super) fn max_cancels(self) -> usize {
        if matches!(self, Self::Forced | Self::WithoutGrace) { 2 } else { 1 }
    }

    /// Ends the task of a pod, whose last argument is the name of the pod. A task that has ended already
    /// cannot be ended, which is no error.
    pub(super) async fn apply(self, namespace: &Namespace, node: &Node, pod: &str, uid: &str) -> Result<()> {
        let pods = namespace.api::<Pod>();
        let ended = match self {
            Self::Itself => return Ok(()),
            Self::Deleted | Self::WithoutGrace => pods.delete(pod, &DeleteParams::default()).await.map(drop),
            Self::Forced => pods.delete(pod, &DeleteParams::default().grace_period(0)).await.map(drop),
            Self::Evicted => pods.evict(pod, &EvictParams::default()).await.map(drop),
            Self::Signalled => {
                // A container that has exited cannot run a command.
                let _ = namespace.exec(pod, "main", &["sh", "-c", "kill -TERM 1"]).await;
                return Ok(());
            }
            Self::TaskKilled | Self::LauncherKilled => {
                node.kill(0, |process| process.is_in_pod(uid) && self.is_victim(process, pod));
                return Ok(());
            }
        };
        match ended {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            ended => Ok(ended?),
        }
    }

    fn is_victim(self, process: &Process, pod: &str) -> bool {
        let argument = |at: usize| process.argv.get(at).map_or("", String::as_str);
        let program = argument(0).rsplit('/').next().unwrap_or_default();
        match self {
            Self::LauncherKilled => program == "launch" && ["run", "supervise"].contains(&argument(1)),
            _ => program == "sh" && process.argv.last().is_some_and(|last| last == pod),
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Itself => "by itself",
            Self::Deleted => "deleted",
            Self::WithoutGrace => "deleted, no grace",
            Self::Forced => "deleted by force",
            Self::Evicted => "evicted",
            Self::Signalled => "SIGTERM",
            Self::TaskKilled => "task killed",
            Self::LauncherKilled => "launcher killed",
        })
    }
}

/// The pod of a task that submits a job with the name of the pod, works for about a second, and tells the
/// remote system when it is done.
pub(super) fn pod(profile: &str, name: &str, url: &str, ending: Ending) -> Value {
    let script = format!(
        "tell() {{ wget -q -O /dev/null {url}/$1/$2; }}
        echo $1 >$BOOTLACE_ABORT; tell submitted $1; sleep 1; tell done $1"
    );
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"bootlace.dev/task": profile}},
        "spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": ending.grace(),
            "containers": [{
                "name": "main", "image": crate::images::KIT,
                // The last argument is the name of the task, by which its process is found.
                "command": ["sh", "-c", script, "sh", name],
            }],
        },
    })
}
