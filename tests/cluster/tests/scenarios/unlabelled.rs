//! Which pods the API server sends to the webhook at all: counted by a release that nobody else uses.

use anyhow::Result;
use bootlace_cluster::images::PROBE;
use bootlace_cluster::manifest;
use bootlace_cluster::scenario::release::{LABEL, Release, selecting};
use bootlace_cluster::scenario::{Namespace, scenario};
use serde_json::{Value, json};

/// A dry run goes the whole way through admission, and leaves no pod to be removed.
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
async fn pods_that_nobody_opted_in_are_never_sent() -> Result<()> {
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
    // It looks at these namespaces only. Its own and kube-system are among them, so that what keeps their pods from it
    // is the chart.
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
        // Other namespaces are other releases' or nobody's.
        ("default", json!({"app": "web"})),
    ] {
        let what = format!("{place}: {labels}");
        let pod = create(home, place, labels).await?;
        assert!(!is_injected(&pod), "{what}");
        assert_eq!(release.reviews().await?, before, "{what}");
    }

    // And the counter does count: once each.
    let mut counted = before;
    for (place, labels) in
        [(plain.name(), task.clone()), (opted_in.name(), operator), (opted_in.name(), task)]
    {
        let what = format!("{place}: {labels}");
        assert!(is_injected(&create(home, place, labels).await?), "{what}");
        let now = release.reviews().await?;
        assert_eq!(now, counted + 1, "{what}");
        counted = now;
    }
    release.uninstall().await
}
