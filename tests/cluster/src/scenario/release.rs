//! A Bootlace of a scenario's own, beside the one that all scenarios share.
//!
//! Where a scenario counts reviews or restarts the webhook, no other scenario may be in its way. Namespaces that carry
//! [`LABEL`] are left to such a release: the shared one does not look at them (`tests/cluster/values.yaml`).

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

/// The namespaces with this label are none of the shared release's.
pub const LABEL: &str = "bootlace-cluster/own-release";

/// A release, called like the namespace that it is installed in.
pub struct Release<'n> {
    home: &'n Namespace,
}

impl<'n> Release<'n> {
    /// Installs the chart in the namespace `home` and waits until the API server reaches it with a pod in `tasks`.
    /// `values` is JSON, on top of those of the shared release; [`looking_at`] limits it to the scenario's own namespaces.
    /// It has no store, unless they say so.
    ///
    /// # Errors
    /// When Helm fails, or the webhook does not answer in time.
    pub async fn install(home: &'n Namespace, tasks: &Namespace, values: &str) -> Result<Self> {
        let release = Self::of(home);
        release.helm("install", values).await?;
        release.reached(tasks).await?;
        Ok(release)
    }

    /// A release that the scenario installs itself.
    #[must_use]
    pub fn of(home: &'n Namespace) -> Self {
        Self { home }
    }

    /// Waits until the API server reaches the webhook with a pod in `tasks`: a replica that is ready can be reached
    /// once kube-proxy has heard of it, and the API server of the webhook's configuration.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn reached(&self, tasks: &Namespace) -> Result<()> {
        until_async(LIMIT, "the API server does not reach the webhook", async || {
            ensure!(self.injects(tasks).await?, "it does not send pods there");
            Ok(())
        })
        .await
    }

    /// Whether a pod that opts in is injected. It is created as a dry run: that goes the whole way through admission,
    /// and leaves nothing to be removed.
    ///
    /// # Errors
    /// When the API server refuses it, as it does where it does not reach the webhook.
    pub async fn injects(&self, tasks: &Namespace) -> Result<bool> {
        let created = tasks.dry_run(&task().to_string()).await?;
        Ok(created.iter().all(|created| created.object.annotations().contains_key("bootlace.dev/injected")))
    }

    /// Changes its values.
    ///
    /// # Errors
    /// When Helm fails.
    pub async fn upgrade(&self, values: &str) -> Result<()> {
        self.helm("upgrade", values).await
    }

    async fn helm(&self, verb: &str, values: &str) -> Result<()> {
        let root = images::root();
        let own = NamedTempFile::new().context("make a file for the values")?;
        let mut values: Map<String, Value> = serde_json::from_str(values).context("read the values")?;
        // Two more pods, which few scenarios look at.
        values.entry("store").or_insert_with(|| json!({"enabled": false}));
        // `default` is the shared release's. In its place stands an empty one, as the chart's default values have it.
        let profiles = values.entry("profiles").or_insert_with(|| json!({(self.name()): {}}));
        if let Value::Object(profiles) = profiles {
            profiles.entry("default").or_insert(Value::Null);
        }
        std::fs::write(own.path(), serde_json::to_vec(&values)?).context("write the values")?;
        let mut helm = self.command("helm");
        helm.args([verb, self.name()]).arg(root.join("charts/bootlace"));
        helm.args(["--skip-crds", "--wait", "--timeout", "90s"]);
        helm.arg("--values").arg(root.join("tests/cluster/values.yaml")).arg("--values").arg(own.path());
        output(&mut helm).await.map(drop).with_context(|| format!("{verb} a release"))
    }

    /// Replaces the webhook's pods one after another, and waits until the last of the old ones is gone, which serves on
    /// for a while.
    ///
    /// # Errors
    /// When the new ones are not ready or the old ones not gone in time.
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

    /// Kills the process of one of the webhook's replicas.
    ///
    /// # Errors
    /// When there is none.
    pub fn kill_one(&self) -> Result<()> {
        let service = format!("--service={}", self.full_name());
        let is_replica = |process: &Process| {
            let word = |at: usize| process.argv.get(at).map_or("", String::as_str);
            (word(0).rsplit('/').next(), word(1)) == (Some("bootlace"), "webhook")
                && process.argv.contains(&service)
        };
        ensure!(Node::of_this_cluster()?.kill(0, is_replica), "no replica was there to be killed");
        Ok(())
    }

    /// Removes it. What a scenario that fails leaves concerns its own namespaces only.
    ///
    /// # Errors
    /// When Helm fails.
    pub async fn uninstall(&self) -> Result<()> {
        output(self.command("helm").args(["uninstall", self.name()]))
            .await
            .map(drop)
            .context("uninstall a release")
    }

    /// One of the cluster's programs, in the release's namespace.
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

    /// The webhook's pods.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn replicas(&self) -> Result<Vec<Pod>> {
        self.home.pods("app.kubernetes.io/component=webhook").await
    }

    /// The store's pods.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn stores(&self) -> Result<Vec<Pod>> {
        self.home.pods("app.kubernetes.io/component=store").await
    }

    /// What each replica says of a metric without labels, as it is written.
    ///
    /// # Errors
    /// When the metrics of one cannot be read or hold no such metric.
    pub async fn metric(&self, name: &str) -> Result<Vec<String>> {
        let mut values = Vec::new();
        for replica in self.replicas().await? {
            let metrics = metrics(&self.home.client(), self.name(), &replica.name_any()).await?;
            let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            values.push(value.with_context(|| format!("there is no {name}"))?.to_owned());
        }
        Ok(values)
    }

    /// How many reviews all replicas together have answered, whatever the outcome. Only those that stand now count.
    ///
    /// # Errors
    /// When the metrics of one cannot be read.
    pub async fn reviews(&self) -> Result<u64> {
        let mut reviews = 0;
        for replica in self.replicas().await? {
            reviews += count(&metrics(&self.home.client(), self.name(), &replica.name_any()).await?)?;
        }
        Ok(reviews)
    }
}

