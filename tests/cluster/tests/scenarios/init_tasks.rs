//! The pod's own init containers with `boot.position: First`.

use anyhow::Result;
use bootlace_cluster::images::PROBE;
use bootlace_cluster::scenario::{Namespace, scenario, state};
use kube::ResourceExt;
use serde_json::{Value, json};

const PROFILE: &str = "
    boot: {position: First}
    env: {file: {keys: [DB_URL]}}
    sources: [{name: s, inline: {env: {DB_URL: postgres://db}, files: {migrate.sql: select 1}}}]
";

/// A pod template with an init container that the annotation never names, one that it can name, and a native
/// sidecar.
fn template(namespace: &Namespace, named: Option<&str>, mode: &str) -> Value {
    let probe = |name: &str| {
        json!({
            "name": name, "image": PROBE,
            "command": ["/probe", "environ", "file=/var/assets/migrate.sql"],
            "env": [{"name": "OWN", "value": name}],
        })
    };
    let mut migrate = probe("migrate");
    migrate["args"] = json!(["--", "$(DB_URL)"]);
    let mut sidecar = probe("sidecar");
    sidecar["restartPolicy"] = json!("Always");
    sidecar["args"] = json!(["wait"]);
    let mut annotations = json!({"bootlace.dev/env-mode": mode});
    if let Some(named) = named {
        annotations["bootlace.dev/containers"] = json!(named);
    }
    json!({
        "metadata": {"labels": {"bootlace.dev/task": namespace.name()}, "annotations": annotations},
        "spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 2,
            "initContainers": [probe("other"), migrate, sidecar],
            "containers": [probe("main")],
        },
    })
}

#[tokio::test]
async fn all_see_what_boot_fetched_and_those_that_are_named_hold_its_env() -> Result<()> {
    scenario("init-tasks")
        .run(async |namespace| {
            namespace.profile(PROFILE).await?;
            for (mode, named) in [
                ("Launch", None),
                ("Launch", Some("migrate,main,sidecar")),
                ("Secret", Some("migrate,main")),
                ("File", Some("main, migrate")),
            ] {
                let name =
                    format!("{}-{}", mode.to_lowercase(), if named.is_some() { "named" } else { "plain" });
                let mut pod = template(namespace, named, mode);
                pod["apiVersion"] = json!("v1");
                pod["kind"] = json!("Pod");
                pod["metadata"]["name"] = json!(name);
                namespace.create(&pod.to_string()).await?;
                let pod = namespace.pod_succeeded(&name).await?;
                for container in ["other", "migrate", "sidecar", "main"] {
                    let process = namespace.process(&name, container).await?;
                    let case = format!("{container} of {name}");
                    assert_eq!(process.file("/var/assets/migrate.sql")?, b"select 1", "{case}");
                    assert_eq!(process.env("OWN"), Some(container.as_bytes()), "{case}");
                    let is_task = named.unwrap_or("main").split(',').any(|named| named.trim() == container);
                    let expected = is_task.then_some(&b"postgres://db"[..]);
                    assert_eq!(process.env("DB_URL"), expected, "{case}");
                }
                assert_eq!(state::message(&pod, "main")?, "");
            }
            Ok(())
        })
        .await
}

/// The template of a Job cannot mount volumes of Bootlace, so the annotation must be enough.
#[tokio::test]
async fn a_job_needs_nothing_but_the_names() -> Result<()> {
    scenario("init-tasks-job")
        .run(async |namespace| {
            namespace.profile(PROFILE).await?;
            let job = json!({
                "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"},
                "spec": {"backoffLimit": 0, "template": template(namespace, Some("migrate,main"), "Auto")},
            });
            namespace.create(&job.to_string()).await?;
            let pods = namespace.job_completed("migrate").await?;
            let process = namespace.process(&pods[0].name_any(), "migrate").await?;
            assert_eq!(process.env("DB_URL"), Some(&b"postgres://db"[..]));
            Ok(())
        })
        .await
}
