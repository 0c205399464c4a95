//! A scenario's namespace: creating things in it, waiting for them and looking into them.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, AttachParams, ListParams, LogParams};
use kube::runtime::wait::await_condition;
use kube::runtime::wait::conditions::is_job_completed;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{Process, state};
use crate::manifest::{self, Created};

/// How long anything may take that a scenario waits for. Pods start within seconds; the rest is for a machine
/// that does much else.
pub const LIMIT: Duration = Duration::from_mins(3);

/// How often a log is read again: 15 seconds, more than a node without a free core needs to write one.
const LOG_READINGS: usize = 100;
const BETWEEN_LOG_READINGS: Duration = Duration::from_millis(150);

/// The namespace of one running scenario.
pub struct Namespace {
    client: Client,
    name: String,
}

/// What a command in a container did.
#[derive(Debug)]
pub struct Output {
    /// What it wrote to standard output, byte for byte.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: String,
    /// Whether its exit code was zero.
    pub succeeded: bool,
}

impl Namespace {
    pub(super) fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }

    /// Its name, which no other namespace has.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The administrator's client.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The namespace's objects of the kind `K`.
    #[must_use]
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client(), &self.name)
    }

    /// Creates every document in `yaml` and returns what the API server made of each.
    ///
    /// # Errors
    /// When one is refused; the message is the API server's.
    pub async fn create(&self, yaml: &str) -> Result<Vec<Created>> {
        manifest::create(&self.client, yaml, &self.name, false).await
    }

    /// As [`Self::create`], but the API server stores nothing.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub async fn dry_run(&self, yaml: &str) -> Result<Vec<Created>> {
        manifest::create(&self.client, yaml, &self.name, true).await
    }

    /// Waits until the pod is as `condition` says, which `what` describes, and returns it.
    ///
    /// # Errors
    /// When it is not in time.
    pub async fn pod(&self, name: &str, what: &str, condition: impl Fn(&Pod) -> bool) -> Result<Pod> {
        let found = await_condition(self.api::<Pod>(), name, |pod: Option<&Pod>| pod.is_some_and(&condition));
        let waited = tokio::time::timeout(LIMIT, found).await;
        let pod =
            waited.with_context(|| format!("after {}s pod {name} is not {what}", LIMIT.as_secs()))??;
        pod.with_context(|| format!("pod {name} was deleted"))
    }

    /// Waits until the pod has succeeded, and returns it.
    ///
    /// # Errors
    /// When it fails, or does not end in time.
    pub async fn pod_succeeded(&self, name: &str) -> Result<Pod> {
        self.pod_ended(name, "Succeeded").await
    }

    /// Waits until the pod has failed, and returns it.
    ///
    /// # Errors
    /// When it succeeds, or does not end in time.
    pub async fn pod_failed(&self, name: &str) -> Result<Pod> {
        self.pod_ended(name, "Failed").await
    }

    async fn pod_ended(&self, name: &str, expected: &str) -> Result<Pod> {
        let pod = self.pod(name, "at its end", |pod| matches!(phase(pod), "Succeeded" | "Failed")).await?;
        if phase(&pod) != expected {
            bail!("pod {name} has {}, and should have {expected}", phase(&pod));
        }
        Ok(pod)
    }

    /// Waits until the pod's containers are ready, and returns it.
    ///
    /// # Errors
    /// When they are not in time.
    pub async fn pod_ready(&self, name: &str) -> Result<Pod> {
        self.pod(name, "ready", |pod| {
            let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
            conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
        })
        .await
    }

    /// Waits until a container of the pod has ended, and returns the pod. Where a container may be started again
    /// this can be its end before that.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn container_ended(&self, pod: &str, container: &str) -> Result<Pod> {
        let what = format!("so far that its container {container} has ended");
        self.pod(pod, &what, |pod| state::has_ended(pod, container)).await
    }

    /// Waits until a Job has completed, and returns its pods.
    ///
    /// # Errors
    /// When it has not in time.
    pub async fn job_completed(&self, name: &str) -> Result<Vec<Pod>> {
        let completed = await_condition(self.api::<Job>(), name, is_job_completed());
        let waited = tokio::time::timeout(LIMIT, completed).await;
        waited.with_context(|| format!("after {}s Job {name} is not complete", LIMIT.as_secs()))??;
        self.pods(&format!("batch.kubernetes.io/job-name={name}")).await
    }

    /// The pods that carry the labels of `selector` (`job-name=etl`), in the order of their names.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn pods(&self, selector: &str) -> Result<Vec<Pod>> {
        Ok(self.api::<Pod>().list(&ListParams::default().labels(selector)).await?.items)
    }

    /// What a container wrote to its standard output and error so far: what two readings in a row agree on, because
    /// containerd reports that a container has ended before it has written the last lines to the log file (1.6.20,
    /// `redirectLogs` in pkg/cri/io/logger.go: nothing waits for it).
    ///
    /// # Errors
    /// When it has not started.
    pub async fn log(&self, pod: &str, container: &str) -> Result<String> {
        let mut log = self.log_now(pod, container).await?;
        for _ in 0..LOG_READINGS {
            tokio::time::sleep(BETWEEN_LOG_READINGS).await;
            let now = self.log_now(pod, container).await?;
            if now == log {
                break;
            }
            log = now;
        }
        Ok(log)
    }

    async fn log_now(&self, pod: &str, container: &str) -> Result<String> {
        let params = LogParams { container: Some(container.to_owned()), ..LogParams::default() };
        let log = self.api::<Pod>().logs(pod, &params).await;
        log.with_context(|| format!("read the log of {container} in pod {pod}"))
    }

    /// What the process of a container held, whose image is the probe's: see [`Process`].
    ///
    /// # Errors
    /// When the log cannot be read, stays without its last line, or something else wrote it.
    pub async fn process(&self, pod: &str, container: &str) -> Result<Process> {
        for _ in 0..LOG_READINGS {
            let log = self.log_now(pod, container).await?;
            if Process::is_whole(&log) {
                return Process::read(&log);
            }
            tokio::time::sleep(BETWEEN_LOG_READINGS).await;
        }
        bail!("the log of {container} in pod {pod} does not end with the probe's last line")
    }

    /// Runs a command in a container, to its end.
    ///
    /// # Errors
    /// When it cannot be started. That it fails is no error.
    pub async fn exec(&self, pod: &str, container: &str, command: &[&str]) -> Result<Output> {
        let params = AttachParams::default().container(container);
        let started = self.api::<Pod>().exec(pod, command.iter().copied(), &params).await;
        let mut process = started.with_context(|| format!("exec in {container} of pod {pod}"))?;
        let (stdout, stderr, status) = (process.stdout(), process.stderr(), process.take_status());
        let (stdout, stderr) = tokio::try_join!(read(stdout), read(stderr))?;
        let status = status.context("the process gives its status once")?.await;
        Ok(Output {
            stdout,
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
            succeeded: status.is_some_and(|status| status.status.as_deref() == Some("Success")),
        })
    }
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

async fn read(stream: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.context("the stream was attached")?.read_to_end(&mut bytes).await?;
    Ok(bytes)
}
