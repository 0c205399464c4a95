//! Workflows of schedulers with their real clients and controllers. They do not mention Bootlace; only the
//! label of their namespace opts them in.

mod airflow;
mod argo;
mod dagster;
mod dask;
pub(crate) mod endings;
mod job;
mod jobset;
mod kuberay;
mod kueue;
mod luigi;
mod metaflow;
mod nextflow;
mod opentelemetry;
mod prefect;
mod snakemake;
mod spark;
mod task;
mod tekton;
mod training_operator;
mod vault;

use std::fmt::Display;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bootlace_cluster::clients::results::Row;
use bootlace_cluster::scenario::{LIMIT, Namespace, scenario};
use bootlace_cluster::wait::until_async;
use k8s_openapi::api::core::v1::{self as core, ConfigMap, Secret};
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams};

use crate::pipes;

/// The label of the Secrets and ConfigMaps that Bootlace has created.
const MANAGED: &str = "app.kubernetes.io/managed-by=bootlace";

/// A workflow of a scheduler.
pub(super) struct Workflow {
    /// The scheduler and its version (`Argo Workflows 4.0.5`).
    pub(super) scheduler: &'static str,
    /// What the workflow does (`a script that is retried`).
    pub(super) name: &'static str,
    /// The start of the names of its namespaces.
    pub(super) namespace: &'static str,
}

impl Workflow {
    /// Runs the workflow in a namespace without Bootlace and in one that has opted in, and checks that it
    /// ends in the same state. `run` starts it, waits until it has ended, and returns its state as its
    /// scheduler shows it; the time of this call is recorded. `check` then checks the namespace with
    /// Bootlace, and deletes what its users would delete: afterwards, nothing of Bootlace may be left.
    ///
    /// # Errors
    /// The errors of `run` and `check`, and if the states differ or something is left.
    pub(super) async fn run<S: Display + PartialEq>(
        &self,
        run: impl AsyncFn(&Namespace) -> Result<S>,
        check: impl AsyncFnOnce(&Namespace) -> Result<()>,
    ) -> Result<()> {
        self.run_with(
            async |_| Ok(()),
            async |namespace, ()| run(namespace).await,
            async |namespace, (), _| check(namespace).await,
        )
        .await
    }

    /// As [`run`](Self::run), with a controller in each namespace. `start` starts it, which is not part of
    /// the recorded time. It is dropped when nothing of Bootlace is left.
    ///
    /// # Errors
    /// As [`run`](Self::run), and the errors of `start`.
    pub(super) async fn run_with<C, S: Display + PartialEq>(
        &self,
        start: impl AsyncFn(&Namespace) -> Result<C>,
        run: impl AsyncFn(&Namespace, &mut C) -> Result<S>,
        check: impl AsyncFnOnce(&Namespace, &mut C, &S) -> Result<()>,
    ) -> Result<()> {
        let mut plain = None;
        scenario(self.namespace)
            .run(async |namespace| {
                let mut controller = start(namespace).await?;
                let started = Instant::now();
                plain = Some((run(namespace, &mut controller).await?, started.elapsed()));
                Ok(())
            })
            .await?;
        let (expected, without) = plain.context("the workflow has not run")?;
        scenario(self.namespace)
            .label("bootlace.dev/schedulers", "enabled")
            .run(async |namespace| {
                let mut controller = start(namespace).await?;
                let started = Instant::now();
                let state = run(namespace, &mut controller).await?;
                let with = started.elapsed();
                ensure!(
                    state == expected,
                    "the workflow ended as {state} with Bootlace, and as {expected} without"
                );
                check(namespace, &mut controller, &state).await?;
                nothing_left(namespace).await?;
                Row::new(self.scheduler, self.name, &state.to_string(), with, without).record()
            })
            .await
    }
}

/// Selects the Secrets and ConfigMaps that Bootlace has created.
fn managed() -> ListParams {
    ListParams::default().labels(MANAGED)
}

/// Waits until no object of Bootlace is left in the namespace. The garbage collector of Kubernetes removes
/// objects some time after their owner.
///
/// # Errors
/// If some are left after [`LIMIT`].
pub(crate) async fn nothing_left(namespace: &Namespace) -> Result<()> {
    until_async(LIMIT, "objects of Bootlace are left", async || {
        let left = left(namespace).await?;
        ensure!(left.is_empty(), "Bootlace has left {}", left.join(", "));
        Ok(())
    })
    .await
}

/// The objects of Bootlace that are left in the namespace.
async fn left(namespace: &Namespace) -> Result<Vec<String>> {
    let managed = managed();
    let secrets = namespace.api::<Secret>().list(&managed).await?.items;
    let config_maps = namespace.api::<ConfigMap>().list(&managed).await?.items;
    let pipes = pipes::pipes(namespace).await?;
    let aborts = endings::aborts(namespace).await?;
    let mut left = Vec::new();
    left.extend(secrets.iter().map(|secret| format!("Secret {}", secret.name_any())));
    left.extend(config_maps.iter().map(|map| format!("ConfigMap {}", map.name_any())));
    left.extend(pipes.iter().map(|pipe| format!("Pipe {}", pipe.name_any())));
    left.extend(aborts.iter().map(|abort| format!("Abort {}", abort.name_any())));
    Ok(left)
}

/// Whether the namespace has opted in.
async fn has_bootlace(namespace: &Namespace) -> Result<bool> {
    let home = Api::<core::Namespace>::all(namespace.client()).get(namespace.name()).await?;
    Ok(home.labels().contains_key("bootlace.dev/schedulers"))
}

/// The text of a workflow that opts in with the pod label `bootlace.dev/task`, without this label if the
/// namespace is the one without Bootlace.
async fn with_pod_label(namespace: &Namespace, text: &str) -> Result<String> {
    let has_bootlace = has_bootlace(namespace).await?;
    Ok(if has_bootlace { text.to_owned() } else { text.replace("bootlace.dev/task", "a-label") })
}

/// Deletes all Pipes in the namespace, for schedulers whose runs are not objects that own them.
async fn delete_pipes(namespace: &Namespace) -> Result<()> {
    let deleted =
        pipes::api(namespace).delete_collection(&DeleteParams::default(), &ListParams::default()).await;
    deleted.context("delete the Pipes").map(drop)
}
