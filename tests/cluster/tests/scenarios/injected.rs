//! The users of injected containers, and the pull secrets of their image.

use anyhow::{Context as _, Result};
use bootlace_cluster::images::PROBE;
use bootlace_cluster::scenario::scenario;
use serde_json::{Value, json};

/// A user like those in the range of a namespace on OpenShift, which does not exist in any image.
const USER_OF_RANGE: i64 = 1_000_680_000;

/// A task that prints its env, its status and a file.
fn task(name: &str, profile: &str, spec: &Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"bootlace.dev/task": profile}},
        "spec": {"restartPolicy": "Never", "containers": [{
            "name": "main", "image": PROBE, "command": ["/probe"],
            "args": ["environ", "status", "file=/var/assets/query.sql"],
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
        }]},
    });
    for (field, value) in spec.as_object().expect("a spec is an object") {
        pod["spec"][field] = value.clone();
    }
    pod
}

#[tokio::test]
async fn any_user_can_boot_a_task() -> Result<()> {
    let scenario = scenario("injected-user").label("pod-security.kubernetes.io/enforce", "restricted");
    scenario
        .run(async |namespace| {
            let context = |user: i64| {
                json!({"securityContext": {
                    "runAsNonRoot": true, "runAsUser": user, "seccompProfile": {"type": "RuntimeDefault"},
                }})
            };
            // Boot and task as different users, and both as the user that the platform sets for the pod.
            for (name, run_as_user, pod_user) in
                [("number", json!(USER_OF_RANGE), 1000), ("platform", Value::Null, USER_OF_RANGE)]
            {
                let profile = format!("{}-{name}", namespace.name());
                let inline = json!({"env": {"GREETING": "hello"}, "files": {"query.sql": "select 1;"}});
                let spec = json!({
                    "boot": {"runAsUser": run_as_user}, "sources": [{"name": "settings", "inline": inline}],
                });
                namespace.profile_called(&profile, &spec.to_string()).await?;
                namespace.create(&task(name, &profile, &context(pod_user)).to_string()).await?;
                let pod = namespace.pod_succeeded(name).await?;
                let containers = pod.spec.and_then(|spec| spec.init_containers).unwrap_or_default();
                let users = containers.iter().map(|container| {
                    assert!(container.name.starts_with("bootlace-"), "{}", container.name);
                    container.security_context.as_ref().and_then(|context| context.run_as_user)
                });
                assert_eq!(users.collect::<Vec<_>>(), [run_as_user.as_i64()], "{name}");
                let process = namespace.process(name, "main").await?;
                assert_eq!(process.status("Uid")?, format!("{pod_user} {pod_user} {pod_user} {pod_user}"));
                assert_eq!(process.env("GREETING"), Some(&b"hello"[..]));
                assert_eq!(process.file("/var/assets/query.sql")?, b"select 1;");
            }
            Ok(())
        })
        .await
}

/// A pod that runs as root, with a profile that does not set a user: injected containers must not run as
/// root.
#[tokio::test]
async fn a_pod_of_roots_boots_where_the_platform_names_no_user() -> Result<()> {
    scenario("injected-root")
        .run(async |namespace| {
            let inline = json!({"files": {"query.sql": "select 1;"}});
            let spec = json!({"boot": {"runAsUser": null}, "sources": [{"name": "files", "inline": inline}]});
            namespace.profile(&spec.to_string()).await?;
            let root = json!({"securityContext": {"runAsUser": 0}});
            namespace.create(&task("task", namespace.name(), &root).to_string()).await?;
            namespace.pod_succeeded("task").await?;
            assert_eq!(namespace.process("task", "main").await?.status("Uid")?, "0 0 0 0");
            Ok(())
        })
        .await
}

/// The API server adds the pull secrets of the service account only to pods without any, and before it calls
/// webhooks.
#[tokio::test]
async fn pull_secrets_come_behind_those_of_the_pod_or_its_service_account() -> Result<()> {
    scenario("injected-pull-secrets")
        .run(async |namespace| {
            let account = "{apiVersion: v1, kind: ServiceAccount, metadata: {name: team}, imagePullSecrets: [{name: of-account}]}";
            namespace.create(account).await?;
            namespace.profile("boot: { imagePullSecrets: [of-boot] }").await?;
            for (name, spec, expected) in [
                ("account", json!({"serviceAccountName": "team"}), &["of-account", "of-boot"][..]),
                (
                    "own",
                    json!({"serviceAccountName": "team", "imagePullSecrets": [{"name": "own"}]}),
                    &["own", "of-boot"],
                ),
                ("same", json!({"imagePullSecrets": [{"name": "of-boot"}, {"name": "own"}]}), &["of-boot", "own"]),
                ("none", json!({}), &["of-boot"]),
            ] {
                let pod = task(name, namespace.name(), &spec).to_string();
                let created = serde_json::to_value(&namespace.dry_run(&pod).await?[0].object)?;
                let secrets = created.pointer("/spec/imagePullSecrets").context("the pod has no pull secrets")?;
                let expected: Vec<_> = expected.iter().map(|name| json!({"name": name})).collect();
                assert_eq!(*secrets, Value::from(expected), "{name}");
            }
            Ok(())
        })
        .await
}
