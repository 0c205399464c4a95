//! Tasks that declare an output and create something else in its place. The tests of the launcher and the
//! sidecar cover all kinds of files and the messages. These scenarios check that the pod ends, that nothing
//! is stored, and that there is an Event.

use anyhow::Result;
use bootlace_cluster::images::BUSYBOX;
use bootlace_cluster::scenario::{LIMIT, Namespace, scenario, state};
use bootlace_cluster::wait::until_async;
use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;
use serde_json::{Value, json};

use super::pipes;

/// A name, the declared file, the command that creates it in its folder, and a part of the message.
type Attack = (&'static str, &'static str, &'static str, &'static str);

/// Files that the launcher of the task reads.
const LAUNCHED: [Attack; 7] = [
    ("fifo", "out", "mkfifo out", "named pipe"),
    ("device", "out", "mknod out c 1 5", "device"),
    ("environ", "out", "ln -s /proc/1/environ out", "kernel"),
    ("dangling", "out", "ln -s /no/where out", "link"),
    ("sparse", "out", "truncate -s 2G out", "2147483648 bytes"),
    ("many", "many/*", "mkdir many; cd many; seq 10000 | xargs touch", "100 files"),
    ("folder", "out", "mkdir out", "directory"),
];

/// Files that the sidecar reads on a volume that it shares with a task whose command is unknown.
const SHARED: [Attack; 7] = [
    ("passwd", "passwd", "ln -s /etc/passwd passwd", "links"),
    ("token", "token", "ln -s /var/run/secrets/bootlace/token token", "links"),
    ("beside", "beside/out", "mkdir real; echo x > real/out; ln -s real beside", "links"),
    ("fifo", "fifo", "mkfifo fifo", "regular file"),
    ("device", "device", "mknod device c 1 5", "regular file"),
    ("sparse", "sparse", "truncate -s 2G sparse", "1048576 bytes"),
    ("many", "many/*", "mkdir many; (cd many; seq 10000 | xargs touch)", "100 files"),
];

fn pod(name: &str, outputs: &[Value], spec: &Value) -> Value {
    let containers: Vec<_> =
        spec["containers"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"bootlace.dev/task": "true"}, "annotations": {
            "bootlace.dev/pipe-out": json!(outputs).to_string(),
            "bootlace.dev/run": "r1", "bootlace.dev/containers": containers.join(","),
        }},
        "spec": spec,
    })
}

#[tokio::test]
async fn a_task_without_a_regular_output_file_fails() -> Result<()> {
    scenario("pipes-attacks")
        .run(async |namespace| {
            let outputs = LAUNCHED.map(|(name, file, ..)| {
                json!({"key": name, "container": name, "kind": "Secret", "file": format!("/work/{file}")})
            });
            let containers = LAUNCHED.map(|(name, _, script, _)| {
                json!({"name": name, "image": BUSYBOX, "command": ["sh", "-c", format!("mkdir /work; cd /work; {script}")]})
            });
            let spec = json!({"restartPolicy": "Never", "containers": containers});
            namespace.create(&pod("tasks", &outputs, &spec).to_string()).await?;
            let pod = namespace.pod_failed("tasks").await?;
            for (name, .., part) in LAUNCHED {
                let message = state::message(&pod, name)?;
                assert_eq!(state::ended(&pod, name)?.exit_code, 74, "{name}: {message}");
                assert!(message.contains(&format!("output \"{name}\": ")) && message.contains(part), "{message}");
            }
            assert_eq!(state::ended(&pod, "bootlace-pipe")?.exit_code, 0);
            check_events(namespace, &LAUNCHED).await
        })
        .await
}

#[tokio::test]
async fn what_no_task_of_the_pod_wrote_is_not_read_from_a_shared_volume() -> Result<()> {
    scenario("pipes-attacks-shared")
        .run(async |namespace| {
            let outputs = SHARED.map(
                |(name, file, ..)| json!({"key": name, "kind": "Secret", "file": format!("/work/{file}")}),
            );
            let script = SHARED.map(|(_, _, script, _)| script).join("\n");
            let spec = json!({
                "restartPolicy": "Never",
                "containers": [{
                    "name": "main", "image": BUSYBOX, "args": ["sh", "-c", format!("cd /work; {script}")],
                    "volumeMounts": [{"name": "work", "mountPath": "/work"}],
                }],
                "volumes": [{"name": "work", "emptyDir": {}}],
            });
            let created = namespace.create(&pod("task", &outputs, &spec).to_string()).await?;
            assert_eq!(created[0].warnings.len(), SHARED.len() + 1, "{:?}", created[0].warnings);
            // Such a task does not wait until its outputs are stored.
            let pod = namespace.pod_succeeded("task").await?;
            assert_eq!(state::ended(&pod, "bootlace-pipe")?.exit_code, 0);
            check_events(namespace, &SHARED).await
        })
        .await
}

/// Checks that there is an Event for each attack, and that nothing is stored.
async fn check_events(namespace: &Namespace, attacks: &[Attack]) -> Result<()> {
    for (name, .., part) in attacks {
        until_async(LIMIT, "an output that is not stored has no Event", async || {
            let events = namespace.api::<Event>().list(&ListParams::default().fields("type=Warning")).await?;
            let notes: Vec<_> = events.items.into_iter().filter_map(|event| event.message).collect();
            // The launcher or, for a shared volume, the sidecar writes the message.
            let outputs = [format!("output \"{name}\": "), format!("output {name}: ")];
            let is_expected =
                |note: &String| outputs.iter().any(|output| note.contains(output)) && note.contains(part);
            anyhow::ensure!(notes.iter().any(is_expected), "{name}: {part:?} is not in {notes:#?}");
            Ok(())
        })
        .await?;
    }
    assert!(pipes(namespace).await?.is_empty());
    Ok(())
}
