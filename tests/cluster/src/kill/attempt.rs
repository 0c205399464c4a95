//! One task with outputs, from its creation to its outputs.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::ResourceExt;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::pipe::{self, Pipe};
use super::table::End;
use super::victim::Victim;
use crate::images::KIT;
use crate::processes::{Node, Process};
use crate::scenario::Namespace;
use crate::wait::until_async;

/// The time within which the pod must end. It is long enough for a pod whose runtime, kubelet and API server
/// are killed one after another.
const LIMIT: Duration = Duration::from_mins(3);
/// The timeout for an API server that was killed to respond again.
const API_SERVER_RESTART: Duration = Duration::from_mins(1);
/// The interval at which processes and pods are checked.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A task, and the process to kill.
pub(super) struct Attempt {
    number: u32,
    victim: Victim,
    delay: Duration,
    random: u64,
}

impl Attempt {
    /// `rng` determines the delay.
    pub(super) fn new(number: u32, victim: Victim, rng: &mut fastrand::Rng) -> Self {
        let delay = victim.max_delay().mul_f64(rng.f64());
        Self { number, victim, delay, random: rng.u64(..) }
    }

    pub(super) fn victim(&self) -> Victim {
        self.victim
    }

    /// Runs the task and kills the process. Returns whether the process was killed, and how the task ended.
    pub(super) async fn run(&self, namespace: &Namespace, node: &Node) -> (bool, End) {
        match self.try_run(namespace, node).await {
            Ok(result) => result,
            Err(error) => (false, End::TestFailed(format!("run {}: {error:#}", self.number))),
        }
    }

    async fn try_run(&self, namespace: &Namespace, node: &Node) -> Result<(bool, End)> {
        let started = Instant::now();
        let uid = self.create(namespace).await?;
        let mut killed = None;
        loop {
            let phase = self.phase(namespace).await;
            if let Some(phase @ ("Succeeded" | "Failed")) = phase.as_deref() {
                let end = if phase == "Failed" { End::Failed } else { self.stored(namespace).await };
                // The result does not matter, because the namespace is deleted at the end.
                let _ = namespace.api::<Pod>().delete(&self.name(), &DeleteParams::background()).await;
                return Ok((killed == Some(true), end));
            }
            if killed.is_none() && self.is_running(node, self.victim.trigger(), &uid) {
                sleep(self.delay).await;
                let is_victim = |process: &Process| self.victim.matches(process, &uid, &self.name());
                killed = Some(node.kill(self.random, is_victim));
            }
            if started.elapsed() > LIMIT {
                return Ok((
                    killed == Some(true),
                    End::Hung(format!("pod {} ({})", self.name(), self.victim)),
                ));
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    fn is_running(&self, node: &Node, victim: Victim, uid: &str) -> bool {
        !node.find(|process| victim.matches(process, uid, &self.name())).is_empty()
    }

    /// Creates the pod, and returns its UID.
    async fn create(&self, namespace: &Namespace) -> Result<String> {
        let pod = self.pod(namespace.name()).to_string();
        until_async(API_SERVER_RESTART, "the pod was not created", async || {
            match namespace.create(&pod).await {
                // An earlier attempt created it, but its response was lost.
                Err(error) if format!("{error:#}").contains("already exists") => {}
                created => drop(created?),
            }
            namespace.api::<Pod>().get(&self.name()).await?.uid().context("the pod has no UID")
        })
        .await
    }

    /// `None` if the API server does not respond.
    async fn phase(&self, namespace: &Namespace) -> Option<String> {
        namespace.api::<Pod>().get_status(&self.name()).await.ok()?.status?.phase
    }

    fn name(&self) -> String {
        format!("run-{}", self.number)
    }

    fn pod(&self, profile: &str) -> Value {
        // The arguments of the shell contain the name of the task, by which its process is found.
        let script = "sleep 0.2; mkdir /tmp/out; seq $1 $(($1 + 4000)) >/tmp/out/report
            tr 0-9 '\\200-\\211' </tmp/out/report >/tmp/out/token";
        let outputs = json!([
            {"key": "Report", "file": "/tmp/out/report", "kind": "ConfigMap"},
            {"key": "Token", "file": "/tmp/out/token", "kind": "Secret"},
        ]);
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": self.name(),
                "labels": {"bootlace.dev/task": profile},
                "annotations": {
                    "bootlace.dev/pipe-out": outputs.to_string(),
                    // Without it, the run of a plain pod is unknown.
                    "bootlace.dev/run": self.name(),
                },
            },
            "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 5, "containers": [{
                "name": "main", "image": KIT,
                "command": ["sh", "-c", script, "sh", self.first().to_string(), self.name()],
            }]},
        })
    }

    /// The first number in the report of this task, so that the outputs of all tasks differ.
    fn first(&self) -> u32 {
        self.number * 10_000
    }

    /// The outputs of the task: text, and bytes that are not valid UTF-8.
    fn expected(&self) -> [Output; 2] {
        let lines = (self.first()..=self.first() + 4_000).map(|number| format!("{number}\n"));
        let report = lines.collect::<String>().into_bytes();
        let token = report.iter().map(|byte| if byte.is_ascii_digit() { byte - b'0' + 0x80 } else { *byte });
        let token = token.collect();
        [
            Output { key: "Report", is_secret: false, file: "report", bytes: report },
            Output { key: "Token", is_secret: true, file: "token", bytes: token },
        ]
    }

    /// Checks that the outputs of a task that succeeded are stored.
    async fn stored(&self, namespace: &Namespace) -> End {
        // Retry only until the API server responds. An output that is not stored now is lost.
        let list = until_async(API_SERVER_RESTART, "the API server does not respond", async || {
            pipe::list(namespace).await
        });
        let pipes = match list.await {
            Ok(pipes) => pipes,
            Err(error) => return End::TestFailed(format!("{error:#}")),
        };
        for output in self.expected() {
            if let Err(error) = self.check_stored(namespace, &pipes, &output).await {
                return End::Lost(format!(
                    "{} of pod {} ({}): {error:#}",
                    output.key,
                    self.name(),
                    self.victim
                ));
            }
        }
        End::Stored
    }

    async fn check_stored(&self, namespace: &Namespace, pipes: &[Pipe], output: &Output) -> Result<()> {
        let pipe =
            pipes.iter().find(|pipe| pipe.key == output.key && pipe.pod == self.name() && pipe.is_stored);
        let object = &pipe.context("no stored Pipe found")?.object;
        let read = until_async(API_SERVER_RESTART, "the object cannot be read", async || {
            Ok(if output.is_secret {
                let mut data = namespace.api::<Secret>().get(object).await?.data.unwrap_or_default();
                data.remove(output.file).map(|bytes| bytes.0)
            } else {
                let mut data = namespace.api::<ConfigMap>().get(object).await?.data.unwrap_or_default();
                data.remove(output.file).map(String::into_bytes)
            })
        });
        let bytes = read.await?.with_context(|| format!("{object} has no {}", output.file))?;
        let (found, expected) = (bytes.len(), output.bytes.len());
        ensure!(
            bytes == output.bytes,
            "the {found} bytes in {object} differ from the {expected} bytes of the task"
        );
        Ok(())
    }
}

/// An output of a task.
struct Output {
    key: &'static str,
    is_secret: bool,
    file: &'static str,
    bytes: Vec<u8>,
}
