//! A container without a command, whose entrypoint is in its image: Bootlace cannot prepend the launcher.
//! With the store, its env comes from a Secret (see `store::env`). These scenarios test it without a store.

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

    // Without boot env, the task runs with its files.
    tasks.profile("sources: [{ name: settings, inline: { files: { q.sql: select 1 } } }]").await?;
    let arguments = ["argv", "status", "file=/var/assets/q.sql", "file=/bootlace/task.json"];
    let created = tasks.create(&pod("files", tasks.name(), &arguments).to_string()).await?;
    let [warning] = &created[0].warnings[..] else { panic!("{:?}", created[0].warnings) };
    for part in ["bootlace: container \"main\"", "`command`", "hook"] {
        assert!(warning.contains(part), "{part:?} is not in {warning:?}");
    }
    tasks.pod_succeeded("files").await?;
    let process = tasks.process("files", "main").await?;
    assert_eq!(process.file("/var/assets/q.sql")?, b"select 1");
    assert_eq!(process.status("Pid")?, "1");
    assert_eq!(process.argv.first().map(Vec::as_slice), Some(&b"/probe"[..]));

    // The shared profile has boot env.
    tasks.create(&pod("env", "true", &["wait"]).to_string()).await?;
    let failed = tasks.container_ended("env", "main").await?;
    let message = state::message(&failed, "main")?;
    assert!(message.contains("GREETING") && message.ends_with("[BL7301]\n"), "{message}");
    release.uninstall().await
}

#[tokio::test]
async fn a_profile_can_insist_on_the_launcher() -> Result<()> {
    scenario("no-command-refused")
        .run(async |namespace| {
            namespace.profile("env: { mode: Launch }").await?;
            let pod = pod("task", namespace.name(), &[]);
            let error = format!("{:#}", namespace.create(&pod.to_string()).await.unwrap_err());
            for part in ["\"main\"", "Launch", "Auto", "[BL1301]"] {
                assert!(error.contains(part), "{part:?} is not in {error:?}");
            }
            Ok(())
        })
        .await
}
