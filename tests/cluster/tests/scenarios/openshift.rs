//! Task pods with the values of the chart for OpenShift. They must not set a user, because the restricted SCC
//! admits only users in the range of the namespace. The SCC cannot run on this cluster.

use anyhow::{Context, Result};
use bootlace_cluster::command::{command, output};
use bootlace_cluster::images;
use bootlace_cluster::scenario::bootlace;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

/// The webhook flags for injected containers that the chart sets with these values.
async fn boot_flags(values: &str, more: &[&str]) -> Result<Vec<String>> {
    let chart = images::root().join("charts/bootlace");
    let mut helm = command("helm");
    helm.args(["template", "bootlace"])
        .arg(&chart)
        .arg("--values")
        .arg(chart.join("ci").join(values))
        .args(more);
    let rendered: Vec<Value> = serde_saphyr::from_multiple(&output(&mut helm).await?)?;
    let webhook = rendered
        .iter()
        .find(|object| object["kind"] == "Deployment" && object["metadata"]["name"] == "bootlace")
        .context("the chart renders no Deployment of the webhook")?;
    let args = webhook["spec"]["template"]["spec"]["containers"][0]["args"].as_array();
    let args = args.context("the webhook has no arguments")?.iter().filter_map(Value::as_str);
    // Not the flags for the store: they only affect pods with outputs, and `inject` reads the CA from a file.
    Ok(args.filter(|arg| arg.starts_with("--boot-")).map(str::to_owned).collect())
}

/// A task pod, injected by `bootlace inject` with these flags.
async fn injected(flags: &[String]) -> Result<Value> {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "task", "labels": {"bootlace.dev/task": "true"}},
        "spec": {
            "imagePullSecrets": [{"name": "own"}],
            "containers": [{"name": "main", "image": images::PROBE, "command": ["/probe", "environ"]}],
        },
    });
    let file = NamedTempFile::with_suffix(".yaml")?;
    std::fs::write(file.path(), pod.to_string())?;
    let written = output(command(bootlace()?).arg("inject").args(flags).arg(file.path())).await?;
    serde_saphyr::from_str(&written).context("read the injected pod")
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers"]
        .into_iter()
        .filter_map(move |list| pod["spec"][list].as_array())
        .flatten()
}

#[tokio::test]
async fn nothing_in_a_task_pod_names_a_user() -> Result<()> {
    let pod = injected(&boot_flags("openshift.yaml", &[]).await?).await?;
    assert!(containers(&pod).any(|container| container["name"] == "bootlace-boot"), "{pod}");
    for container in containers(&pod) {
        let context = &container["securityContext"];
        assert_eq!(
            (&context["runAsUser"], &context["runAsGroup"]),
            (&Value::Null, &Value::Null),
            "{container}"
        );
    }
    // With the default values, injected containers run as the user of the image.
    let pod = injected(&boot_flags("default.yaml", &[]).await?).await?;
    let boot = containers(&pod)
        .find(|container| container["name"] == "bootlace-boot")
        .context("the pod has no boot container")?;
    assert_eq!(boot["securityContext"]["runAsUser"], 65532);
    Ok(())
}

#[tokio::test]
async fn a_task_pod_gets_the_pull_secrets_of_the_values() -> Result<()> {
    let more = [
        "--set",
        "boot.imagePullSecrets[0].name=registry-login",
        "--set",
        "boot.imagePullSecrets[1].name=own",
    ];
    let pod = injected(&boot_flags("default.yaml", &more).await?).await?;
    assert_eq!(pod["spec"]["imagePullSecrets"], json!([{"name": "own"}, {"name": "registry-login"}]));
    Ok(())
}
