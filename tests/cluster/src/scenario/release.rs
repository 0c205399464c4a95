//! A separate release of Bootlace for a scenario, in addition to the shared one.
//!
//! Scenarios that count reviews or restart the webhook must not affect each other. The shared release ignores
//! namespaces with the label [`LABEL`] (`tests/cluster/values.yaml`).

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Request};
use kube::{Client, ResourceExt};
use serde_json::{Map, Value, json};
use tempfile::NamedTempFile;
use tokio::process::Command;

use super::{LIMIT, Namespace};
use crate::command::{command, output};
use crate::images;
use crate::processes::{Node, Process};
use crate::wait::until_async;

/// The label of namespaces that the shared release ignores.
pub const LABEL: &str = "bootlace-cluster/own-release";

/// A release with the name of its namespace.
pub struct Release<'n> {
    home: &'n Namespace,
}

impl<'n> Release<'n> {
    /// Installs the chart in the namespace `home`, and waits until the API server sends it a pod in `tasks`.
    /// `values` is JSON and overrides the values of the shared release. [`selecting`] limits the release to
    /// the namespaces of the scenario. By default it has no store.
    ///
    /// # Errors
    /// If Helm fails, or the webhook does not respond in time.
    pub async fn install(home: &'n Namespace, tasks: &Namespace, values: &str) -> Result<Self> {
        Self::install_from(images::root(), home, tasks, values).await
    }

    /// As [`Self::install`], with the chart of another version, whose source code is in the folder `root`.
    ///
    /// # Errors
    /// As [`Self::install`].
    pub async fn install_from(
        root: &Path,
        home: &'n Namespace,
        tasks: &Namespace,
        values: &str,
    ) -> Result<Self> {
        let release = Self::new(home);
        release.helm("install", root, values).await?;
        release.wait_until_reachable(tasks).await?;
        Ok(release)
    }

    /// A release that the scenario itself installs in `home`.
    #[must_use]
    pub fn new(home: &'n Namespace) -> Self {
        Self { home }
    }

    /// Waits until the API server sends the webhook a pod in `tasks`. A replica that is ready is not
    /// reachable before kube-proxy knows its address and the API server knows the webhook configuration.
    ///
    /// # Errors
    /// If it does not in time.
    pub async fn wait_until_reachable(&self, tasks: &Namespace) -> Result<()> {
        until_async(LIMIT, "the API server does not reach the webhook", async || {
            ensure!(self.injects(tasks).await?, "a pod was not injected");
            Ok(())
        })
        .await
    }

    /// Whether a pod that opts in is injected. The pod is a dry run, which passes through admission and is
    /// not stored.
    ///
    /// # Errors
    /// If the API server refuses it, for example because it does not reach the webhook.
    pub async fn injects(&self, tasks: &Namespace) -> Result<bool> {
        let created = tasks.dry_run(&task().to_string()).await?;
        Ok(created.iter().all(|created| created.object.annotations().contains_key("bootlace.dev/injected")))
    }

    /// Upgrades the release to the chart of this version, with `values`.
    ///
    /// # Errors
    /// If Helm fails.
    pub async fn upgrade(&self, values: &str) -> Result<()> {
        self.helm("upgrade", images::root(), values).await
    }

    /// Rolls the release back to its revision `number`.
    ///
    /// # Errors
    /// If Helm fails.
    pub async fn rollback(&self, number: u32) -> Result<()> {
        let mut helm = self.command("helm");
        helm.args(["rollback", self.name(), &number.to_string(), "--wait", "--timeout", "90s"]);
        output(&mut helm).await.map(drop).with_context(|| format!("roll back release {}", self.name()))
    }

