//! The pods in `tests/pods`, which real clients created or which were written according to their source code,
//! boot on the cluster with the identity in `expected.yaml`. For the schedulers whose clients cannot run
//! here, this is the only test on a cluster.
//!
//! The programs of the schedulers are not in the images of the tests. A shell script replaces them, with the
//! original command as its arguments.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use bootlace_cluster::images::{KIT, root};
use bootlace_cluster::scenario::{Namespace, Scenario, scenario};
use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The number of pods that run at the same time, so that none of them waits for long.
const CONCURRENCY: usize = 6;
/// What a task container runs.
const TASK: &str = "cat /bootlace/task.json; echo; echo \"for $GREETING\"; cat /var/assets/query.sql";
/// The volume that the API server adds to each pod.
const TOKEN_VOLUME: &str = "kube-api-access-";

/// An entry of `expected.yaml`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Expected {
    opt_in: bool,
    identity: Map<String, Value>,
    containers: Vec<String>,
}

fn expected() -> Result<BTreeMap<String, Expected>> {
    let text = std::fs::read_to_string(root().join("tests/pods/expected.yaml"))?;
    serde_saphyr::from_str(&text).context("read expected.yaml")
}

fn pod(file: &str) -> Result<Value> {
    let path = root().join("tests/pods").join(Path::new(file));
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("parse {}", path.display()))
}

fn opted_in(name: &'static str) -> Scenario {
    scenario(name).label("bootlace.dev/schedulers", "enabled")
}

#[tokio::test]
async fn each_pod_of_a_known_scheduler_boots_with_its_identity() -> Result<()> {
    // Two files can contain the same name, which is part of the identity. Each name is used once per
    // namespace.
    let mut groups: Vec<BTreeMap<String, (String, Expected)>> = Vec::new();
    for (file, expected) in expected()? {
        let name = pod(&file)?["metadata"]["name"].as_str().context("the pod has no name")?.to_owned();
        let free = groups.iter_mut().find(|group| !group.contains_key(&name));
        match free {
            Some(group) => drop(group.insert(name, (file, expected))),
            None => groups.push([(name, (file, expected))].into()),
        }
    }
    for group in groups {
        let boot_all = async |namespace: &Namespace| {
            let boots = group.values().map(|(file, expected)| async move {
                boot(namespace, file, expected).await.with_context(|| file.clone()).err()
            });
            let problems: Vec<_> = stream::iter(boots)
                .buffer_unordered(CONCURRENCY)
                .filter_map(async |problem| problem)
                .collect()
                .await;
            let problems: Vec<_> = problems.iter().map(|problem| format!("{problem:#}")).collect();
            ensure!(problems.is_empty(), "{}", problems.join("\n"));
            Ok(())
        };
        opted_in("scheduler-pods").run(boot_all).await?;
    }
    Ok(())
}

async fn boot(namespace: &Namespace, file: &str, expected: &Expected) -> Result<()> {
    let mut original = pod(file)?;
    // The namespace only has the default one.
    for field in ["serviceAccount", "serviceAccountName"] {
        original["spec"].as_object_mut().context("the pod has no spec")?.remove(field);
    }
    original["metadata"].as_object_mut().context("the pod has no metadata")?.remove("namespace");
    let created = namespace.dry_run(&original.to_string()).await?;
    let injected = created.iter().all(|pod| pod.object.annotations().contains_key("bootlace.dev/injected"));
    ensure!(injected == expected.opt_in, "injected: {injected}, expected: {}", expected.opt_in);
    let name = run(namespace, &original, &expected.containers, TASK).await?;
    namespace.pod_succeeded(&name).await?;
    for container in &expected.containers {
        let log = namespace.log(&name, container).await?;
        ensure!(log.contains("\nfor the analytics team\nselect day, "), "container {container}:\n{log}");
        let task = log.lines().next().unwrap_or_default();
        let task: Map<String, Value> =
            serde_json::from_str(task).with_context(|| format!("parse the task.json in {log:?}"))?;
        for field in ["scheduler", "workflow", "run", "task", "attempt", "mapIndex", "scheduledTime"] {
            let (found, expected) = (task["task"].get(field), expected.identity.get(field));
            ensure!(found == expected, "{field} is {found:?}, expected: {expected:?}");
        }
    }
    Ok(())
}

/// Creates the pod, whose containers in `tasks` run `script` instead of their program, and returns its name.
async fn run(namespace: &Namespace, original: &Value, tasks: &[String], script: &str) -> Result<String> {
    let pod = runnable(original, tasks, script)?;
    // Objects that own the pod do not exist on this cluster, so Kubernetes would delete it. They are part of
    // the identity. The webhook therefore injects the pod with its owners, and the pod is then created
    // without them.
    let created = namespace.dry_run(&pod.to_string()).await?;
    let created = created.into_iter().next().context("no pod was created")?.object;
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": created.name_any(), "labels": created.labels(), "annotations": created.annotations(),
        },
        "spec": created.data["spec"],
    });
    // The API server adds its volume again, with another name.
    remove_token_volume(&mut pod["spec"]);
    namespace.create(&pod.to_string()).await?;
    Ok(created.name_any())
}

