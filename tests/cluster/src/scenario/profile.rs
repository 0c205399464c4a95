//! `BootProfile`s of a scenario's own. Profiles belong to no namespace, so they are called like the scenario's.

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

impl Namespace {
    /// Creates a `BootProfile` with the namespace's name and waits until the webhook knows it. `spec` is YAML.
    /// It goes when the namespace does.
    ///
    /// # Errors
    /// When the API server refuses it; the message is the API server's.
    pub async fn profile(&self, spec: &str) -> Result<()> {
        self.profile_called(self.name(), spec).await
    }

    /// The same with another name, which must be the scenario's own: [`Self::name`] with something behind it.
    ///
    /// # Errors
    /// As [`Self::profile`].
    pub async fn profile_called(&self, name: &str, spec: &str) -> Result<()> {
        let spec: Value = serde_saphyr::from_str(spec).context("read the profile's spec")?;
        let namespace = Api::<core::Namespace>::all(self.client()).get(self.name()).await?;
        let owner = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "name": self.name(), "uid": namespace.uid().context("a namespace has a uid")?,
        });
        let profile = json!({
            "apiVersion": "bootlace.dev/v1alpha1", "kind": "BootProfile",
            "metadata": {"name": name, "ownerReferences": [owner]},
            "spec": spec,
        });
        self.create(&profile.to_string()).await?;
        // The webhook learns of it by a watch. It refuses pods of a profile that it does not know yet.
        let unknown = format!("BootProfile {name:?} not found");
        until_async(LIMIT, "the webhook does not know the scenario's profile", async || {
            match self.booted_by(name).await {
                // Refused for another reason, which is the scenario's own to look at: it knows the profile.
                Err(error) if !format!("{error:#}").contains(&unknown) => Ok(()),
                created => created.map(drop),
            }
        })
        .await
    }

    /// Makes `profile` the one of the namespace's tasks that name none, and waits until the webhook has heard of it.
    ///
    /// # Errors
    /// When the namespace cannot be labelled, or the webhook does not follow in time.
    pub async fn default_profile(&self, profile: &str) -> Result<()> {
        let patch = Patch::Merge(json!({"metadata": {"labels": {"bootlace.dev/profile": profile}}}));
        let namespaces = Api::<core::Namespace>::all(self.client());
        namespaces
            .patch(self.name(), &PatchParams::default(), &patch)
            .await
            .context("label the namespace")?;
        until_async(LIMIT, "the webhook does not follow the namespace's label", async || {
            match self.booted_by("true").await {
                // Refused by it, as its templates need more than this pod tells: that is the one.
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

    /// The profile that a pod would boot with whose label `bootlace.dev/task` is `task`.
    async fn booted_by(&self, task: &str) -> Result<Option<String>> {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "is-the-profile-known", "labels": {"bootlace.dev/task": task}},
            "spec": {"containers": [{"name": "main", "image": images::PROBE, "command": ["/probe"]}]},
        });
        let created = manifest::create(&self.client(), &pod.to_string(), self.name(), true).await?;
        let pod = &created.first().context("one pod was created")?.object;
        let Some(injected) = pod.annotations().get("bootlace.dev/injected") else { return Ok(None) };
        let injected: Value = serde_json::from_str(injected).context("read the pod's annotation")?;
        Ok(injected.get("profile").and_then(Value::as_str).map(str::to_owned))
    }
}