    async fn helm(&self, verb: &str, root: &Path, values: &str) -> Result<()> {
        let file = NamedTempFile::new().context("create a file for the values")?;
        let mut values: Map<String, Value> = serde_json::from_str(values).context("parse the values")?;
        // Store and monitor have two more pods each, which few scenarios need. The chart of the previous
        // version may not have them.
        let chart = std::fs::read_to_string(root.join("charts/bootlace/values.yaml"));
        let chart: Map<String, Value> =
            serde_saphyr::from_str(&chart.context("read the values of the chart")?)
                .context("parse the values of the chart")?;
        for role in ["store", "monitor"].into_iter().filter(|role| chart.contains_key(*role)) {
            values.entry(role).or_insert_with(|| json!({"enabled": false}));
        }
        // The profile `default` belongs to the shared release. This release gets an empty one with another
        // name.
        let profiles = values.entry("profiles").or_insert_with(|| json!({(self.name()): {}}));
        if let Value::Object(profiles) = profiles {
            profiles.entry("default").or_insert(Value::Null);
        }
        std::fs::write(file.path(), serde_json::to_vec(&values)?).context("write the values")?;
        let mut helm = self.command("helm");
        helm.args([verb, self.name()]).arg(root.join("charts/bootlace"));
        helm.args(["--skip-crds", "--wait", "--timeout", "90s"]);
        helm.arg("--values").arg(root.join("tests/cluster/values.yaml")).arg("--values").arg(file.path());
        output(&mut helm).await.map(drop).with_context(|| format!("{verb} release {}", self.name()))
    }

    /// Replaces the pods of the webhook one after another, and waits until all old ones are deleted. They
    /// serve requests for a while after the new ones are ready.
    ///
    /// # Errors
    /// If the new pods are not ready or the old ones not deleted in time.
    pub async fn restart(&self) -> Result<()> {
        let before: Vec<_> = self.replicas().await?.iter().map(ResourceExt::name_any).collect();
        let deployment = format!("deployment/{}", self.full_name());
        output(self.command("kubectl").args(["rollout", "restart", &deployment])).await?;
        output(self.command("kubectl").args(["rollout", "status", &deployment, "--timeout", "90s"])).await?;
        for old in &before {
            let pod = format!("pod/{old}");
            output(self.command("kubectl").args(["wait", "--for=delete", &pod, "--timeout", "60s"])).await?;
        }
        Ok(())
    }

    /// Kills the process of one replica of the webhook.
    ///
    /// # Errors
    /// If there is no replica.
    pub fn kill_one(&self) -> Result<()> {
        let service = format!("--service={}", self.full_name());
        let is_replica = |process: &Process| {
            let argument = |at: usize| process.argv.get(at).map_or("", String::as_str);
            (argument(0).rsplit('/').next(), argument(1)) == (Some("bootlace"), "webhook")
                && process.argv.contains(&service)
        };
        ensure!(Node::of_this_cluster()?.kill(0, is_replica), "no replica of the webhook found");
        Ok(())
    }

    /// Uninstalls the release. The release of a failed scenario remains, but it selects only the namespaces
    /// of that scenario.
    ///
    /// # Errors
    /// If Helm fails.
    pub async fn uninstall(&self) -> Result<()> {
        output(self.command("helm").args(["uninstall", self.name()]))
            .await
            .map(drop)
            .with_context(|| format!("uninstall release {}", self.name()))
    }

    /// A command of kubectl or helm, in the namespace of the release.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = command(program);
        command.args(["--namespace", self.name()]);
        command
    }

    fn name(&self) -> &str {
        self.home.name()
    }

    /// The name of its Deployment, its Service and its `MutatingWebhookConfiguration`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}-bootlace", self.name())
    }

    /// The pods of the webhook.
    ///
    /// # Errors
    /// If they cannot be listed.
    pub async fn replicas(&self) -> Result<Vec<Pod>> {
        self.home.pods("app.kubernetes.io/component=webhook").await
    }

    /// The pods of the store.
    ///
    /// # Errors
    /// If they cannot be listed.
    pub async fn stores(&self) -> Result<Vec<Pod>> {
        self.home.pods("app.kubernetes.io/component=store").await
    }

    /// The value of a metric without labels on each replica, as text.
    ///
    /// # Errors
    /// If the metrics of a replica cannot be read or do not contain the metric.
    pub async fn metric(&self, name: &str) -> Result<Vec<String>> {
        let mut values = Vec::new();
        for replica in self.replicas().await? {
            let metrics = metrics(&self.home.client(), self.name(), &replica.name_any()).await?;
            let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            values.push(value.with_context(|| format!("metric {name} not found"))?.to_owned());
        }
        Ok(values)
    }

    /// The number of reviews of all existing replicas, with any outcome.
    ///
    /// # Errors
    /// If the metrics of a replica cannot be read.
    pub async fn reviews(&self) -> Result<u64> {
        let mut reviews = 0;
        for replica in self.replicas().await? {
            reviews += count(&metrics(&self.home.client(), self.name(), &replica.name_any()).await?)?;
        }
        Ok(reviews)
    }
}

