//! Checks that `bootlace inject` changes the pods of the corpus as the webhook does.

use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use bootlace_cluster::command::command;
use bootlace_cluster::images::PRODUCT;
use bootlace_cluster::scenario::{Namespace, bootlace};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

use super::pods::Entry;
use super::{CONCURRENCY, api, kept};

/// Injects the corpus offline, creates the result in a namespace that no webhook selects, and returns the
/// differences from the pods of the webhook. Ignores pods with the env mode `Secret`, because the name of the
/// Secret comes from the admission request.
pub(super) async fn compare(
    plain: &Namespace,
    injected: &Namespace,
    corpus: &[Entry],
) -> Result<Vec<String>> {
    let by_webhook = stream::iter(corpus).map(async |entry| {
        let pod = api::dry_run(injected, &entry.pod).await?.ok();
        anyhow::Ok(
            pod.filter(|pod| kept::injected(pod).is_some_and(|injected| injected["envMode"] != "secret"))
                .map(|pod| (entry, pod)),
        )
    });
    let by_webhook: Vec<_> = by_webhook.buffered(CONCURRENCY).try_collect().await?;
    let by_webhook: Vec<(&Entry, Value)> = by_webhook.into_iter().flatten().collect();
    let (_, first) = by_webhook.first().context("no pod was injected")?;
    let inject = Inject::configured_as(injected, first).await?;
    let pods = by_webhook.iter().map(|(entry, _)| {
        let mut pod = entry.pod.clone();
        pod["metadata"]["namespace"] = json!(injected.name());
        pod
    });
    let offline = inject.run(pods).await?;
    ensure!(
        offline.len() == by_webhook.len(),
        "bootlace inject returned {} of {} pods",
        offline.len(),
        by_webhook.len()
    );
    let problems =
        stream::iter(by_webhook.iter().zip(offline)).map(async |((entry, by_webhook), mut pod)| {
            pod["metadata"]["namespace"] = json!(plain.name());
            let problem = match api::dry_run(plain, &pod).await? {
                Ok(pod) if comparable(&pod) == comparable(by_webhook) => None,
                Ok(pod) => Some(format!("differs: {pod}; from the webhook: {by_webhook}")),
                Err(error) => Some(format!("is refused: {error}")),
            };
            anyhow::Ok(problem.map(|problem| format!("{}, injected offline, {problem}", entry.title)))
        });
    let problems: Vec<_> = problems.buffered(CONCURRENCY).try_collect().await?;
    Ok(problems.into_iter().flatten().collect())
}

/// A pod without the expected differences: the position of the volume of the service account, the pull policy
/// (a value of the chart), the signature, and the active generation of the profile.
fn comparable(pod: &Value) -> Value {
    let mut pod = pod.clone();
    let annotation = &mut pod["metadata"]["annotations"]["bootlace.dev/injected"];
    let mut injected: Value = serde_json::from_str(annotation.as_str().expect("the pod is injected"))
        .expect("the annotation is JSON");
    injected["generation"].take();
    *annotation = injected;
    let spec = &mut pod["spec"];
    sort(&mut spec["volumes"]);
    for list in ["containers", "initContainers"] {
        for container in spec[list].as_array_mut().into_iter().flatten() {
            sort(&mut container["volumeMounts"]);
            if !container["name"].as_str().is_some_and(|name| name.starts_with("bootlace-")) {
                continue;
            }
            container.as_object_mut().expect("a container is an object").remove("imagePullPolicy");
            let Some(env) = container["env"].as_array_mut() else { continue };
            // Only the webhook has a key.
            env.retain(|variable| variable["name"] != "BOOTLACE_SIGNATURE");
            for variable in env {
                let config =
                    variable["value"].as_str().and_then(|value| serde_json::from_str::<Value>(value).ok());
                if let Some(mut config) = config {
                    config["profile"]["generation"].take();
                    variable["value"] = config;
                }
            }
        }
    }
    pod
}

fn sort(list: &mut Value) {
    if let Some(items) = list.as_array_mut() {
        items.sort_by_key(ToString::to_string);
    }
}

/// `bootlace inject` with the configuration of the webhook.
struct Inject {
    folder: TempDir,
    store: String,
}

impl Inject {
    /// Uses the profile of the cluster, and the store in the configuration of boot in an injected pod.
    async fn configured_as(namespace: &Namespace, pod: &Value) -> Result<Self> {
        let boot = pod["spec"]["initContainers"].as_array().into_iter().flatten();
        let mut boot = boot.filter(|container| container["name"] == "bootlace-boot");
        let boot = boot.next().context("the pod has no boot container")?;
        let config = boot["env"][0]["value"].as_str().context("boot has no configuration")?;
        let config: Value = serde_json::from_str(config).context("parse the configuration of boot")?;
        let (url, ca) = (&config["store"]["url"], &config["store"]["ca"]);
        let folder = TempDir::new()?;
        std::fs::write(folder.path().join("ca.pem"), ca.as_str().context("the store has no CA")?)?;
        let request =
            http::Request::get("/apis/bootlace.dev/v1alpha1/bootprofiles/default").body(Vec::new())?;
        let mut profile: Value = namespace.client().request(request).await.context("get the profile")?;
        profile["metadata"] = json!({"name": "default"});
        profile.as_object_mut().context("the profile is not an object")?.remove("status");
        std::fs::write(folder.path().join("profile.yaml"), profile.to_string())?;
        Ok(Self { folder, store: url.as_str().context("the store has no address")?.to_owned() })
    }

    async fn run(&self, pods: impl Iterator<Item = Value>) -> Result<Vec<Value>> {
        let manifests: Vec<_> = pods.map(|pod| format!("---\n{pod}\n")).collect();
        let mut inject = command(bootlace()?);
        inject.args(["inject", "--boot-image", PRODUCT, "--store-url", &self.store]);
        inject.arg("--store-ca").arg(self.folder.path().join("ca.pem"));
        inject.arg("--profiles").arg(self.folder.path().join("profile.yaml"));
        let mut inject =
            inject.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut stdin = inject.stdin.take().context("stdin is not a pipe")?;
        let write = async move {
            // If the program fails before it has read everything, its own error is reported below.
            let _ = stdin.write_all(manifests.concat().as_bytes()).await;
        };
        let ((), output) = tokio::join!(write, inject.wait_with_output());
        let output = output?;
        if !output.status.success() {
            bail!("bootlace inject: {}", String::from_utf8_lossy(&output.stderr));
        }
        let documents: Vec<Value> = serde_saphyr::from_multiple(std::str::from_utf8(&output.stdout)?)?;
        documents.into_iter().map(|document| Ok(Value::deserialize(document)?)).collect()
    }
}
