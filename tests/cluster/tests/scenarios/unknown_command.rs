//! A container whose command is its image's own: Bootlace has nothing to put the launcher in front of.

use anyhow::Result;
use bootlace_cluster::images::PROBE;
use bootlace_cluster::scenario::{Namespace, scenario, state};
use serde_json::{Value, json};

fn pod(namespace: &Namespace, arguments: &[&str]) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "task", "labels": {"bootlace.dev/task": namespace.name()}},
        "spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "main", "image": PROBE, "args": arguments}],
        },
    })
}

#[tokio::test]
async fn it_runs_with_its_files_and_its_author_is_warned() -> Result<()> {
    scenario("no-command-files")
        .run(async |namespace| {
            namespace.profile("sources: [{ name: settings, inline: { files: { q.sql: select 1 } } }]").await?;
            let pod = pod(namespace, &["argv", "status", "file=/var/assets/q.sql", "file=/bootlace/task.json"]);
            let created = namespace.create(&pod.to_string()).await?;
            let expected = "bootlace: container \"main\" has no command, so the boot env cannot be loaded into it: add \
                            the image's entrypoint as `command`. Assets and hook are injected; where there is boot env, \
                            the hook will fail it.";
            assert_eq!(created[0].warnings, [expected]);
            namespace.pod_succeeded("task").await?;
            let process = namespace.process("task", "main").await?;
            assert_eq!(process.file("/var/assets/q.sql")?, b"select 1");
            assert_eq!(process.status("Pid")?, "1");
            assert_eq!(process.argv.first().map(Vec::as_slice), Some(&b"/probe"[..]));
            Ok(())
        })
        .await
}

#[tokio::test]
async fn it_is_failed_where_there_is_boot_env_that_did_not_arrive() -> Result<()> {
    scenario("no-command-env")
        .run(async |namespace| {
            namespace.profile("sources: [{ name: settings, inline: { env: { REGION: eu-west-1 } } }]").await?;
            namespace.create(&pod(namespace, &["wait"]).to_string()).await?;
            let pod = namespace.container_ended("task", "main").await?;
            let expected = "bootlace: container main: its first process does not hold the boot env: REGION did not \
                            arrive. Add `command` to the container, so that Bootlace can put its launcher in front of it";
            assert_eq!(state::message(&pod, "main")?.trim_end(), expected);
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_profile_can_insist_on_the_launcher() -> Result<()> {
    scenario("no-command-refused")
        .run(async |namespace| {
            namespace.profile("env: { mode: Launch }").await?;
            let refused =
                format!("{:#}", namespace.create(&pod(namespace, &[]).to_string()).await.unwrap_err());
            for part in ["container \"main\" has no command", "env.mode Launch", "or set env.mode to Auto"] {
                assert!(refused.contains(part), "{part:?} is not in {refused:?}");
            }
            Ok(())
        })
        .await
}