/// Kills a process of Bootlace in a pod, with SIGKILL.
///
/// # Errors
/// If the pod runs none.
pub fn kill_one_process(pod: &Pod) -> Result<()> {
    let uid = pod.uid().unwrap_or_default();
    let is_bootlace = |process: &Process| {
        let program = process.argv.first().and_then(|path| path.rsplit('/').next());
        program == Some("bootlace") && process.is_in_pod(&uid)
    };
    let killed = Node::of_this_cluster()?.kill(0, is_bootlace);
    ensure!(killed, "pod {} runs no process of Bootlace", pod.name_any());
    Ok(())
}

/// The value `webhook` of the chart for a release that selects only these namespaces.
#[must_use]
pub fn selecting(namespaces: &[&str]) -> Value {
    // This list replaces that of the shared release.
    json!({"namespaceSelector": {"matchExpressions": [
        {"key": "kubernetes.io/metadata.name", "operator": "In", "values": namespaces},
    ]}})
}

/// A pod that names no profile.
pub(super) fn task() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "task", "labels": {"bootlace.dev/task": "true"}},
        "spec": {"containers": [{"name": "main", "image": images::PROBE, "command": ["/probe"]}]},
    })
}

/// Reads the metrics of a replica through the API server.
async fn metrics(client: &Client, namespace: &str, pod: &str) -> Result<String> {
    let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:8080/proxy/metrics");
    let request = Request::new(path).list(&ListParams::default())?;
    let text = client.request_text(request).await;
    text.with_context(|| format!("read the metrics of {pod}"))
}

/// The number of all reviews, including those that were refused because the webhook was not ready.
fn count(metrics: &str) -> Result<u64> {
    let counted = sum(metrics, "bootlace_reviews_total")?;
    // The counter has no line before the first review. The histogram always has one, which shows that the
    // metrics were parsed.
    let timed = sum(metrics, "bootlace_review_duration_seconds_count")?;
    let timed = timed.context("metric bootlace_review_duration_seconds_count not found")?;
    if counted.unwrap_or_default() != timed {
        bail!("the metrics are inconsistent:\n{metrics}");
    }
    Ok(timed + sum(metrics, "bootlace_reviews_not_ready_total")?.unwrap_or_default())
}

/// The sum of a metric over all labels. `None` if it has no line.
fn sum(metrics: &str, name: &str) -> Result<Option<u64>> {
    let lines = metrics.lines().filter_map(|line| line.strip_prefix(name));
    let counts = lines.filter(|rest| rest.starts_with([' ', '{'])).map(|rest| {
        let number = rest.rsplit_once(' ').context("a count has no number")?.1;
        number.parse::<u64>().with_context(|| format!("parse the value {number:?} of {name}"))
    });
    let counts = counts.collect::<Result<Vec<_>>>()?;
    Ok((!counts.is_empty()).then(|| counts.iter().sum()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_outcomes_count() {
        let timed = "bootlace_review_duration_seconds_count ";
        let reviews = "bootlace_reviews_total{outcome=\"injected\",reason=\"\"} 2\n\
            bootlace_reviews_total{outcome=\"skipped\",reason=\"opted_out\"} 3\n\
            bootlace_reviews_not_ready_total 1\nbootlace_reviews_in_flight 9\n";
        assert_eq!(count(&format!("{reviews}{timed}5\n")).unwrap(), 6);
        assert_eq!(count(&format!("{timed}0\n")).unwrap(), 0);
        assert!(count(&format!("{reviews}{timed}4\n")).is_err());
        assert!(count("").is_err());
    }
}
