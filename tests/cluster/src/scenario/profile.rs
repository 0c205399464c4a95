//! A `BootProfile` of a scenario's own. Profiles belong to no namespace, so it is called like the scenario's.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1 as core;
use kube::ResourceExt;
use kube::api::Api;
use serde_json::{Value, json};

use super::Namespace;
use super::namespace::LIMIT;
use crate::images;
use crate::manifest;
use crate::wait::until_async;

impl Namespace {
    /// Creates a `BootProfile` with the namespace's name and waits until the webhook knows it. `spec` is YAML.
    /// It goes when the namespace does.
    ///
    /// # Errors
    /// When the API server refuses it; the message is the API server's.
    pub async fn profile(&self, spec: &str) -> Result<()> {
        let spec: Value = serde_saphyr::from_str(spec).context("read the profile's spec")?;
        let namespace = Api::<core::Namespace>::all(self.client()).get(self.name()).await?;
        let owner = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "name": self.name(), "uid": namespace.uid().context("a namespace has a uid")?,
        });
        let profile = json!({
            "apiVersion": "bootlace.dev/v1alpha1", "kind": "BootProfile",
            "metadata": {"name": self.name(), "ownerReferences": [owner]},
            "spec": spec,
        });
        self.create(&profile.to_string()).await?;
        // The webhook learns of it by a watch. It refuses pods of a profile that it does not know yet.
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "is-the-profile-known", "labels": {"bootlace.dev/task": self.name()}},
            "spec": {"containers": [{"name": "main", "image": images::PROBE, "command": ["/probe"]}]},
        });
        let unknown = format!("no BootProfile is called {:?}", self.name());
        until_async(LIMIT, "the webhook does not know the scenario's profile", async || {
            match manifest::create(&self.client(), &pod.to_string(), self.name(), true).await {
                // Refused for another reason, which is the scenario's own to look at: it knows the profile.
                Err(error) if !format!("{error:#}").contains(&unknown) => Ok(()),
                created => created.map(drop),
            }
        })
        .await
    }
}
