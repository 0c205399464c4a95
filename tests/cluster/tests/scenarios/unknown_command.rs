//! A container whose command is its image's own: Bootlace has nothing to put the launcher in front of. With the store its
//! env comes from a Secret (see `store::env`); here is what becomes of it where no store is installed.

use anyhow::Result;
use bootlace_cluster::images::PROBE;
use bootlace_cluster::scenario::release::{LABEL, Release, selecting};
use bootlace_cluster::scenario::{Namespace, scenario, state};
use serde_json::{Value, json};

fn pod(name: &str, profile: &str, arguments: &[&str]) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"bootlace.dev/task": profile}},
        "spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "main", "image": PROBE, "args": arguments}],
        },
    })
}

#[tokio::test]
async fn without_a_store_its_author_is_warned_and_missing_env_fails_it() -> Result<()> {
    let home = scenario("no-store-home").label(LABEL, "home");
    let tasks = scenario("no-store").label(LABEL, "tasks");
    home.run(async |home| tasks.run(async |tasks| without_a_store(home, tasks).await).await).await
}

async fn without_a_store(home: &Namespace, tasks: &Namespace) -> Result<()> {
    let values = json!({"webhook": selecting(&[tasks.name()])});
    let release = Release::install(home, tasks, &values.to_string()).await?;

    // It runs with its files where there is no boot env.
    tasks.profile("sources: [{ name: settings, inline: { files: { q.sql: select 1 } } }]").await?;
    let arguments = ["argv", "status", "file=/var/assets/q.sql", "file=/bootlace/task.json"];
    let created = tasks.create(&pod("files", tasks.name(), &arguments).to_string()).await?;
    let expected = "bootlace: container \"main\" has no command, so the boot env cannot be loaded into it: add the \
                    image's entrypoint as `command`. Assets and hook are injected; where there is boot env, the hook \
                    will fail it.";
    assert_eq!(created[0].warnings, [expected]);
    tasks.pod_succeeded("files").await?;
    let process = tasks.process("files", "main").await?;
    assert_eq!(process.file("/var/assets/q.sql")?, b"select 1");
    assert_eq!(process.status("Pid")?, "1");
    assert_eq!(process.argv.first().map(Vec::as_slice), Some(&b"/probe"[..]));

    // The shared profile has boot env.
    tasks.create(&pod("env", "true", &["wait"]).to_string()).await?;
    let failed = tasks.container_ended("env", "main").await?;
    let expected = "bootlace: container main: its first process does not hold the boot env: GREETING did not arrive. Add \
                    `command` to the container, so that Bootlace can put its launcher in front of it";
    assert_eq!(state::message(&failed, "main")?.trim_end(), expected);
    release.uninstall().await
}

#[tokio::test]
async fn a_profile_can_insist_on_the_launcher() -> Result<()> {
    scenario("no-command-refused")
        .run(async |namespace| {
            namespace.profile("env: { mode: Launch }").await?;
            let pod = pod("task", namespace.name(), &[]);
            let refused = format!("{:#}", namespace.create(&pod.to_string()).await.unwrap_err());
            for part in ["container \"main\" has no command", "env.mode Launch", "or set env.mode to Auto"] {
                assert!(refused.contains(part), "{part:?} is not in {refused:?}");
            }
            Ok(())
        })
        .await
}