/// The chart's value `webhook` of a release that looks at these namespaces and no others.
#[must_use]
pub fn looking_at(namespaces: &[&str]) -> Value {
    // This list takes the place of the shared release's.
    json!({"namespaceSelector": {"matchExpressions": [
        {"key": "kubernetes.io/metadata.name", "operator": "In", "values": namespaces},
    ]}})
}

/// A pod that any release with a profile `default` injects.
pub(super) fn task() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "task", "labels": {"bootlace.dev/task": "true"}},
        "spec": {"containers": [{"name": "main", "image": images::PROBE, "command": ["/probe"]}]},
    })
}

/// Reads a replica's metrics through the API server.
async fn metrics(client: &Client, namespace: &str, pod: &str) -> Result<String> {
    let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:8080/proxy/metrics");
    let request = Request::new(path).list(&ListParams::default())?;
    let text = client.request_text(request).await;
    text.with_context(|| format!("read the metrics of {pod}"))
}

/// The sum of all counts of reviews, turned away unread ones included.
fn count(metrics: &str) -> Result<u64> {
    let answered = sum(metrics, "bootlace_reviews_total")?;
    // The counter has no line before the first review. This one always has, so it tells none from nothing understood.
    let timed = sum(metrics, "bootlace_review_duration_seconds_count")?;
    let timed = timed.context("there is no count of reviews in the metrics")?;
    if answered.unwrap_or_default() != timed {
        bail!("the metrics contradict each other:\n{metrics}");
    }
    Ok(timed + sum(metrics, "bootlace_reviews_not_ready_total")?.unwrap_or_default())
}

/// The sum of a metric over all its labels; `None` where it has no line.
fn sum(metrics: &str, name: &str) -> Result<Option<u64>> {
    let lines = metrics.lines().filter_map(|line| line.strip_prefix(name));
    let counts = lines.filter(|rest| rest.starts_with([' ', '{'])).map(|rest| {
        let number = rest.rsplit_once(' ').context("a count has no number")?.1;
        number.parse::<u64>().with_context(|| format!("read the count {number:?} of {name}"))
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