/// The pod with images and volumes that the cluster has.
fn runnable(original: &Value, tasks: &[String], script: &str) -> Result<Value> {
    let mut spec = original["spec"].clone();
    for field in [
        "affinity",
        "imagePullSecrets",
        "nodeName",
        "nodeSelector",
        "priorityClassName",
        "schedulerName",
        "schedulingGates",
        "serviceAccount",
        "serviceAccountName",
        "tolerations",
    ] {
        spec.as_object_mut().context("the pod has no spec")?.remove(field);
    }
    spec["restartPolicy"] = json!("Never");
    // The image of the tests has no user.
    if spec["securityContext"]["runAsNonRoot"] == json!(true) {
        spec["securityContext"]["runAsUser"] = json!(65532);
    }
    let volumes: Vec<Value> = spec["volumes"].as_array().into_iter().flatten().cloned().collect();
    let (kept, _): (Vec<Value>, Vec<Value>) =
        volumes.into_iter().partition(|volume| volume.get("emptyDir").is_some());
    for list in ["containers", "initContainers"] {
        let Some(containers) = spec.get_mut(list).and_then(Value::as_array_mut) else { continue };
        for container in containers {
            let is_task = tasks.iter().any(|task| container["name"] == json!(task));
            let script = match container["restartPolicy"].as_str() {
                Some("Always") => "trap 'exit 0' TERM; while :; do sleep 0.1; done",
                _ if is_task => script,
                _ => "true",
            };
            replace_program(container, &kept, script)?;
        }
    }
    spec["volumes"] = json!(kept);
    let mut metadata = json!({"name": original["metadata"]["name"]});
    for field in ["labels", "annotations", "ownerReferences"] {
        if let Some(value) = original["metadata"].get(field) {
            metadata[field] = value.clone();
        }
    }
    // For pods that are only tasks with the pod label.
    metadata["labels"]["bootlace.dev/task"] = json!("true");
    for (number, owner) in metadata["ownerReferences"].as_array_mut().into_iter().flatten().enumerate() {
        // The API server requires a UID, which the pods that were written according to source code lack.
        if owner.get("uid").is_none() {
            owner["uid"] = json!(format!("00000000-0000-4000-8000-{number:012}"));
        }
    }
    Ok(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}))
}

/// Replaces the program of a container by a shell script with the same arguments.
fn replace_program(container: &mut Value, volumes: &[Value], script: &str) -> Result<()> {
    let mut arguments = vec![json!("task")];
    for field in ["command", "args"] {
        arguments.extend(container[field].as_array().into_iter().flatten().cloned());
    }
    let has_volume = |mount: &Value| volumes.iter().any(|volume| volume["name"] == mount["name"]);
    let mounts: Vec<_> = container["volumeMounts"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|mount| has_volume(mount))
        .cloned()
        .collect();
    let env: Vec<_> = container["env"]
        .as_array()
        .into_iter()
        .flatten()
        // Secrets and ConfigMaps of the scheduler do not exist.
        .filter(|env| {
            ["secretKeyRef", "configMapKeyRef"].iter().all(|key| env["valueFrom"].get(key).is_none())
        })
        .cloned()
        .collect();
    let fields = container.as_object_mut().context("the container is not an object")?;
    fields.retain(|field, _| ["name", "restartPolicy"].contains(&field.as_str()));
    container["image"] = json!(KIT);
    container["command"] = json!(["sh", "-c", script]);
    container["args"] = json!(arguments);
    container["volumeMounts"] = json!(mounts);
    container["env"] = json!(env);
    Ok(())
}

fn remove_token_volume(spec: &mut Value) {
    let keep = |value: &Value| !value["name"].as_str().unwrap_or_default().starts_with(TOKEN_VOLUME);
    if let Some(volumes) = spec["volumes"].as_array_mut() {
        volumes.retain(keep);
    }
    for list in ["containers", "initContainers"] {
        for container in spec[list].as_array_mut().into_iter().flatten() {
            if let Some(mounts) = container["volumeMounts"].as_array_mut() {
                mounts.retain(keep);
            }
        }
    }
}

/// GitLab Runner starts the scripts of a job with exec and attach, which do not inherit the env of the
/// launcher.
#[tokio::test]
async fn a_process_that_gitlab_runner_starts_with_exec_has_the_boot_env() -> Result<()> {
    opted_in("scheduler-exec")
        .run(async |namespace| {
            let file = "by-source/gitlab-runner-attach.json";
            let expected = expected()?.remove(file).context("the pod is not in expected.yaml")?;
            let waits = "touch /tmp/started; until [ -e /tmp/done ]; do sleep 0.1; done";
            let name = run(namespace, &pod(file)?, &expected.containers, waits).await?;
            let [task] = &expected.containers[..] else { anyhow::bail!("{:?}", expected.containers) };
            let started = |pod: &Pod| {
                let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
                statuses
                    .into_iter()
                    .flatten()
                    .any(|status| &status.name == task && status.started == Some(true))
            };
            namespace.pod(&name, "started", started).await?;
            let output = namespace.exec(&name, task, &["sh", "-c", "echo for $GREETING"]).await?;
            assert_eq!(String::from_utf8_lossy(&output.stdout), "for the analytics team\n");
            let output = namespace.exec(&name, task, &["touch", "/tmp/done"]).await?;
            ensure!(output.succeeded, "{}", output.stderr);
            namespace.pod_succeeded(&name).await.map(drop)
        })
        .await
}
