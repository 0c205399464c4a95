//! `tls.mode=certManager` with the real cert-manager. Its controllers and its CA injector run as a process
//! outside of the cluster (`tests/cluster/tools-cert-manager`).

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use bootlace_cluster::command::{command, output};
use bootlace_cluster::images::{BUSYBOX, PROBE};
use bootlace_cluster::scenario::load::Load;
use bootlace_cluster::scenario::release::{LABEL, Release, selecting};
use bootlace_cluster::scenario::{LIMIT, Namespace, kubeconfig, needs, scenario};
use bootlace_cluster::tools::CERT_MANAGER_CRDS;
use bootlace_cluster::wait::until_async;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use serde_json::json;
use tokio::process::Child;

/// Starts cert-manager, which is killed when the returned value is dropped.
async fn start() -> Result<Child> {
    let folder = std::env::var_os(needs::CERT_MANAGER_FOLDER).map(PathBuf::from);
    let folder = folder.context("cert-manager not found: run `make test-cert-manager`")?;
    let crds = folder.join(CERT_MANAGER_CRDS);
    output(command("kubectl").args(["apply", "--server-side", "--filename"]).arg(crds)).await?;
    output(command("kubectl").args(["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]))
        .await?;
    let mut program = command(folder.join("cert-manager"));
    program.env("KUBECONFIG", kubeconfig()?).spawn().context("start cert-manager")
}

/// A value in the Secret of a certificate.
async fn part(home: &Namespace, secret: &str, key: &str) -> Result<Vec<u8>> {
    let secret = home.api::<Secret>().get(secret).await?;
    let value = secret.data.as_ref().and_then(|data| data.get(key));
    Ok(value.with_context(|| format!("{} has no {key}", secret.name_any()))?.0.clone())
}

/// Triggers the renewal of a certificate, as `cmctl renew` does, and waits until its Secret contains a new
/// one.
async fn renew(release: &Release<'_>, home: &Namespace, name: &str) -> Result<()> {
    let before = part(home, name, "tls.crt").await?;
    let condition = json!({
        "type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "a test renews it",
        "lastTransitionTime": Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    });
    let patch = json!({"status": {"conditions": [condition]}}).to_string();
    let mut kubectl = release.command("kubectl");
    kubectl.args(["patch", "certificate", name, "--subresource=status", "--type=merge", "--patch", &patch]);
    output(&mut kubectl).await?;
    until_async(LIMIT, "cert-manager did not renew the certificate", async || {
        ensure!(part(home, name, "tls.crt").await? != before, "{name} has not changed");
        Ok(())
    })
    .await
}

/// Waits until all replicas serve certificates whose expiry is not in `before`, and returns the expiries.
async fn served(release: &Release<'_>, before: &[String]) -> Result<Vec<String>> {
    let metric = "bootlace_certificate_expiry_timestamp_seconds";
    let mut current = Vec::new();
    until_async(LIMIT, "a replica serves the old certificate", async || {
        let found = release.metric(metric).await?;
        ensure!(found.len() == 2 && found.iter().all(|expiry| !before.contains(expiry)), "{found:?}");
        current = found;
        Ok(())
    })
    .await?;
    Ok(current)
}

#[tokio::test]
async fn certificates_and_their_ca_are_renewed_while_reviews_come_in() -> Result<()> {
    let home = scenario("cert-manager-home").label(LABEL, "home");
    let tasks = scenario("cert-manager").label(LABEL, "tasks");
    home.run(async |home| tasks.run(async |tasks| renewed(home, tasks).await).await).await
}

async fn renewed(home: &Namespace, tasks: &Namespace) -> Result<()> {
    let _cert_manager = start().await?;
    let values = json!({
        "replicas": 2, "tls": {"mode": "certManager"}, "store": {"replicas": 1}, "webhook": selecting(&[tasks.name()]),
    });
    let release = Release::install(home, tasks, &values.to_string()).await?;
    let (full, ca) = (release.full_name(), format!("{}-ca", release.full_name()));
    let (serving, store) = (format!("{full}-serving"), format!("{full}-store-serving"));

    // A pod without a command: its env comes from a Secret of the store, so boot trusts the store.
    let task = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "without-command", "labels": {"bootlace.dev/task": "true"}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": PROBE, "args": ["environ"]}]},
    });
    tasks.create(&task.to_string()).await?;
    tasks.pod_succeeded("without-command").await?;
    // A task that starts with the old CA, and stores its output after the renewal.
    let wait = "until [ -e /tmp/go ]; do sleep 0.1; done; echo kept > /tmp/out";
    let early = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "early", "labels": {"bootlace.dev/task": "true"},
            "annotations": {"bootlace.dev/run": "r1", "bootlace.dev/pipe-out": "- {key: Early, file: /tmp/out, kind: Secret}"},
        },
        "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": BUSYBOX, "command": ["sh", "-c", wait]}]},
    });
    tasks.create(&early.to_string()).await?;
    tasks.pod_ready("early").await?;

    let load = Load::start(tasks)?;
    let mut expiries = served(&release, &[]).await?;
    for _ in 0..2 {
        renew(&release, home, &serving).await?;
        expiries = served(&release, &expiries).await?;
    }
    let key = part(home, &ca, "tls.key").await?;
    renew(&release, home, &ca).await?;
    ensure!(part(home, &ca, "tls.key").await? == key, "the key of the CA has changed");
    renew(&release, home, &serving).await?;
    renew(&release, home, &store).await?;
    served(&release, &expiries).await?;
    ensure!(
        part(home, &serving, "ca.crt").await? == part(home, &ca, "tls.crt").await?,
        "the certificate was issued by the old CA"
    );
    // New pods mount the current Secret. In existing pods, the kubelet updates it within two minutes.
    let deployment = format!("deployment/{full}-store");
    output(release.command("kubectl").args(["rollout", "restart", &deployment])).await?;
    output(release.command("kubectl").args(["rollout", "status", &deployment, "--timeout", "90s"])).await?;
    tasks.exec("early", "main", &["touch", "/tmp/go"]).await?;
    tasks.pod_succeeded("early").await?;

    let outcome = load.stop();
    println!("3 certificates and the CA renewed by cert-manager: {outcome}");
    ensure!(outcome.failures.is_empty() && outcome.reviews > 500, "{outcome}");
    release.uninstall().await
}
