//! A profile that is broken and mended while its tasks start.

use std::cell::Cell;

use anyhow::{Context, Result, ensure};
use bootlace_cluster::command::output;
use bootlace_cluster::images::PROBE;
use bootlace_cluster::scenario::release::{LABEL, Release, selecting};
use bootlace_cluster::scenario::{LIMIT, Namespace, scenario};
use bootlace_cluster::wait::until_async;
use kube::ResourceExt;
use serde_json::{Value, json};

/// Tasks that may start in all: enough for the slowest machine, and no more than the node has room for.
const MOST_TASKS: usize = 60;

/// The profile's spec, whose tasks hold `STATE=state`. The API server takes any template; the webhook has no filter `shout`.
fn spec(state: &str) -> Value {
    json!({"sources": [{"name": "settings", "inline": {"env": {"STATE": state}}}]})
}

/// Starts a task and waits for its end. Gives the generation that it was booted with, once it is seen that the process
/// holds what that generation says.
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
    let injected = pod.annotations().get("bootlace.dev/injected").context("it was let through")?;
    let injected: Value = serde_json::from_str(injected)?;
    assert_eq!(injected["profile"], tasks.name());
    let generation = injected["generation"].as_i64().context("the generation is a number")?;
    let held = match generation {
        1 => "good",
        3 => "mended",
        other => panic!("{name} was booted with generation {other}, which was never good"),
    };
    let process = tasks.process(name, "main").await?;
    assert_eq!(process.env("STATE"), Some(held.as_bytes()), "{name} of generation {generation}");
    Ok(generation)
}

/// Lets the profile say `state`, as an operator does.
async fn change(release: &Release<'_>, profile: &str, state: &str) -> Result<()> {
    let patch = json!({"spec": spec(state)}).to_string();
    let mut kubectl = release.command("kubectl");
    output(kubectl.args(["patch", "bootprofile", profile, "--type=merge", "--patch", &patch])).await.map(drop)
}

/// Waits until `kubectl get bootprofiles` shows these columns: `Ready`, and the generation in force.
async fn shows(release: &Release<'_>, profile: &str, ready: &str, in_force: &str) -> Result<()> {
    until_async(LIMIT, "the profile's status does not follow", async || {
        let table = output(release.command("kubectl").args(["get", "bootprofiles", profile])).await?;
        let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let (head, row) = (lines.next().context("no head")?, lines.next().context("no row")?);
        ensure!(head.starts_with(&["NAME", "READY", "IN", "FORCE"]), "{table}");
        ensure!(row.get(1..3) == Some(&[ready, in_force]), "{table}");
        Ok(())
    })
    .await
}

/// Waits for a condition of the profile's newest version, as an operator does.
async fn is(release: &Release<'_>, profile: &str, condition: &str) -> Result<()> {
    let mut kubectl = release.command("kubectl");
    let condition = format!("--for=condition={condition}");
    output(kubectl.args(["wait", &condition, "bootprofile", profile, "--timeout=60s"])).await.map(drop)
}

/// Waits until every replica counts the profile so.
async fn counts(release: &Release<'_>, profile: &str, ready: &str, generation: &str) -> Result<()> {
    until_async(LIMIT, "the metrics do not follow", async || {
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
    home.run(async |home| tasks.run(async |tasks| Box::pin(broken_and_mended(home, tasks)).await).await).await
}

async fn broken_and_mended(home: &Namespace, tasks: &Namespace) -> Result<()> {
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
        counts(&release, profile, "0", "1").await?;
        is(&release, profile, "Stalled").await?;
        assert_eq!(run(tasks, "while-broken").await?, 1);

        // Replicas that have never seen a good version of it.
        release.restart().await?;
        counts(&release, profile, "0", "1").await?;
        assert_eq!(run(tasks, "with-new-replicas").await?, 1);
        let replicas: Vec<_> = release.replicas().await?.iter().map(ResourceExt::uid).collect();

        change(&release, profile, "mended").await?;
        // Until this version is seen, `Ready` is an earlier one's, and does not count.
        is(&release, profile, "Ready").await?;
        shows(&release, profile, "True", "3").await?;
        counts(&release, profile, "1", "3").await?;
        assert_eq!(run(tasks, "mended").await?, 3);
        let now: Vec<_> = release.replicas().await?.iter().map(ResourceExt::uid).collect();
        assert_eq!(replicas, now, "a webhook was restarted for it");
        anyhow::Ok(())
    };
    // A task after another, as long as all that takes.
    let start = async {
        for number in 0..MOST_TASKS {
            run(tasks, &format!("task-{number}")).await?;
            started.set(number + 1);
        }
        // The change decides when it is over.
        std::future::pending::<Result<()>>().await
    };
    tokio::select! {
        changed = change => changed?,
        failed = start => failed?,
    }
    assert!(started.get() > 2, "only {} tasks started meanwhile", started.get());
    release.uninstall().await
}
