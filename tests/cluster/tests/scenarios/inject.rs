//! `bootlace inject`: its output runs in namespaces that no webhook selects.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use bootlace_cluster::command::{command, output};
use bootlace_cluster::images::{BUSYBOX, PROBE, PRODUCT, root};
use bootlace_cluster::scenario::release::LABEL;
use bootlace_cluster::scenario::{Namespace, Scenario, bootlace, scenario};
use kube::ResourceExt;
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt as _;

/// A namespace that no release selects.
fn offline(name: &'static str) -> Scenario {
    scenario(name).label(LABEL, "nobody")
}

fn example(name: &str) -> Result<String> {
    let file = root().join("examples").join(name);
    std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))
}

/// Injects manifests with the profiles in a YAML text.
async fn inject(manifests: &str, profiles: &str) -> Result<String> {
    let file = NamedTempFile::with_suffix(".yaml")?;
    std::fs::write(file.path(), profiles)?;
    let mut inject = command(bootlace()?);
    inject.args(["inject", "--boot-image", PRODUCT, "--profiles"]).arg(file.path());
    let mut inject = inject.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut stdin = inject.stdin.take().context("stdin is not a pipe")?;
    stdin.write_all(manifests.as_bytes()).await?;
    drop(stdin);
    let output = inject.wait_with_output().await?;
    ensure!(output.status.success(), "bootlace inject: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

#[tokio::test]
async fn the_examples_run_as_they_are_injected_offline() -> Result<()> {
    offline("inject-examples")
        .label("pod-security.kubernetes.io/enforce", "restricted")
        .run(async |namespace| {
            let adapt = |text: String| {
                let text = text.replace("namespace: etl", &format!("namespace: {}", namespace.name()));
                text.replace("busybox:1.37", BUSYBOX)
            };
            namespace.create(&adapt(example("sources.yaml")?)).await?;
            let job = inject(&adapt(example("job.yaml")?), &example("bootprofile.yaml")?).await?;
            namespace.create(&job).await?;
            let pods = namespace.job_completed("daily-report").await?;
            let log = namespace.log(&pods[0].name_any(), "report").await?;
            let expected = "report on analytics, last 7 days, as report\n\
                            select day, sum(amount) from sales group by day;\n\
                            name,owner\nsales,finance\n";
            assert_eq!(log, expected);
            Ok(())
        })
        .await
}

const PROFILE: &str = "
apiVersion: bootlace.dev/v1alpha1
kind: BootProfile
metadata: { name: default }
spec: { sources: [{ name: settings, inline: { env: { REGION: eu-west-1 } } }] }
";

#[tokio::test]
async fn a_deployment_and_a_cron_job_are_injected_in_their_templates() -> Result<()> {
    offline("inject-templates")
        .run(async |namespace| {
            let manifests = format!(
                "
kind: Deployment
apiVersion: apps/v1
metadata: {{ name: worker }}
spec:
  selector: {{ matchLabels: {{ app: worker }} }}
  template:
    metadata: {{ labels: {{ app: worker, bootlace.dev/task: 'true' }} }}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{{ name: main, image: '{BUSYBOX}', command: [sleep, '1000'] }}]
---
kind: ConfigMap
apiVersion: v1
metadata: {{ name: untouched }}
data: {{ key: value }}
---
kind: CronJob
apiVersion: batch/v1
metadata: {{ name: nightly }}
spec:
  schedule: 0 0 1 1 *
  suspend: true
  jobTemplate:
    spec:
      template:
        metadata: {{ labels: {{ bootlace.dev/task: 'true' }} }}
        spec:
          restartPolicy: Never
          containers: [{{ name: main, image: '{PROBE}', command: [/probe, environ] }}]
"
            );
            namespace.create(&inject(&manifests, PROFILE).await?).await?;
            let mut kubectl = command("kubectl");
            kubectl.args([
                "--namespace",
                namespace.name(),
                "create",
                "job",
                "once",
                "--from=cronjob/nightly",
            ]);
            output(&mut kubectl).await?;
            let mut kubectl = command("kubectl");
            kubectl.args([
                "--namespace",
                namespace.name(),
                "rollout",
                "status",
                "deployment/worker",
                "--timeout",
                "90s",
            ]);
            output(&mut kubectl).await?;

            let workers = namespace.pods("app=worker").await?;
            let environ = namespace.exec(&workers[0].name_any(), "main", &["cat", "/proc/1/environ"]).await?;
            assert!(
                environ.stdout.split(|byte| *byte == 0).any(|record| record == b"REGION=eu-west-1"),
                "{environ:?}"
            );

            let pods = namespace.job_completed("once").await?;
            let process = namespace.process(&pods[0].name_any(), "main").await?;
            assert_eq!(process.env("REGION"), Some(&b"eu-west-1"[..]));
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_pod_that_was_injected_offline_is_signed_and_else_left_as_it_is() -> Result<()> {
    let selected = scenario("inject-twice");
    let offline = offline("inject-once");
    selected
        .run(async |selected| offline.run(async |offline| injected_twice(selected, offline).await).await)
        .await
}

async fn injected_twice(selected: &Namespace, offline: &Namespace) -> Result<()> {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "task", "labels": {"bootlace.dev/task": "true"}},
        "spec": {
            // The volume of the token has a random name.
            "restartPolicy": "Never", "automountServiceAccountToken": false,
            "containers": [{"name": "main", "image": PROBE, "command": ["/probe", "environ"]}],
        },
    });
    let injected = inject(&pod.to_string(), PROFILE).await?;
    let stored = async |namespace: &Namespace| -> Result<Value> {
        let mut object = serde_json::to_value(&namespace.create(&injected).await?[0].object)?;
        let metadata = object["metadata"].as_object_mut().context("the pod has no metadata")?;
        for field in ["namespace", "uid", "creationTimestamp", "managedFields", "resourceVersion"] {
            metadata.remove(field);
        }
        // The webhook adds only the signature.
        for container in object["spec"]["initContainers"].as_array_mut().into_iter().flatten() {
            if let Some(env) = container["env"].as_array_mut() {
                env.retain(|variable| variable["name"] != "BOOTLACE_SIGNATURE");
            }
        }
        Ok(object)
    };
    assert_eq!(stored(selected).await?, stored(offline).await?);
    selected.pod_succeeded("task").await?;
    assert_eq!(selected.process("task", "main").await?.env("REGION"), Some(&b"eu-west-1"[..]));
    Ok(())
}
