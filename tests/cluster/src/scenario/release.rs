//! A Bootlace of a scenario's own, beside the one that all scenarios share.
//!
//! Where a scenario counts reviews or restarts the webhook, no other scenario may be in its way. Namespaces that carry
//! [`LABEL`] are left to such a release: the shared one does not look at them (`tests/cluster/values.yaml`).

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Request};
use kube::{Client, ResourceExt};
use tempfile::NamedTempFile;
use tokio::process::Command;

use super::Namespace;
use crate::command::{command, output};
use crate::images;

/// The namespaces with this label are none of the shared release's.
pub const LABEL: &str = "bootlace-cluster/own-release";

/// A release, called like the namespace that it is installed in.
pub struct Release<'n> {
    home: &'n Namespace,
}

impl<'n> Release<'n> {
    /// Installs the chart in the namespace `home` and waits until it is ready. `values` is YAML, on top of those of
    /// the shared release; they must limit it to the scenario's own namespaces.
    ///
    /// # Errors
    /// When Helm fails.
    pub async fn install(home: &'n Namespace, values: &str) -> Result<Self> {
        let release = Self { home };
        release.helm("install", values).await?;
        Ok(release)
    }

    /// Changes its values.
    ///
    /// # Errors
    /// When Helm fails.
    pub async fn upgrade(&self, values: &str) -> Result<()> {
        self.helm("upgrade", values).await
    }

    async fn helm(&self, verb: &str, values: &str) -> Result<()> {
        let root = images::root()?;
        let own = NamedTempFile::new().context("make a file for the values")?;
        std::fs::write(own.path(), values).context("write the values")?;
        let mut helm = self.command("helm");
        helm.args([verb, self.name()]).arg(root.join("charts/bootlace"));
        helm.args(["--skip-crds", "--wait", "--timeout", "90s", "--set", "profiles.default=null"]);
        helm.arg("--values").arg(root.join("tests/cluster/values.yaml")).arg("--values").arg(own.path());
        output(&mut helm).await.map(drop).with_context(|| format!("{verb} a release"))
    }

    /// Removes it. What a scenario that fails leaves concerns its own namespaces only.
    ///
    /// # Errors
    /// When Helm fails.
    pub async fn uninstall(self) -> Result<()> {
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

    /// Its name, also that of its Deployment, its Service and its `MutatingWebhookConfiguration`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.home.name()
    }

    /// The webhook's pods.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn replicas(&self) -> Result<Vec<Pod>> {
        self.home.pods("app.kubernetes.io/name=bootlace").await
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

/// Reads a replica's metrics through the API server.
async fn metrics(client: &Client, namespace: &str, pod: &str) -> Result<String> {
    let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:8080/proxy/metrics");
    let request = Request::new(path).list(&ListParams::default())?;
    let text = client.request_text(request).await;
    text.with_context(|| format!("read the metrics of {pod}"))
}

/// The sum of all counts of reviews, turned away unread ones included.
fn count(metrics: &str) -> Result<u64> {
    if !metrics.contains("# TYPE bootlace_reviews counter") {
        bail!("there is no count of reviews in the metrics:\n{metrics}");
    }
    let counts = metrics.lines().filter(|line| {
        line.starts_with("bootlace_reviews_total") || line.starts_with("bootlace_reviews_not_ready_total")
    });
    counts
        .map(|line| {
            let number = line.rsplit_once(' ').context("a count has no number")?.1;
            number.parse::<u64>().with_context(|| format!("read the count {line:?}"))
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_outcomes_count() {
        let metrics = "# TYPE bootlace_reviews counter\n\
            bootlace_reviews_total{outcome=\"injected\",reason=\"\"} 2\n\
            bootlace_reviews_total{outcome=\"skipped\",reason=\"opted_out\"} 3\n\
            bootlace_reviews_not_ready_total 1\nbootlace_reviews_in_flight 9\n";
        assert_eq!(count(metrics).unwrap(), 6);
        assert!(count("").is_err());
    }
}
