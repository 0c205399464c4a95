//! Who injected containers run as, and what their image is pulled with.

use anyhow::{Context as _, Result};
use bootlace_cluster::images::PROBE;
use bootlace_cluster::scenario::scenario;
use serde_json::{Value, json};

/// A user as OpenShift takes it from a namespace's range: no image knows it.
const OF_A_RANGE: i64 = 1_000_680_000;

/// A task that prints what it holds.
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
            // Boot and task as different users, and both as the one that the platform gives to the pod.
            for (name, run_as_user, of_pod) in
                [("number", json!(OF_A_RANGE), 1000), ("platform", Value::Null, OF_A_RANGE)]
            {
                let profile = format!("{}-{name}", namespace.name());
                let inline = json!({"env": {"GREETING": "hello"}, "files": {"query.sql": "select 1;"}});
                let spec = json!({
                    "boot": {"runAsUser": run_as_user}, "sources": [{"name": "settings", "inline": inline}],
                });
                namespace.profile_called(&profile, &spec.to_string()).await?;
                namespace.create(&task(name, &profile, &context(of_pod)).to_string()).await?;
                let pod = namespace.pod_succeeded(name).await?;
                let containers = pod.spec.and_then(|spec| spec.init_containers).unwrap_or_default();
                let users = containers.iter().map(|container| {
                    assert!(container.name.starts_with("bootlace-"), "{}", container.name);
                    container.security_context.as_ref().and_then(|context| context.run_as_user)
                });
                assert_eq!(users.collect::<Vec<_>>(), [run_as_user.as_i64()], "{name}");
                let process = namespace.process(name, "main").await?;
                assert_eq!(process.status("Uid")?, format!("{of_pod} {of_pod} {of_pod} {of_pod}"));
                assert_eq!(process.env("GREETING"), Some(&b"hello"[..]));
                assert_eq!(process.file("/var/assets/query.sql")?, b"select 1;");
            }
            Ok(())
        })
        .await
}

/// A pod that is root's, in a profile that leaves the user to the platform: none of ours may be root.
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

/// The API server gives a pod its service account's pull secrets only where it has none, and before it calls webhooks.
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
                let secrets = created.pointer("/spec/imagePullSecrets").context("it has pull secrets")?;
                let expected: Vec<_> = expected.iter().map(|name| json!({"name": name})).collect();
                assert_eq!(*secrets, Value::from(expected), "{name}");
            }
            Ok(())
        })
        .await
}
