//! Env mode Secret, end to end: the env of containers whose command is unknown.

use anyhow::Result;
use bootlace_cluster::images::PROBE;
use bootlace_cluster::scenario::{LIMIT, Namespace, scenario, state};
use bootlace_cluster::wait::until_async;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};

use super::client::{created, injected_annotation, secret};

/// A task pod with these containers.
fn pod(namespace: &Namespace, name: &str, containers: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"bootlace.dev/task": namespace.name()}},
        "spec": {"restartPolicy": "Never", "containers": containers},
    })
}

#[tokio::test]
async fn it_arrives_byte_for_byte_and_the_pods_own_wins() -> Result<()> {
    scenario("store-env")
        .run(async |namespace| {
            let big = "x".repeat(100 * 1024);
            let env = json!({
                "PLAIN": "boot", "BY_ENV": "boot", "BY_ENV_FROM": "boot", "EMPTY": "", "BIG": big,
                "LINES": "first\nEVIL=1\n\"quoted\" 'too' `x` $(PLAIN) ${PLAIN} \\\nüber ✓\n",
            });
            let profile = json!({"sources": [{"name": "settings", "inline": {"env": env}}]});
            namespace.profile(&profile.to_string()).await?;
            let own = "{apiVersion: v1, kind: ConfigMap, metadata: {name: own}, data: {BY_ENV_FROM: pod}}";
            namespace.create(own).await?;
            let containers = json!([{
                "name": "main", "image": PROBE, "args": ["environ", "argv", "--", "$(PLAIN)"],
                "env": [{"name": "BY_ENV", "value": "pod"}], "envFrom": [{"configMapRef": {"name": "own"}}],
            }]);
            let task = created(namespace, &pod(namespace, "task", &containers)).await?;
            assert_eq!(injected_annotation(&task)["envMode"], "secret");
            namespace.pod_succeeded("task").await?;
            let process = namespace.process("task", "main").await?;
            for (name, expected) in [
                ("PLAIN", "boot"),
                ("BY_ENV", "pod"),
                ("BY_ENV_FROM", "pod"),
                ("EMPTY", ""),
                ("BIG", &big),
                ("LINES", env["LINES"].as_str().unwrap()),
            ] {
                assert_eq!(process.env(name), Some(expected.as_bytes()), "{name}");
            }
            assert_eq!(process.env("EVIL"), None);
            assert_eq!(process.argv.last().map(Vec::as_slice), Some(&b"boot"[..]));

            // The Secret is owned by the pod, immutable, and deleted with the pod.
            let found = namespace.api::<Secret>().get(&secret(&task)).await?;
            assert_eq!((found.type_.as_deref(), found.immutable), (Some("Opaque"), Some(true)));
            assert_eq!(found.owner_references()[0].uid, task.uid().unwrap());
            let log = namespace.log("task", "bootlace-boot").await?;
            assert!(log.contains(&format!("env Secret {}: created", secret(&task))), "{log}");
            assert!(!log.contains("EVIL") && !log.contains("quoted"), "{log}");
            namespace.api::<Pod>().delete("task", &DeleteParams::default().grace_period(0)).await?;
            until_async(LIMIT, "the Secret of a deleted pod still exists", async || {
                let remaining = namespace.api::<Secret>().list(&ListParams::default()).await?.items.len();
                anyhow::ensure!(remaining == 0, "{remaining} Secrets remain");
                Ok(())
            })
            .await
        })
        .await
}

