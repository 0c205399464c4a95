//! The pods that the API server sends to the webhook, counted by a separate release.

use anyhow::Result;
use bootlace_cluster::images::PROBE;
use bootlace_cluster::manifest;
use bootlace_cluster::scenario::release::{LABEL, Release, selecting};
use bootlace_cluster::scenario::{Namespace, scenario};
use serde_json::{Value, json};

/// Creates a pod as a dry run, which passes through admission and is not stored.
async fn create(namespace: &Namespace, place: &str, labels: Value) -> Result<Value> {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "task", "labels": labels},
        "spec": {"containers": [{"name": "base", "image": PROBE, "command": ["/probe"]}]},
    });
    let created = manifest::create(&namespace.client(), &pod.to_string(), place, true).await?;
    Ok(serde_json::to_value(&created[0].object)?)
}

fn is_injected(pod: &Value) -> bool {
    pod.pointer("/metadata/annotations/bootlace.dev~1injected").is_some()
}

#[tokio::test]
async fn pods_that_did_not_opt_in_are_never_sent() -> Result<()> {
    let home = scenario("unlabelled-home").label(LABEL, "home");
    let plain = scenario("unlabelled").label(LABEL, "unlabelled");
    let opted_in = scenario("unlabelled-opted-in")
        .label(LABEL, "unlabelled")
        .label("bootlace.dev/schedulers", "enabled");
    home.run(async |home| {
        plain.run(async |plain| opted_in.run(async |opted_in| check(home, plain, opted_in).await).await).await
    })
    .await
}

async fn check(home: &Namespace, plain: &Namespace, opted_in: &Namespace) -> Result<()> {
    // The release selects these namespaces only. They include its own and kube-system, to test that the chart
    // excludes these.
    let values = json!({"webhook": selecting(&[home.name(), plain.name(), opted_in.name(), "kube-system"])});
    let release = Release::install(home, plain, &values.to_string()).await?;
    let before = release.reviews().await?;

    let task = json!({"bootlace.dev/task": "true"});
    let off = json!({"bootlace.dev/task": "false"});
    let operator = json!({"kubernetes_pod_operator": "True"});
    let off_operator = json!({"kubernetes_pod_operator": "True", "bootlace.dev/task": "false"});
    let job = json!({"batch.kubernetes.io/job-name": "backup"});
    for (place, labels) in [
        (plain.name(), json!({})),
        (plain.name(), json!({"app": "web"})),
        (plain.name(), off.clone()),
        (plain.name(), operator.clone()),
        (plain.name(), job.clone()),
        (opted_in.name(), json!({"app": "web"})),
        (opted_in.name(), off),
        (opted_in.name(), off_operator),
        (opted_in.name(), json!({"kubernetes_pod_operator": "False"})),
        (opted_in.name(), job),
        (home.name(), task.clone()),
        ("kube-system", task.clone()),
        // A namespace that this release does not select.
        ("default", json!({"app": "web"})),
    ] {
        let case = format!("{place}: {labels}");
        let pod = create(home, place, labels).await?;
        assert!(!is_injected(&pod), "{case}");
        assert_eq!(release.reviews().await?, before, "{case}");
    }

    // Each pod that is sent increases the counter by one.
    let mut counted = before;
    for (place, labels) in
        [(plain.name(), task.clone()), (opted_in.name(), operator), (opted_in.name(), task)]
    {
        let case = format!("{place}: {labels}");
        assert!(is_injected(&create(home, place, labels).await?), "{case}");
        let now = release.reviews().await?;
        assert_eq!(now, counted + 1, "{case}");
        counted = now;
    }
    release.uninstall().await
}
