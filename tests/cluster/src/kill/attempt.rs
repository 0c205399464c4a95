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
use crate::processes::Node;
use crate::scenario::Namespace;
use crate::wait::until_async;

/// From the pod's creation to its end. A pod whose runtime, kubelet and API server die in a row starts again slowly; one
/// that has not ended by then hangs.
const LIMIT: Duration = Duration::from_mins(3);
/// How long the API server may be away.
const AWAY: Duration = Duration::from_mins(1);
/// Between two looks at processes and pods.
const LOOK: Duration = Duration::from_millis(20);

/// A task, and what is killed in its life.
pub(super) struct Attempt {
    number: u32,
    victim: Victim,
    pause: Duration,
    chance: u64,
}

impl Attempt {
    /// `chance` says when.
    pub(super) fn new(number: u32, victim: Victim, chance: &mut fastrand::Rng) -> Self {
        let pause = victim.within().mul_f64(chance.f64());
        Self { number, victim, pause, chance: chance.u64(..) }
    }

    pub(super) fn victim(&self) -> Victim {
        self.victim
    }

    /// Runs the task and kills. Whether there was anything to kill, and how it ended.
    pub(super) async fn run(&self, namespace: &Namespace, node: &Node) -> (bool, End) {
        match self.try_run(namespace, node).await {
            Ok(ended) => ended,
            Err(error) => (false, End::Broken(format!("run {}: {error:#}", self.number))),
        }
    }

    async fn try_run(&self, namespace: &Namespace, node: &Node) -> Result<(bool, End)> {
        let begun = Instant::now();
        let uid = self.create(namespace).await?;
        let mut met = None;
        loop {
            let phase = self.phase(namespace).await;
            if let Some(phase @ ("Succeeded" | "Failed")) = phase.as_deref() {
                let end = if phase == "Failed" { End::Failed } else { self.stored(namespace).await };
                // Nobody waits for it.
                let _ = namespace.api::<Pod>().delete(&self.name(), &DeleteParams::background()).await;
                return Ok((met == Some(true), end));
            }
            if met.is_none() && self.is_there(node, self.victim.waits_for(), &uid) {
                sleep(self.pause).await;
                met = Some(node.kill(self.chance, |process| self.victim.is(process, &uid, &self.name())));
            }
            if begun.elapsed() > LIMIT {
                return Ok((met == Some(true), End::Hung(format!("pod {} ({})", self.name(), self.victim))));
            }
            sleep(LOOK).await;
        }
    }

    fn is_there(&self, node: &Node, victim: Victim, uid: &str) -> bool {
        !node.find(|process| victim.is(process, uid, &self.name())).is_empty()
    }

    /// Creates the pod, and returns its uid.
    async fn create(&self, namespace: &Namespace) -> Result<String> {
        let pod = self.pod(namespace.name()).to_string();
        until_async(AWAY, "the pod is not created", async || {
            match namespace.create(&pod).await {
                // A try before this one was heard, though no answer came.
                Err(error) if format!("{error:#}").contains("already exists") => {}
                created => drop(created?),
            }
            namespace.api::<Pod>().get(&self.name()).await?.uid().context("a pod has a uid")
        })
        .await
    }

    /// None where the API server does not answer.
    async fn phase(&self, namespace: &Namespace) -> Option<String> {
        namespace.api::<Pod>().get_status(&self.name()).await.ok()?.status?.phase
    }

    fn name(&self) -> String {
        format!("run-{}", self.number)
    }

    fn pod(&self, profile: &str) -> Value {
        // The shell's own words, so that the task's process shows its name.
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
                    // Nothing else tells which run a plain pod belongs to.
                    "bootlace.dev/run": self.name(),
                },
            },
            "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 5, "containers": [{
                "name": "main", "image": KIT,
                "command": ["sh", "-c", script, "sh", self.first().to_string(), self.name()],
            }]},
        })
    }

    /// The first number in this task's report, so that no two tasks write the same.
    fn first(&self) -> u32 {
        self.number * 10_000
    }

    /// What the task writes: text, and bytes that are none.
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

    /// Whether the outputs of a task that succeeded are there.
    async fn stored(&self, namespace: &Namespace) -> End {
        // Only an API server that is away is waited for: what it does not have now, it has lost.
        let found = until_async(AWAY, "the API server does not answer", async || pipe::list(namespace).await);
        let pipes = match found.await {
            Ok(pipes) => pipes,
            Err(error) => return End::Broken(format!("{error:#}")),
        };
        for output in self.expected() {
            if let Err(error) = self.is_stored(namespace, &pipes, &output).await {
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

    async fn is_stored(&self, namespace: &Namespace, pipes: &[Pipe], output: &Output) -> Result<()> {
        let pipe =
            pipes.iter().find(|pipe| pipe.key == output.key && pipe.pod == self.name() && pipe.is_stored);
        let object = &pipe.context("there is no Pipe that is stored")?.object;
        let read = until_async(AWAY, "the object cannot be had", async || {
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
        ensure!(bytes == output.bytes, "{object} holds {found} bytes that are not the task's {expected}");
        Ok(())
    }
}

/// What a task hands over.
struct Output {
    key: &'static str,
    is_secret: bool,
    file: &'static str,
    bytes: Vec<u8>,
}
