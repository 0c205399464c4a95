//! How the kubelet and the runtime handle nested mounts. Bootlace refuses pods that they could not start.

use anyhow::Result;
use bootlace_cluster::images::{BUSYBOX, PROBE};
use bootlace_cluster::scenario::{scenario, state};
use serde_json::{Value, json};

fn pod(name: &str, label: Option<&str>, mounts: &Value, volumes: &Value) -> Value {
    let labels = label.map(|label| json!({"bootlace.dev/task": label}));
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels},
        "spec": {
            "restartPolicy": "Never", "volumes": volumes,
            "containers": [{
                "name": "main", "image": PROBE, "command": ["/probe", "file=/opt/dags/assets/a.sql"],
                "volumeMounts": mounts,
            }],
        },
    })
}

#[tokio::test]
async fn a_mount_point_is_made_on_what_can_be_written_and_on_nothing_else() -> Result<()> {
    scenario("mounts")
        .run(async |namespace| {
            // Without Bootlace: a mount below a read-only mount.
            let empty = json!([{"name": "above", "emptyDir": {}}, {"name": "below", "emptyDir": {}}]);
            let mounts = json!([
                {"name": "above", "mountPath": "/var/assets", "readOnly": true},
                {"name": "below", "mountPath": "/var/assets/cache"},
            ]);
            let mut message = pod("message", None, &json!([mounts[0]]), &empty);
            message["spec"]["containers"][0]["terminationMessagePath"] = json!("/var/assets/end");
            let plain = pod("plain", None, &mounts, &empty);
            for pod in [&plain, &message] {
                namespace.create(&pod.to_string()).await?;
            }
            for name in ["plain", "message"] {
                let pod = namespace.container_ended(name, "main").await?;
                let message = state::message(&pod, "main")?;
                assert!(message.contains("read-only file system"), "{name}: {message}");
            }

            // With Bootlace: a mount of Bootlace below a writable mount of the pod.
            namespace
                .profile("{assets: {mountPath: /opt/dags/assets}, sources: [{name: s, inline: {files: {a.sql: select 1}}}]}")
                .await?;
            let above = json!([{"name": "above", "mountPath": "/opt/dags"}]);
            namespace.create(&pod("task", Some(namespace.name()), &above, &empty).to_string()).await?;
            namespace.pod_succeeded("task").await?;
            let process = namespace.process("task", "main").await?;
            assert_eq!(process.file("/opt/dags/assets/a.sql")?, b"select 1");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_folder_of_the_pods_in_the_one_that_optimus_has_to_write_to_is_made() -> Result<()> {
    scenario("mounts-optimus")
        .run(async |namespace| {
            namespace
                .profile(
                    "{assets: {layout: Optimus}, sources: [{name: s, inline: {files: {a.sql: select 1}}}]}",
                )
                .await?;
            let mut pod = pod(
                "task",
                Some(namespace.name()),
                &json!([{"name": "out", "mountPath": "/data/out"}]),
                &json!([{"name": "out", "emptyDir": {}}]),
            );
            pod["spec"]["containers"][0]["image"] = json!(BUSYBOX);
            pod["spec"]["containers"][0]["command"] =
                json!(["sh", "-c", "cp /data/in/a.sql /data/out/ && cat /data/out/a.sql"]);
            namespace.create(&pod.to_string()).await?;
            namespace.pod_succeeded("task").await?;
            assert_eq!(namespace.log("task", "main").await?, "select 1");
            Ok(())
        })
        .await
}
