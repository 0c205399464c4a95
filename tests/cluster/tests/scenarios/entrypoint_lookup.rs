//! Lookup of entrypoints in a registry: the Debian docker-registry on the address of the node, with TLS, a
//! private CA and a pull secret. The node pulls from it, too.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use bootlace_cluster::node::ADDRESS;
use bootlace_cluster::scenario::release::{LABEL, Release, selecting};
use bootlace_cluster::scenario::{Namespace, image_archive, scenario};
use bootlace_test_registry::{Access, Blob, PASSWORD, Registry};
use serde_json::{Value, json};

use crate::env_modes::{MODES, arrived, pod};

/// Pushes an image, and an index with a second image for another architecture, whose entrypoint does not
/// exist on this node.
async fn push(registry: &Registry) -> Result<Blob> {
    let archive = image_archive("entrypoint")?;
    // The digest must differ from that of the image in other scenarios: the kubelet does not let pods without
    // a pull secret use an image that was pulled with one.
    let marked = |config: &mut Value| config["config"]["Labels"] = json!({"from": "the registry"});
    let own = registry.image("etl/entrypoint", "one", &archive, marked).await?;
    let foreign = |config: &mut Value| {
        config["architecture"] = json!("arm64");
        config["config"]["Entrypoint"] = json!(["/not-here"]);
    };
    let other = registry.image("etl/entrypoint", "other", &archive, foreign).await?;
    let images = [other.made_for("linux/arm64"), own.clone().made_for("linux/amd64")];
    let images: Vec<_> = images.iter().map(Blob::descriptor).collect();
    let kind = "application/vnd.oci.image.index.v1+json";
    let index = json!({"schemaVersion": 2, "mediaType": kind, "manifests": images});
    registry.manifest("etl/entrypoint", "both", &index).await?;
    Ok(own)
}

async fn objects(registry: &Registry, home: &Namespace, tasks: &Namespace) -> Result<()> {
    let ca = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "registry-ca"},
        "data": {"ca.crt": registry.ca()},
    });
    home.create(&ca.to_string()).await?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "registry"},
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": registry.pull_secret(PASSWORD)},
    });
    tasks.create(&secret.to_string()).await?;
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "runner"},
        "imagePullSecrets": [{"name": "registry"}],
    });
    tasks.create(&account.to_string()).await.map(drop)
}

/// A task `name` without a command, with the entrypoint of `image`.
fn task(tasks: &Namespace, mode: &str, name: &str, image: &str) -> Value {
    let mut task = pod(tasks, mode, image);
    task["metadata"]["name"] = json!(name);
    task["spec"]["imagePullSecrets"] = json!([{"name": "registry"}]);
    let container = task["spec"]["containers"][0].as_object_mut().unwrap();
    container.remove("command");
    task
}

fn injected_annotation(object: &kube::api::DynamicObject) -> Result<Value> {
    let annotations = object.metadata.annotations.as_ref().context("the pod has no annotations")?;
    Ok(serde_json::from_str(&annotations["bootlace.dev/injected"])?)
}

#[tokio::test]
async fn a_task_of_a_private_registry_is_launched_without_its_command_in_the_spec() -> Result<()> {
    let home = scenario("lookup-home").label(LABEL, "home");
    let tasks = scenario("lookup").label(LABEL, "tasks");
    home.run(async |home| tasks.run(async |tasks| looked_up(home, tasks).await).await).await
}

async fn looked_up(home: &Namespace, tasks: &Namespace) -> Result<()> {
    let address: IpAddr = ADDRESS.parse().context("the address of the node is invalid")?;
    let registry = Registry::start(address, Access::Password)?;
    let digest = push(&registry).await?;
    objects(&registry, home, tasks).await?;
    let values = json!({
        "webhook": selecting(&[tasks.name()]),
        "store": {"enabled": true, "replicas": 1},
        "entrypoints": {
            "enabled": true, "registries": [registry.host()], "ca": {"configMap": "registry-ca"},
            "pullSecrets": [{"namespace": tasks.name(), "names": ["registry"]}],
        },
    });
    let release = Release::install(home, tasks, &values.to_string()).await?;
    let env = json!({"env": {"file": {"keys": ["GIVEN"]}}, "sources": [
        {"name": "settings", "inline": {"env": {"GIVEN": crate::env_modes::VALUE}}},
    ]});
    tasks.profile(&env.to_string()).await?;
    let image = |version: &str| format!("{}/etl/entrypoint{version}", registry.host());

    // By tag, by digest with the pull secret of the service account, and from an index: the launcher starts
    // the task.
    let by_digest = image(&format!("@{}", digest.digest()));
    for (name, image) in [("one", image(":one")), ("both", image(":both")), ("digest", by_digest)] {
        let mut task = task(tasks, "Auto", name, &image);
        if name == "digest" {
            task["spec"].as_object_mut().unwrap().remove("imagePullSecrets");
            task["spec"]["serviceAccountName"] = json!("runner");
        }
        let created = tasks.create(&task.to_string()).await.with_context(|| name.to_owned())?;
        ensure!(created[0].warnings.is_empty(), "{name}: {:?}", created[0].warnings);
        let injected = injected_annotation(&created[0].object)?;
        let looked_up = injected["reason"].as_str().is_some_and(|reason| reason.contains("registry"));
        ensure!(injected["envMode"] == "launch" && looked_up, "{name}: {injected}");
    }
    for name in ["one", "both", "digest"] {
        tasks.pod_succeeded(name).await?;
        let process = tasks.process(name, "main").await?;
        arrived("Launch", &process).with_context(|| name.to_owned())?;
        assert_eq!(process.argv.first().map(Vec::as_slice), Some(&b"/probe"[..]));
    }

    // An image for two platforms, in each mode.
    for mode in MODES {
        let task = task(tasks, mode, &mode.to_lowercase(), &image(":both"));
        tasks.create(&task.to_string()).await.with_context(|| format!("with {mode}"))?;
    }
    for mode in MODES {
        let name = mode.to_lowercase();
        tasks.pod_succeeded(&name).await.with_context(|| format!("with {mode}"))?;
        arrived(mode, &tasks.process(&name, "main").await?).with_context(|| format!("with {mode}"))?;
    }

    // If the lookup fails, the mode is Secret and a warning contains the reason. With Launch, the pod is
    // refused.
    let mut secretless = task(tasks, "Auto", "secretless", &image(":one"));
    secretless["spec"].as_object_mut().unwrap().remove("imagePullSecrets");
    let created = tasks.dry_run(&secretless.to_string()).await?;
    let warning = created[0].warnings.first().context("there is no warning")?;
    ensure!(warning.contains("401 Unauthorized") && warning.contains("Secret"), "{warning}");
    let injected = injected_annotation(&created[0].object)?;
    let reason = injected["reason"].as_str().context("the annotation has no reason")?;
    ensure!(injected["envMode"] == "secret" && reason.contains("https://"), "{injected}");
    secretless["metadata"]["annotations"]["bootlace.dev/env-mode"] = json!("Launch");
    let error = format!("{:#}", tasks.dry_run(&secretless.to_string()).await.unwrap_err());
    ensure!(error.contains("401 Unauthorized") && error.contains("[BL1301]"), "{error}");
    ensure!(!error.contains(PASSWORD), "{error}");
    release.uninstall().await
}
