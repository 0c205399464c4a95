//! A profile becomes invalid and valid again while its tasks start.

use std::cell::Cell;

use anyhow::{Context, Result, ensure};
use bootlace_cluster::command::output;
use bootlace_cluster::images::PROBE;
use bootlace_cluster::scenario::release::{LABEL, Release, selecting};
use bootlace_cluster::scenario::{LIMIT, Namespace, scenario};
use bootlace_cluster::wait::until_async;
use kube::ResourceExt;
use serde_json::{Value, json};

/// The maximum number of tasks: enough for a slow machine, and not more than the node supports.
const MAX_TASKS: usize = 60;

/// The spec of the profile, which sets `STATE` to `state`. The API server accepts any template, also with the
/// unknown filter `shout`.
fn spec(state: &str) -> Value {
    json!({"sources": [{"name": "settings", "inline": {"env": {"STATE": state}}}]})
}

/// Runs a task, and returns the generation of the profile that it booted with. Checks that its env is that of
/// the generation.
async fn run(tasks: &Namespace, name: &str) -> Result<i64> {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"bootlace.dev/task": tasks.name()}},
        "spec": {"restartPolicy": "Never", "containers": [
            {"name": "main", "image": PROBE, "command": ["/probe", "environ"]},
        ]},
    });
    tasks.create(&pod.to_string()).await?;
    let pod = tasks.pod_succeeded(name).await?;
    let injected = pod.annotations().get("bootlace.dev/injected").context("the pod was not injected")?;
    let injected: Value = serde_json::from_str(injected)?;
    assert_eq!(injected["profile"], tasks.name());
    let generation = injected["generation"].as_i64().context("the generation is not a number")?;
    let expected = match generation {
        1 => "good",
        3 => "fixed",
        other => panic!("{name} has booted with generation {other}, which was never valid"),
    };
    let process = tasks.process(name, "main").await?;
    assert_eq!(process.env("STATE"), Some(expected.as_bytes()), "{name} with generation {generation}");
    Ok(generation)
}

/// Sets the state in the profile, as an operator does.
async fn change(release: &Release<'_>, profile: &str, state: &str) -> Result<()> {
    let patch = json!({"spec": spec(state)}).to_string();
    let mut kubectl = release.command("kubectl");
    output(kubectl.args(["patch", "bootprofile", profile, "--type=merge", "--patch", &patch])).await.map(drop)
}

/// Waits until `kubectl get bootprofiles` shows these columns: `Ready`, and the active generation.
async fn shows(release: &Release<'_>, profile: &str, ready: &str, active: &str) -> Result<()> {
    until_async(LIMIT, "the status of the profile is not updated", async || {
        let table = output(release.command("kubectl").args(["get", "bootprofiles", profile])).await?;
        let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let (head, row) = (lines.next().context("no header")?, lines.next().context("no row")?);
        ensure!(head.starts_with(&["NAME", "READY"]), "{table}");
        ensure!(row.get(1..3) == Some(&[ready, active]), "{table}");
        Ok(())
    })
    .await
}

/// Waits for a condition of the latest version of the profile, as an operator does.
async fn wait_for_condition(release: &Release<'_>, profile: &str, condition: &str) -> Result<()> {
    let mut kubectl = release.command("kubectl");
    let condition = format!("--for=condition={condition}");
    output(kubectl.args(["wait", &condition, "bootprofile", profile, "--timeout=60s"])).await.map(drop)
}

/// Waits until the metrics of all replicas have these values for the profile.
async fn wait_for_metrics(release: &Release<'_>, profile: &str, ready: &str, generation: &str) -> Result<()> {
    until_async(LIMIT, "the metrics are not updated", async || {
        for (metric, expected) in [("ready", ready), ("generation", generation)] {
            let found =
                release.metric(&format!("bootlace_profile_{metric}{{profile=\"{profile}\"}}")).await?;
            ensure!(found.iter().all(|value| value == expected), "{metric}: {found:?}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_profile_is_broken_and_mended_while_tasks_start() -> Result<()> {
    let home = scenario("profile-change-home").label(LABEL, "home");
    let tasks = scenario("profile-change").label(LABEL, "tasks");
    home.run(async |home| tasks.run(async |tasks| Box::pin(broken_and_fixed(home, tasks)).await).await).await
}

async fn broken_and_fixed(home: &Namespace, tasks: &Namespace) -> Result<()> {
    let values = json!({"replicas": 2, "webhook": selecting(&[tasks.name()])});
    let release = Release::install(home, tasks, &values.to_string()).await?;
    let profile = tasks.name();
    tasks.profile(&spec("good").to_string()).await?;
    let started = Cell::new(0);

    let change = async {
        shows(&release, profile, "True", "1").await?;
        assert_eq!(run(tasks, "before").await?, 1);

        change(&release, profile, "{{ run | shout }}").await?;
        shows(&release, profile, "False", "1").await?;
        wait_for_metrics(&release, profile, "0", "1").await?;
        wait_for_condition(&release, profile, "Stalled").await?;
        assert_eq!(run(tasks, "while-broken").await?, 1);

        // New replicas, which have never seen a valid version of the profile.
        release.restart().await?;
        wait_for_metrics(&release, profile, "0", "1").await?;
        assert_eq!(run(tasks, "with-new-replicas").await?, 1);
        let replicas: Vec<_> = release.replicas().await?.iter().map(ResourceExt::uid).collect();

        change(&release, profile, "fixed").await?;
        // kubectl ignores a condition of an earlier generation.
        wait_for_condition(&release, profile, "Ready").await?;
        shows(&release, profile, "True", "3").await?;
        wait_for_metrics(&release, profile, "1", "3").await?;
        assert_eq!(run(tasks, "fixed").await?, 3);
        let now: Vec<_> = release.replicas().await?.iter().map(ResourceExt::uid).collect();
        assert_eq!(replicas, now, "a replica was restarted");
        anyhow::Ok(())
    };
    // Runs tasks one after another while the profile changes.
    let start = async {
        for number in 0..MAX_TASKS {
            run(tasks, &format!("task-{number}")).await?;
            started.set(number + 1);
        }
        // The scenario ends when the changes are complete.
        std::future::pending::<Result<()>>().await
    };
    tokio::select! {
        changed = change => changed?,
        failed = start => failed?,
    }
    assert!(started.get() > 2, "only {} tasks have run", started.get());
    release.uninstall().await
}
