//! The `BootProfile`s of a scenario. Profiles are cluster-scoped, so their names start with that of the
//! namespace.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1 as core;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use super::Namespace;
use super::namespace::LIMIT;
use crate::images;
use crate::manifest;
use crate::wait::until_async;

/// The code of the refusal of a pod whose profile the webhook does not know.
const UNKNOWN_PROFILE: &str = "[BL1101]";

impl Namespace {
    /// Creates a `BootProfile` with the name of the namespace, and waits until the webhook knows it. `spec`
    /// is YAML. It is deleted with the namespace.
    ///
    /// # Errors
    /// If the API server refuses it. The message is that of the API server.
    pub async fn profile(&self, spec: &str) -> Result<()> {
        self.profile_called(self.name(), spec).await
    }

    /// As [`Self::profile`], with another name, which must start with [`Self::name`] to be unique.
    ///
    /// # Errors
    /// As [`Self::profile`].
    pub async fn profile_called(&self, name: &str, spec: &str) -> Result<()> {
        let spec: Value = serde_saphyr::from_str(spec).context("parse the spec of the profile")?;
        let namespace = Api::<core::Namespace>::all(self.client()).get(self.name()).await?;
        let owner = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "name": self.name(), "uid": namespace.uid().context("the namespace has no UID")?,
        });
        let profile = json!({
            "apiVersion": "bootlace.dev/v1alpha1", "kind": "BootProfile",
            "metadata": {"name": name, "ownerReferences": [owner]},
            "spec": spec,
        });
        self.create(&profile.to_string()).await?;
        // Until the webhook has received the profile through its watch, it refuses pods that name it.
        until_async(LIMIT, "the webhook does not know the profile of the scenario", async || {
            match self.booted_by(name).await {
                // Refused for another reason, which the scenario tests: the webhook knows the profile.
                Err(error) if !format!("{error:#}").contains(UNKNOWN_PROFILE) => Ok(()),
                created => created.map(drop),
            }
        })
        .await
    }

    /// Sets the default profile of the namespace, and waits until the webhook uses it.
    ///
    /// # Errors
    /// If the namespace cannot be labeled, or the webhook does not use the profile in time.
    pub async fn default_profile(&self, profile: &str) -> Result<()> {
        let patch = Patch::Merge(json!({"metadata": {"labels": {"bootlace.dev/profile": profile}}}));
        let namespaces = Api::<core::Namespace>::all(self.client());
        namespaces
            .patch(self.name(), &PatchParams::default(), &patch)
            .await
            .context("label the namespace")?;
        until_async(LIMIT, "the webhook does not use the default profile of the namespace", async || {
            match self.booted_by("true").await {
                // Refused because the templates of this profile need more than this pod provides: the profile
                // is used.
                Err(error) if format!("{error:#}").contains(&format!("BootProfile {profile:?}")) => Ok(()),
                booted_by => {
                    let booted_by = booted_by?;
                    ensure!(booted_by.as_deref() == Some(profile), "a task boots with {booted_by:?}");
                    Ok(())
                }
            }
        })
        .await
    }

    /// The profile of a pod with the label `bootlace.dev/task: <task>`.
    async fn booted_by(&self, task: &str) -> Result<Option<String>> {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "is-the-profile-known", "labels": {"bootlace.dev/task": task}},
            "spec": {"containers": [{"name": "main", "image": images::PROBE, "command": ["/probe"]}]},
        });
        let created = manifest::create(&self.client(), &pod.to_string(), self.name(), true).await?;
        let pod = &created.first().context("no pod was created")?.object;
        let Some(injected) = pod.annotations().get("bootlace.dev/injected") else { return Ok(None) };
        let injected: Value = serde_json::from_str(injected).context("parse the annotation of the pod")?;
        Ok(injected.get("profile").and_then(Value::as_str).map(str::to_owned))
    }
}
