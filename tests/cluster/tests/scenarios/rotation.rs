//! Certificates are rotated, and replicas are killed, while a review is requested every 50 ms.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use bootlace_cluster::command::{command, output};
use bootlace_cluster::scenario::load::{Failure, Load};
use bootlace_cluster::scenario::release::{LABEL, Release, selecting};
use bootlace_cluster::scenario::{LIMIT, Namespace, bootlace, scenario};
use bootlace_cluster::wait::until_async;
use k8s_openapi::api::core::v1::{Pod, Secret};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::pipes::jobs::{first_pod, job, shell};
use crate::pipes::stored;

#[tokio::test]
async fn no_review_and_no_output_is_lost_while_certificates_and_cas_are_renewed() -> Result<()> {
    let home = scenario("rotation-home").label(LABEL, "home");
    let tasks = scenario("rotation").label(LABEL, "tasks");
    home.run(async |home| tasks.run(async |tasks| rotations(home, tasks).await).await).await
}

/// The serving certificate of a release, and the number of trusted CAs.
async fn served(home: &Namespace, secret: &str) -> Result<(Vec<u8>, usize)> {
    let secret = home.api::<Secret>().get(secret).await?;
    let data = secret.data.context("the Secret is empty")?;
    let key = |key: &str| data.get(key).map(|bytes| bytes.0.clone()).with_context(|| key.to_owned());
    let cas = String::from_utf8(key("ca.crt")?)?.matches("BEGIN CERTIFICATE").count();
    Ok((key("tls.crt")?, cas))
}

/// Rotates `part`: `certificate` or `ca`.
async fn rotate(home: &Namespace, secret: &str, part: &str) -> Result<()> {
    let mut rotate = command(bootlace()?);
    rotate.args(["certs", "rotate", part, "--namespace", home.name(), "--secret", secret]);
    output(rotate.args(["--timeout", "120"])).await.map(drop).with_context(|| format!("rotate the {part}"))
}

async fn rotations(home: &Namespace, tasks: &Namespace) -> Result<()> {
    // Short lifetimes, so that these certificates expire soon. Renewal before expiry is tested without a
    // cluster.
    let tls = json!({"self": {"certificateLifetime": "15m", "caLifetime": "45m"}});
    let values = json!({
        "replicas": 2, "webhook": selecting(&[tasks.name()]), "store": {"replicas": 1}, "tls": tls,
    });
    let release = Release::install(home, tasks, &values.to_string()).await?;
    let secret = format!("{}-tls", release.full_name());
    let (first, cas) = served(home, &secret).await?;
    assert_eq!(cas, 1);
    let mut seen = BTreeSet::from([first]);

    // A task that only knows the first CA, and stores its output when that is the oldest of three.
    let out = json!({"bootlace.dev/pipe-out": "- {key: Early, file: /tmp/out, kind: Secret}"});
    let script = "until [ -e /tmp/go ]; do sleep 0.2; done; echo kept > /tmp/out";
    tasks.create(&job("early", true, &out, &json!({"containers": [shell(script)]})).to_string()).await?;
    let early = first_pod(tasks, "early").await?;
    tasks.pod_ready(&early).await?;
    let pod = serde_json::to_string(&tasks.api::<Pod>().get(&early).await?)?;
    assert!(pod.contains("BEGIN CERTIFICATE") && !pod.contains("END CERTIFICATE-----\\\\n-----BEGIN"));

    let load = Load::start(tasks)?;
    rotate(home, &secret, "certificate").await?;
    seen.insert(served(home, &secret).await?.0);
    let (rotated, restarted) = tokio::join!(rotate(home, &secret, "ca"), release.restart());
    rotated?;
    restarted?;
    seen.insert(served(home, &secret).await?.0);
    rotate(home, &secret, "ca").await?;
    let (last, cas) = served(home, &secret).await?;
    seen.insert(last.clone());
    assert_eq!((seen.len(), cas), (4, 3), "certificates and trusted CAs");

    // New pods mount the current Secret. In existing pods, the kubelet updates it within two minutes.
    let store = format!("{}-store", release.full_name());
    until_async(LIMIT, "the store has no certificate of the newest CA", async || {
        let (_, cas) = served(home, &format!("{store}-tls")).await?;
        anyhow::ensure!(cas == 3, "its Secret has {cas} CAs");
        Ok(())
    })
    .await?;
    let deployment = format!("deployment/{store}");
    output(release.command("kubectl").args(["rollout", "restart", &deployment])).await?;
    output(release.command("kubectl").args(["rollout", "status", &deployment, "--timeout", "90s"])).await?;

    tasks.exec(&early, "main", &["touch", "/tmp/go"]).await?;
    tasks.job_completed("early").await?;
    let late = json!({"bootlace.dev/pipe-out": "- {key: Late, file: /tmp/out, kind: Secret}"});
    let late = job("late", true, &late, &json!({"containers": [shell("echo kept > /tmp/out")]}));
    tasks.create(&late.to_string()).await?;
    tasks.job_completed("late").await?;
    assert_eq!(stored(tasks).await?, ["Early Secret by early", "Late Secret by late"]);

    let outcome = load.stop();
    println!("3 certificates, 2 CAs and a rolling update: {outcome}");
    assert!(outcome.failures.is_empty() && outcome.reviews > 500, "{outcome}");
    release.uninstall().await
}

#[tokio::test]
async fn a_replica_that_is_killed_costs_reviews_for_a_moment() -> Result<()> {
    let home = scenario("killed-home").label(LABEL, "home");
    let tasks = scenario("killed").label(LABEL, "tasks");
    home.run(async |home| tasks.run(async |tasks| killed(home, tasks).await).await).await
}

async fn killed(home: &Namespace, tasks: &Namespace) -> Result<()> {
    let values = json!({"replicas": 2, "webhook": selecting(&[tasks.name()])});
    let release = Release::install(home, tasks, &values.to_string()).await?;
    // One of the two has the connections of the API server. The oldest process is killed first, so each
    // replica is killed once.
    for number in 0..2 {
        let load = Load::start(tasks)?;
        sleep(Duration::from_secs(2)).await;
        let before = load.outcome();
        assert!(before.failures.is_empty() && before.reviews > 10, "{before}");
        let killed = Instant::now();
        release.kill_one()?;
        sleep(Duration::from_secs(10)).await;
        let outcome = load.stop();
        let since = |failure: &Failure| failure.at.saturating_duration_since(killed);
        let last = outcome.failures.iter().map(since).max().unwrap_or_default();
        println!(
            "kill -9 of replica {number} of 2: {outcome}; last failure {} ms after the kill",
            last.as_millis()
        );
        // The kubelet must detect that the container has ended, and kube-proxy must remove its endpoint.
        assert!(last < Duration::from_secs(8), "{outcome}");
        for failure in &outcome.failures {
            assert!(failure.reason.contains("failed calling webhook"), "{}", failure.reason);
        }
    }
    release.uninstall().await
}
