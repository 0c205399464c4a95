//! The namespace of a scenario: creates objects in it, waits for them and reads their state.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, ApiResource, AttachParams, DynamicObject, GroupVersionKind, ListParams, LogParams};
use kube::runtime::wait::await_condition;
use kube::runtime::wait::conditions::is_job_completed;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{Process, state};
use crate::manifest::{self, Created};

/// The timeout for each condition that a scenario waits for. Pods start within seconds; the rest is for a
/// machine with other load.
pub const LIMIT: Duration = Duration::from_mins(3);

/// The timeout for a workflow. Its pods start one after another, and those with Python need a core for
/// seconds.
const WORKFLOW_LIMIT: Duration = Duration::from_mins(10);

/// How often a log is read again: for 15 seconds, which is longer than a busy node needs to write one.
const LOG_READS: usize = 100;
const LOG_READ_INTERVAL: Duration = Duration::from_millis(150);

/// The namespace of a running scenario.
pub struct Namespace {
    client: Client,
    name: String,
}

/// The result of a command in a container.
#[derive(Debug)]
pub struct Output {
    /// Its standard output, byte for byte.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: String,
    /// Whether its exit code was zero.
    pub succeeded: bool,
}

impl Namespace {
    pub(super) fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }

    /// The existing namespace `name` of the cluster in `KUBECONFIG`.
    ///
    /// # Errors
    /// If no cluster can be reached.
    pub async fn existing(name: &str) -> Result<Self> {
        Ok(Self::new(super::client().await?, name.to_owned()))
    }

    /// Its name, which is unique.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A client of the administrator.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The API for objects of the kind `K` in the namespace.
    #[must_use]
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client(), &self.name)
    }

    /// The API for custom objects of a kind in the namespace (`"batch.example.com", "v1", "Report"`).
    #[must_use]
    pub fn custom_api(&self, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::namespaced_with(self.client(), &self.name, &resource)
    }

    /// Creates all documents in `yaml`, and returns the responses of the API server.
    ///
    /// # Errors
    /// If an object is refused. The message is that of the API server.
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

    /// Waits until `condition` is true for the pod, and returns the pod. `state` describes the condition
    /// (`ready`).
    ///
    /// # Errors
    /// If the condition is not true in time.
    pub async fn pod(&self, name: &str, state: &str, condition: impl Fn(&Pod) -> bool) -> Result<Pod> {
        self.pod_within(LIMIT, name, state, condition).await
    }

    async fn pod_within(
        &self,
        limit: Duration,
        name: &str,
        state: &str,
        condition: impl Fn(&Pod) -> bool,
    ) -> Result<Pod> {
        let found = await_condition(self.api::<Pod>(), name, |pod: Option<&Pod>| pod.is_some_and(&condition));
        let waited = tokio::time::timeout(limit, found).await;
        let pod = waited
            .with_context(|| format!("timed out after {} s: pod {name} is not {state}", limit.as_secs()))??;
        pod.with_context(|| format!("pod {name} was deleted"))
    }

    /// Waits until the pod has succeeded, and returns it.
    ///
    /// # Errors
    /// If it fails, or does not end in time.
    pub async fn pod_succeeded(&self, name: &str) -> Result<Pod> {
        self.pod_ended(LIMIT, name, "Succeeded").await
    }

    /// As [`Self::pod_succeeded`], for a pod that waits for a workflow.
    ///
    /// # Errors
    /// As [`Self::pod_succeeded`].
    pub async fn workflow_succeeded(&self, name: &str) -> Result<Pod> {
        self.pod_ended(WORKFLOW_LIMIT, name, "Succeeded").await
    }

    /// Waits until the pod has failed, and returns it.
    ///
    /// # Errors
    /// If it succeeds, or does not end in time.
    pub async fn pod_failed(&self, name: &str) -> Result<Pod> {
        self.pod_ended(LIMIT, name, "Failed").await
    }

    async fn pod_ended(&self, limit: Duration, name: &str, expected: &str) -> Result<Pod> {
        let ended = |pod: &Pod| matches!(phase(pod), "Succeeded" | "Failed");
        let pod = self.pod_within(limit, name, "Succeeded or Failed", ended).await?;
        if phase(&pod) != expected {
            bail!("pod {name} is {}; expected: {expected}", phase(&pod));
        }
        Ok(pod)
    }

    /// Waits until the pod is ready, and returns it.
    ///
    /// # Errors
    /// If it is not ready in time.
    pub async fn pod_ready(&self, name: &str) -> Result<Pod> {
        self.pod(name, "ready", |pod| {
            let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
            conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
        })
        .await
    }

    /// Waits until a container of the pod has ended, possibly before a restart, and returns the pod.
    ///
    /// # Errors
    /// If it does not end in time.
    pub async fn container_ended(&self, pod: &str, container: &str) -> Result<Pod> {
        let state = format!("in a state in which container {container} has ended");
        self.pod(pod, &state, |pod| state::has_ended(pod, container)).await
    }

    /// Waits until a Job has completed, and returns its pods.
    ///
    /// # Errors
    /// If it does not complete in time.
    pub async fn job_completed(&self, name: &str) -> Result<Vec<Pod>> {
        let completed = await_condition(self.api::<Job>(), name, is_job_completed());
        let waited = tokio::time::timeout(LIMIT, completed).await;
        waited.with_context(|| {
            format!("timed out after {} s: Job {name} is not complete", LIMIT.as_secs())
        })??;
        self.pods(&format!("batch.kubernetes.io/job-name={name}")).await
    }

    /// The pods that match the label selector `selector` (`job-name=etl`), in the order of their names.
    ///
    /// # Errors
    /// If they cannot be listed.
    pub async fn pods(&self, selector: &str) -> Result<Vec<Pod>> {
        Ok(self.api::<Pod>().list(&ListParams::default().labels(selector)).await?.items)
    }

    /// The log of a container. It is read until two reads in a row return the same text, because containerd
    /// can report that a container has ended before it has written the last lines to the log file (1.6.20,
    /// `redirectLogs` in pkg/cri/io/logger.go is not waited for).
    ///
    /// # Errors
    /// If the container has not started.
    pub async fn log(&self, pod: &str, container: &str) -> Result<String> {
        let mut log = self.log_now(pod, container).await?;
        for _ in 0..LOG_READS {
            tokio::time::sleep(LOG_READ_INTERVAL).await;
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

    /// The output of a container that runs the probe: see [`Process`].
    ///
    /// # Errors
    /// If the log cannot be read, remains incomplete, or was not written by the probe.
    pub async fn process(&self, pod: &str, container: &str) -> Result<Process> {
        for _ in 0..LOG_READS {
            let log = self.log_now(pod, container).await?;
            if Process::is_complete(&log) {
                return Process::parse(&log);
            }
            tokio::time::sleep(LOG_READ_INTERVAL).await;
        }
        bail!("the log of container {container} in pod {pod} does not contain the last line of the probe")
    }

    /// Runs a command in a container, and waits until it exits.
    ///
    /// # Errors
    /// If it cannot be started. A failed command is not an error.
    pub async fn exec(&self, pod: &str, container: &str, command: &[&str]) -> Result<Output> {
        let params = AttachParams::default().container(container);
        let started = self.api::<Pod>().exec(pod, command.iter().copied(), &params).await;
        let mut process = started.with_context(|| format!("exec in {container} of pod {pod}"))?;
        let (stdout, stderr, status) = (process.stdout(), process.stderr(), process.take_status());
        let (stdout, stderr) = tokio::try_join!(read(stdout), read(stderr))?;
        let status = status.context("the status of the process was already read")?.await;
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
    stream.context("the stream is not attached")?.read_to_end(&mut bytes).await?;
    Ok(bytes)
}
