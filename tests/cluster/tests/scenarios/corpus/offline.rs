//! That `bootlace inject` makes the same of the corpus as the webhook does.

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
use super::{AT_ONCE, api, kept};

/// Injects the corpus offline, creates it where no webhook looks at it, and tells what differs from what the webhook makes.
/// Pods that take their env by a Secret are left out: it is named after the API server's request.
pub(super) async fn compare(
    plain: &Namespace,
    injected: &Namespace,
    corpus: &[Entry],
) -> Result<Vec<String>> {
    let by_webhook = stream::iter(corpus).map(async |entry| {
        let pod = api::dry_run(injected, &entry.pod).await?.ok();
        anyhow::Ok(
            pod.filter(|pod| kept::injected(pod).is_some_and(|told| told["envMode"] != "secret"))
                .map(|pod| (entry, pod)),
        )
    });
    let by_webhook: Vec<_> = by_webhook.buffered(AT_ONCE).try_collect().await?;
    let by_webhook: Vec<(&Entry, Value)> = by_webhook.into_iter().flatten().collect();
    let (_, first) = by_webhook.first().context("nothing is injected")?;
    let inject = Inject::as_told(injected, first).await?;
    let pods = by_webhook.iter().map(|(entry, _)| {
        let mut pod = entry.pod.clone();
        pod["metadata"]["namespace"] = json!(injected.name());
        pod
    });
    let offline = inject.run(pods).await?;
    ensure!(offline.len() == by_webhook.len(), "{} of {} pods came back", offline.len(), by_webhook.len());
    let compared =
        stream::iter(by_webhook.iter().zip(offline)).map(async |((entry, by_webhook), mut pod)| {
            pod["metadata"]["namespace"] = json!(plain.name());
            let wrong = match api::dry_run(plain, &pod).await? {
                Ok(pod) if compared(&pod) == compared(by_webhook) => None,
                Ok(pod) => Some(format!("becomes {pod} and by the webhook {by_webhook}")),
                Err(sentence) => Some(format!("is refused: {sentence}")),
            };
            anyhow::Ok(wrong.map(|wrong| format!("{}, injected offline, {wrong}", entry.title)))
        });
    let compared: Vec<_> = compared.buffered(AT_ONCE).try_collect().await?;
    Ok(compared.into_iter().flatten().collect())
}

/// A pod without what differs between the two: the order in which the service account's volume comes among the others, the
/// pull policy (a value of the chart), and which generation of the profile is in force.
fn compared(pod: &Value) -> Value {
    let mut pod = pod.clone();
    let annotation = &mut pod["metadata"]["annotations"]["bootlace.dev/injected"];
    let mut told: Value =
        serde_json::from_str(annotation.as_str().expect("it is injected")).expect("it is JSON");
    told["generation"].take();
    *annotation = told;
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
            // The webhook's alone: who injects offline has no key.
            env.retain(|variable| variable["name"] != "BOOTLACE_SIGNATURE");
            for variable in env {
                let told =
                    variable["value"].as_str().and_then(|told| serde_json::from_str::<Value>(told).ok());
                if let Some(mut told) = told {
                    told["profile"]["generation"].take();
                    variable["value"] = told;
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

/// `bootlace inject` with what the webhook was installed with.
struct Inject {
    folder: TempDir,
    store: String,
}

impl Inject {
    /// The profile is the cluster's own, and the store the one that boot is told of in a pod.
    async fn as_told(namespace: &Namespace, pod: &Value) -> Result<Self> {
        let boot = pod["spec"]["initContainers"].as_array().into_iter().flatten();
        let mut boot = boot.filter(|container| container["name"] == "bootlace-boot");
        let boot = boot.next().context("there is no boot container")?;
        let told = boot["env"][0]["value"].as_str().context("it is told nothing")?;
        let told: Value = serde_json::from_str(told).context("read what boot is told")?;
        let (url, ca) = (&told["store"]["url"], &told["store"]["ca"]);
        let folder = TempDir::new()?;
        std::fs::write(folder.path().join("ca.pem"), ca.as_str().context("the store has no authority")?)?;
        let request =
            http::Request::get("/apis/bootlace.dev/v1alpha1/bootprofiles/default").body(Vec::new())?;
        let mut profile: Value = namespace.client().request(request).await.context("get the profile")?;
        profile["metadata"] = json!({"name": "default"});
        profile.as_object_mut().context("the profile is an object")?.remove("status");
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
        let mut stdin = inject.stdin.take().context("its input is a pipe")?;
        let write = async move {
            // What it refuses it says; that it does not read the rest is no news.
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
