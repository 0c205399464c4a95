//! The certificates of the webhook: provided by a user, or managed by Bootlace.

use anyhow::{Context, Result};
use bootlace_cluster::command::{command, output};
use bootlace_cluster::images::PROBE;
use bootlace_cluster::scenario::release::{LABEL, Release, selecting};
use bootlace_cluster::scenario::{LIMIT, Namespace, bootlace, scenario};
use bootlace_cluster::wait::until_async;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::json;
use tempfile::TempDir;

/// The CA bundles of the two webhooks of a release.
async fn bundles(tasks: &Namespace, release: &Release<'_>) -> Result<Vec<Vec<u8>>> {
    let configurations = Api::<MutatingWebhookConfiguration>::all(tasks.client());
    let configuration = configurations.get(&release.full_name()).await?;
    let webhooks = configuration.webhooks.unwrap_or_default();
    let bundle = |bundle: Option<ByteString>| bundle.map(|ByteString(bytes)| bytes).unwrap_or_default();
    Ok(webhooks.into_iter().map(|webhook| bundle(webhook.client_config.ca_bundle)).collect())
}

#[tokio::test]
async fn a_set_made_by_the_command_line_is_served_with_and_trusted() -> Result<()> {
    let home = scenario("own-certs-home").label(LABEL, "home");
    let tasks = scenario("own-certs").label(LABEL, "tasks");
    home.run(async |home| tasks.run(async |tasks| own_certificates(home, tasks).await).await).await
}

/// Follows certs/README.md.
async fn own_certificates(home: &Namespace, tasks: &Namespace) -> Result<()> {
    let folder = TempDir::new()?;
    let file =
        |name: &str| std::fs::read_to_string(folder.path().join(name)).with_context(|| name.to_owned());
    let host = format!("{0}-bootlace.{0}.svc", home.name());
    // One certificate for both Services.
    let store = format!("{0}-bootlace-store.{0}.svc", home.name());
    let mut make = command(bootlace()?);
    make.args(["certs", "make", "--dns", &host, "--dns", &store, "--out"]).arg(folder.path());
    output(&mut make).await?;
    let shown = output(command(bootlace()?).args(["certs", "show"]).arg(folder.path())).await?;
    assert!(shown.contains(&host), "{shown}");
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": "own-tls"},
        "stringData": {"tls.crt": file("tls.crt")?, "tls.key": file("tls.key")?},
    });
    home.create(&secret.to_string()).await?;

    let tls = json!({"mode": "secret", "secret": {"name": "own-tls", "caBundle": file("ca.crt")?}});
    let store = json!({"replicas": 1, "tls": {"secretName": "own-tls"}});
    let values = json!({"tls": tls, "store": store, "webhook": selecting(&[tasks.name()])});
    let release = Release::install(home, tasks, &values.to_string()).await?;
    for bundle in bundles(tasks, &release).await? {
        assert_eq!(String::from_utf8(bundle)?.trim(), file("ca.crt")?.trim());
    }
    // With certificates of a user, the webhook must not be able to read Secrets or change webhook
    // configurations.
    let account = format!("system:serviceaccount:{}:{}", home.name(), release.full_name());
    for (verb, resource) in [("get", "secrets"), ("patch", "mutatingwebhookconfigurations")] {
        let mut kubectl = release.command("kubectl");
        let allowed = kubectl.args(["auth", "can-i", verb, resource, "--as", &account]).output().await?;
        assert_eq!(String::from_utf8_lossy(&allowed.stdout).trim(), "no", "{verb} {resource}");
    }

    // Boot trusts the same CA for the store.
    let task = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "task", "labels": {"bootlace.dev/task": "true"}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": PROBE, "args": ["environ"]}]},
    });
    tasks.create(&task.to_string()).await?;
    tasks.pod_succeeded("task").await?;
    assert_eq!(tasks.process("task", "main").await?.env("GREETING"), Some(&b"the analytics team"[..]));

    release.uninstall().await
}

#[tokio::test]
async fn bootlace_keeps_its_own_whatever_happens_to_them() -> Result<()> {
    let home = scenario("self-certs-home").label(LABEL, "home");
    let tasks = scenario("self-certs").label(LABEL, "tasks");
    home.run(async |home| tasks.run(async |tasks| kept_certificates(home, tasks).await).await).await
}

async fn kept_certificates(home: &Namespace, tasks: &Namespace) -> Result<()> {
    let values = json!({"replicas": 2, "webhook": selecting(&[tasks.name()])});
    let release = Release::install(home, tasks, &values.to_string()).await?;
    let secret = home.api::<Secret>().get(&format!("{}-tls", release.full_name())).await?;
    let ca = &secret.data.as_ref().and_then(|data| data.get("ca.crt")).context("the Secret has no ca.crt")?.0;
    let expected = vec![ca.clone(); 2];
    assert_eq!(bundles(tasks, &release).await?, expected);

    let replicas: Vec<String> = release.replicas().await?.iter().map(ResourceExt::name_any).collect();
    assert_eq!(replicas.len(), 2, "{replicas:?}");

    // Each replica generated certificates at its start, and only one set is used.
    let expiries = release.metric("bootlace_certificate_expiry_timestamp_seconds").await?;
    assert!(expiries.len() == 2 && expiries[0] == expiries[1] && expiries[0] != "0", "{expiries:?}");

    // Another client removes the CA.
    let configurations = Api::<MutatingWebhookConfiguration>::all(tasks.client());
    let removed = json!([
        {"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"},
        {"op": "remove", "path": "/webhooks/1/clientConfig/caBundle"},
    ]);
    let patch = Patch::Json::<()>(serde_json::from_value(removed)?);
    configurations.patch(&release.full_name(), &PatchParams::default(), &patch).await?;
    until_async(LIMIT, "the CA was not restored", async || {
        anyhow::ensure!(bundles(tasks, &release).await? == expected, "the CA bundles differ");
        Ok(())
    })
    .await?;
    release.wait_until_reachable(tasks).await?;

    // New replicas use the same CA.
    for replica in &replicas {
        home.api::<Pod>().delete(replica, &DeleteParams::default().grace_period(0)).await?;
    }
    let mut kubectl = release.command("kubectl");
    let deployment = format!("deployment/{}", release.full_name());
    output(kubectl.args(["rollout", "status", &deployment, "--timeout", "90s"])).await?;
    release.wait_until_reachable(tasks).await?;
    assert_eq!(bundles(tasks, &release).await?, expected);
    release.uninstall().await
}
