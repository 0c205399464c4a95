//! Pods with pod-level resources (`spec.resources`): the kernel applies the limits to the cgroup of the pod,
//! and the files of boot in memory count.

use anyhow::{Context as _, Result};
use bootlace_cluster::images::BUSYBOX;
use bootlace_cluster::scenario::{Namespace, scenario, servers, state};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::{Value, json};

const MIB: u64 = 1 << 20;
/// The size of the files that boot fetches.
const FETCHED: u64 = 32 * MIB;
/// The memory limit of the pods.
const LIMIT: u64 = 96 * MIB;

/// A task that uses `bytes` of memory for a moment, and then waits for a file.
fn task(name: &str, profile: Option<&str>, bytes: u64) -> Value {
    // tail keeps the last line in memory, and the input is a single line.
    let script = format!(
        "head -c {bytes} /dev/zero | tail > /dev/null || exit $?; touch /tmp/used; \
         until [ -e /tmp/end ]; do sleep 0.1; done"
    );
    let labels = profile.map_or(json!({}), |profile| json!({"bootlace.dev/task": profile}));
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels},
        "spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
            "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"cpu": "500m", "memory": "96Mi"}},
            "containers": [{
                "name": "main", "image": BUSYBOX, "command": ["sh", "-c", script],
                "readinessProbe": {"exec": {"command": ["test", "-e", "/tmp/used"]}, "periodSeconds": 1},
            }],
        },
    })
}

/// Starts a pod that can read the cgroups of the node.
async fn watcher(namespace: &Namespace) -> Result<()> {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "watcher"},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{
                "name": "main", "image": BUSYBOX, "command": ["sleep", "1000"],
                "volumeMounts": [{"name": "cgroups", "mountPath": "/cgroups", "readOnly": true}],
            }],
            "volumes": [{"name": "cgroups", "hostPath": {"path": "/sys/fs/cgroup"}}],
        },
    });
    namespace.create(&pod.to_string()).await?;
    namespace.pod_ready("watcher").await.map(drop)
}

/// A value of the cgroup of the pod, by its file name in cgroup v2 and in v1.
async fn figure(namespace: &Namespace, pod: &Pod, v2: &str, v1: &str) -> Result<u64> {
    let uid = pod.uid().context("the pod has no UID")?;
    // With the systemd driver, the UID has underscores.
    let script = format!(
        "find /cgroups -type d \\( -name '*pod{uid}*' -o -name '*pod{}*' \\) -prune 2>/dev/null | \
         while read folder; do cat \"$folder/{v2}\" \"$folder/{v1}\" 2>/dev/null; done",
        uid.replace('-', "_")
    );
    let output = namespace.exec("watcher", "main", &["sh", "-c", &script]).await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.trim().parse().with_context(|| format!("{v2} of pod {} is {text:?}", pod.name_any()))
}

#[tokio::test]
async fn the_kernel_enforces_the_pod_level_resources_of_an_injected_pod() -> Result<()> {
    scenario("pod-level")
        .run(async |namespace| {
            let make = "mkdir /www && dd if=/dev/zero of=/www/model.bin bs=1M count=32 && exec httpd -f -p 8080 -h /www";
            servers::web_container(namespace, &json!({"image": BUSYBOX, "command": ["sh", "-c", make]}), &json!([])).await?;
            let profile = "{sources: [{name: model, http: {url: 'http://web', path: model.bin, file: model.bin}}]}";
            namespace.profile(profile).await?;
            watcher(namespace).await?;

            // 32 MiB of boot and 40 MiB of the task.
            namespace.create(&task("fits", Some(namespace.name()), 40 * MIB).to_string()).await?;
            let pod = namespace.pod_ready("fits").await?;
            let limit = figure(namespace, &pod, "memory.max", "memory.limit_in_bytes").await?;
            assert_eq!(limit, LIMIT);
            let used = figure(namespace, &pod, "memory.current", "memory.usage_in_bytes").await?;
            assert!((FETCHED..LIMIT).contains(&used), "{used} does not include the files of boot");
            namespace.exec("fits", "main", &["touch", "/tmp/end"]).await?;
            namespace.pod_succeeded("fits").await?;

            // 80 MiB are within the limit of 96 MiB, but not with the 32 MiB of boot.
            namespace.create(&task("alone", None, 80 * MIB).to_string()).await?;
            namespace.pod_ready("alone").await?;
            namespace.create(&task("exceeds", Some(namespace.name()), 80 * MIB).to_string()).await?;
            let pod = namespace.container_ended("exceeds", "main").await?;
            assert_eq!(state::ended(&pod, "main")?.exit_code, 137);
            assert_eq!(state::ended(&pod, "bootlace-boot")?.exit_code, 0);
            namespace.exec("alone", "main", &["touch", "/tmp/end"]).await?;
            namespace.pod_succeeded("alone").await.map(drop)
        })
        .await
}