#[tokio::test]
async fn several_containers_share_it_with_a_separate_env_mode_each() -> Result<()> {
    scenario("store-mixed")
        .run(async |namespace| {
            namespace
                .profile("sources: [{ name: settings, inline: { env: { REGION: eu-west-1 } } }]")
                .await?;
            let containers = json!([
                {"name": "launched", "image": PROBE, "command": ["/probe", "environ"]},
                {"name": "first", "image": PROBE, "args": ["environ"]},
                {"name": "second", "image": PROBE, "args": ["environ"]},
                {"name": "bystander", "image": PROBE, "args": ["environ"]},
            ]);
            let mut task = pod(namespace, "task", &containers);
            task["metadata"]["annotations"] = json!({"bootlace.dev/containers": "launched,first,second"});
            let task = created(namespace, &task).await?;
            namespace.pod_succeeded("task").await?;
            for container in ["launched", "first", "second"] {
                let process = namespace.process("task", container).await?;
                assert_eq!(process.env("REGION"), Some(&b"eu-west-1"[..]), "{container}");
            }
            assert_eq!(namespace.process("task", "bystander").await?.env("REGION"), None);
            let spec = task.spec.unwrap();
            assert!(
                spec.containers[0].env_from.as_ref().is_none_or(Vec::is_empty),
                "a container with a launcher has envFrom"
            );
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_profile_without_env_still_lets_the_task_start() -> Result<()> {
    scenario("store-empty")
        .run(async |namespace| {
            namespace.profile("{ env: { mode: Secret } }").await?;
            let containers =
                json!([{"name": "main", "image": PROBE, "command": ["/probe"], "args": ["environ"]}]);
            let task = created(namespace, &pod(namespace, "task", &containers)).await?;
            assert_eq!(injected_annotation(&task)["envMode"], "secret");
            namespace.pod_succeeded("task").await?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn what_a_secret_cannot_hold_fails_boot_with_the_variables_name() -> Result<()> {
    scenario("store-unfit")
        .run(async |namespace| {
            let login =
                "{apiVersion: v1, kind: Secret, metadata: {name: login}, data: {PASSWORD: aHVudGVyMv8=}}";
            namespace.create(login).await?;
            namespace.profile("sources: [{ name: login, secret: { name: login, into: Env } }]").await?;
            let containers = json!([{"name": "main", "image": PROBE, "args": ["environ"]}]);
            namespace.create(&pod(namespace, "task", &containers).to_string()).await?;
            let failed = namespace.pod_failed("task").await?;
            assert_eq!(state::ended(&failed, "bootlace-boot")?.exit_code, 65);
            let message = state::message(&failed, "bootlace-boot")?;
            assert!(
                message.contains("variable \"PASSWORD\" of source \"login\"")
                    && message.ends_with("[BL2402]"),
                "{message}"
            );
            assert!(!state::has_ended(&failed, "main"), "the task ran");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_dry_run_and_a_copy_of_a_pod_have_nothing_made() -> Result<()> {
    scenario("store-copy")
        .run(async |namespace| {
            namespace.profile("sources: [{ name: settings, inline: { env: { REGION: eu-west-1 } } }]").await?;
            let containers = json!([{"name": "main", "image": PROBE, "args": ["environ"]}]);
            let task = pod(namespace, "task", &containers);
            namespace.dry_run(&task.to_string()).await?;
            assert!(namespace.api::<Secret>().list(&ListParams::default()).await?.items.is_empty());

            let original = created(namespace, &task).await?;
            namespace.pod_succeeded("task").await?;
            let mut spec = serde_json::to_value(&original.spec)?;
            spec.as_object_mut().unwrap().remove("nodeName");
            let mut copy = json!({
                "apiVersion": "v1", "kind": "Pod", "spec": spec,
                "metadata": {"name": "copy", "labels": original.labels(), "annotations": original.annotations()},
            });
            let error = namespace.create(&copy.to_string()).await.map(drop).expect_err("a copy is admitted");
            let error = format!("{error:#}");
            assert!(error.contains("[BL1402]"), "{error}");
            // A copy that is not sent to the webhook has the signature of the other pod.
            copy["metadata"]["labels"] = json!({});
            namespace.create(&copy.to_string()).await?;
            let failed = namespace.pod_failed("copy").await?;
            let message = state::message(&failed, "bootlace-boot")?;
            assert!(message.contains("signature"), "{message}");
            Ok(())
        })
        .await
}
