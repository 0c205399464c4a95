//! Custom boot images, which pods name in an annotation: allowed, refused, absent, and failing.

use anyhow::Result;
use bootlace_cluster::images::{BOOT_EXAMPLE, PROBE};
use bootlace_cluster::scenario::{Namespace, scenario, state};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

/// The timeout in seconds of profiles in tests that are not about the timeout.
const TIMEOUT: u32 = 60;

/// A task that prints its env and a file.
fn task(namespace: &Namespace, image: Option<&str>) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "task", "labels": {"bootlace.dev/task": namespace.name()}},
        "spec": {
            "restartPolicy": "Never",
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": "main", "image": PROBE, "command": ["/probe"],
                "args": ["environ", "file=/var/assets/sql/report.sql"],
                "resources": {"limits": {"cpu": "100m", "memory": "128Mi"}},
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    });
    if let Some(image) = image {
        pod["metadata"]["annotations"] = json!({"bootlace.dev/init-image": image});
    }
    pod
}

/// Creates a profile that allows the images of the tests, with the other fields of `boot.initImage` in
/// `init_image`.
async fn profile(namespace: &Namespace, sources: Value, mut init_image: Value, timeout: u32) -> Result<()> {
    init_image["allow"] = json!([
        {"registry": "localhost", "repository": "boot-*"},
        {"registry": "registry.example.com", "repository": "shared/**", "digestOnly": true},
    ]);
    let boot = json!({"timeoutSeconds": timeout, "initImage": init_image});
    namespace.profile(&json!({"sources": sources, "boot": boot}).to_string()).await
}

fn init_containers(pod: &Pod) -> Vec<&str> {
    let containers = pod.spec.as_ref().and_then(|spec| spec.init_containers.as_ref());
    containers.into_iter().flatten().map(|container| container.name.as_str()).collect()
}

#[tokio::test]
async fn what_the_image_leaves_reaches_the_task() -> Result<()> {
    scenario("boot-image")
        .label("pod-security.kubernetes.io/enforce", "restricted")
        .run(async |namespace| {
            let secret = "{apiVersion: v1, kind: Secret, metadata: {name: db-login}, stringData: {PASSWORD: pa$$ $(x)}}";
            namespace.create(secret).await?;
            let settings = json!([{"name": "settings", "inline": {"env": {"WAREHOUSE": "analytics", "REPORT_DAYS": "7"}}}]);
            profile(namespace, settings, json!({"secrets": ["db-login"]}), TIMEOUT).await?;
            namespace.create(&task(namespace, Some(BOOT_EXAMPLE)).to_string()).await?;
            let pod = namespace.pod_succeeded("task").await?;
            assert_eq!(init_containers(&pod), ["bootlace-install", "bootlace-init", "bootlace-boot"]);
            assert_eq!(pod.status.as_ref().and_then(|status| status.qos_class.as_deref()), Some("Guaranteed"));
            let injected = &pod.metadata.annotations.as_ref().expect("annotations")["bootlace.dev/injected"];
            assert!(injected.contains(r#""initImage":"localhost/boot-example:test""#), "{injected}");

            let process = namespace.process("task", "main").await?;
            let warehouse = format!("{}-reports", namespace.name());
            assert_eq!(process.env("WAREHOUSE"), Some(warehouse.as_bytes()));
            assert_eq!(process.env("REPORT_DAYS"), Some(&b"7"[..]));
            assert_eq!(process.env("DB_PASSWORD"), Some(&b"pa$$ $(x)"[..]));
            let sql = process.file("/var/assets/sql/report.sql")?;
            assert!(sql.starts_with(b"-- a task of no workflow, pod task\nselect day"), "{sql:?}");

            assert_eq!(namespace.log("task", "bootlace-init").await?, "boot image: 2 variables and 1 file for task\n");
            let log = namespace.log("task", "bootlace-boot").await?;
            let line = "source \"init-image\" (image localhost/boot-example:test): 2 variables (2 secret), 1 file, ";
            assert!(log.contains(line), "{log}");
            assert!(log.contains("overrides the variable \"WAREHOUSE\" of source \"settings\""), "{log}");
            assert!(!log.contains("pa$$"), "{log}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn without_the_annotation_the_default_runs() -> Result<()> {
    scenario("boot-image-none")
        .run(async |namespace| {
            let files = json!({"sql/report.sql": "select 1;"});
            let settings = json!([{"name": "settings", "inline": {"files": files}}]);
            profile(namespace, settings, json!({}), TIMEOUT).await?;
            namespace.create(&task(namespace, None).to_string()).await?;
            let pod = namespace.pod_succeeded("task").await?;
            assert_eq!(init_containers(&pod), ["bootlace-boot"]);
            assert_eq!(
                namespace.process("task", "main").await?.file("/var/assets/sql/report.sql")?,
                b"select 1;"
            );
            Ok(())
        })
        .await
}

/// With `sources: Replace`, a profile whose source does not exist boots with the image only.
#[tokio::test]
async fn the_image_can_stand_for_the_profiles_sources() -> Result<()> {
    scenario("boot-image-alone")
        .run(async |namespace| {
            let missing = json!([{"name": "tables", "configMap": {"name": "nobody-made-it"}}]);
            let script =
                "mkdir $BOOTLACE_OUT/files/sql && echo 'select 2;' >$BOOTLACE_OUT/files/sql/report.sql";
            let init_image = json!({"sources": "Replace", "command": ["sh", "-c", script]});
            profile(namespace, missing, init_image, TIMEOUT).await?;
            namespace.create(&task(namespace, Some(BOOT_EXAMPLE)).to_string()).await?;
            namespace.pod_succeeded("task").await?;
            assert_eq!(
                namespace.process("task", "main").await?.file("/var/assets/sql/report.sql")?,
                b"select 2;\n"
            );
            Ok(())
        })
        .await
}

#[tokio::test]
async fn what_is_not_allowed_is_refused_with_the_list() -> Result<()> {
    scenario("boot-image-refused")
        .run(async |namespace| {
            profile(namespace, json!([]), json!({}), TIMEOUT).await?;
            for (image, full) in [
                ("localhost/busybox:test", "localhost/busybox:test"),
                ("boot-example", "docker.io/library/boot-example:latest"),
                ("localhost:443/boot-example:test", "localhost:443/boot-example:test"),
                (
                    "registry.example.com.evil.example/shared/boot",
                    "registry.example.com.evil.example/shared/boot:latest",
                ),
                ("registry.example.com/shared/boot:1", "registry.example.com/shared/boot:1"),
            ] {
                let error = namespace.create(&task(namespace, Some(image)).to_string()).await.unwrap_err();
                let error = format!("{error:#}");
                let profile = format!("BootProfile {:?}", namespace.name());
                let allowed = "\"localhost/boot-*\", \"registry.example.com/shared/** (by digest only)\"";
                for part in
                    ["422 Unprocessable Entity: admission webhook", full, &profile, allowed, "[BL1503]"]
                {
                    assert!(error.contains(part), "{part:?} is not in {error:?}");
                }
            }
            Ok(())
        })
        .await
}

/// Runs a task whose boot image runs `script` and fails. Checks that the task does not start, and returns the
/// exit code and the termination message of `container`.
async fn fails(namespace: &Namespace, script: &str, timeout: u32, container: &str) -> Result<(i32, String)> {
    profile(namespace, json!([]), json!({"command": ["sh", "-c", script]}), timeout).await?;
    namespace.create(&task(namespace, Some(BOOT_EXAMPLE)).to_string()).await?;
    let pod = namespace.pod_failed("task").await?;
    assert!(!state::has_ended(&pod, "main"), "the task ran");
    Ok((state::ended(&pod, container)?.exit_code, state::message(&pod, container)?.to_owned()))
}

#[tokio::test]
async fn an_image_that_fails_says_why_in_its_own_words() -> Result<()> {
    scenario("boot-image-fails")
        .run(async |namespace| {
            let script = "echo there is no job etl/daily: create it >&2; exit 3";
            let (code, message) = fails(namespace, script, TIMEOUT, "bootlace-init").await?;
            assert_eq!(code, 3);
            assert_eq!(
                message,
                "there is no job etl/daily: create it\nbootlace: container \"bootlace-init\": the boot image failed: exit code 3 \
                 [BL7604]\n"
            );
            Ok(())
        })
        .await
}

#[tokio::test]
async fn an_image_that_hangs_is_ended_at_the_profiles_time() -> Result<()> {
    scenario("boot-image-hangs")
        .run(async |namespace| {
            let (code, message) = fails(namespace, "sleep 3600 & wait", 2, "bootlace-init").await?;
            assert_eq!(code, 75);
            assert!(message.contains("after 2 s") && message.ends_with("[BL7603]\n"), "{message}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_link_that_leads_out_reaches_no_task() -> Result<()> {
    scenario("boot-image-link")
        .run(async |namespace| {
            let script = "ln -s /proc/self/environ $BOOTLACE_OUT/files/a; ln -s .. $BOOTLACE_OUT/files/b";
            let (code, message) = fails(namespace, script, TIMEOUT, "bootlace-boot").await?;
            assert_eq!(code, 65);
            for part in [
                "(image localhost/boot-example:test)",
                "\"/bootlace-out/files/a\" is a symbolic link",
                "[BL2302]",
            ] {
                assert!(message.contains(part), "{part} is not in {message}");
            }
            Ok(())
        })
        .await
}

/// The image can read the volume of the task, but cannot change it: neither the launcher nor the files of
/// other sources.
#[tokio::test]
async fn an_image_cannot_change_the_launcher() -> Result<()> {
    scenario("boot-image-launcher")
        .run(async |namespace| {
            let script = "for file in bin/launch env/environ assets/a task.json new; do
                    if cp /bin/busybox /bootlace/$file; then echo $file can be written; exit 1; fi
                done
                mkdir $BOOTLACE_OUT/files/sql; cp /bootlace/task.json $BOOTLACE_OUT/files/sql/report.sql";
            profile(namespace, json!([]), json!({"command": ["sh", "-c", script]}), TIMEOUT).await?;
            namespace.create(&task(namespace, Some(BOOT_EXAMPLE)).to_string()).await?;
            namespace.pod_succeeded("task").await?;
            let process = namespace.process("task", "main").await?;
            let task: Value = serde_json::from_slice(process.file("/var/assets/sql/report.sql")?)?;
            assert_eq!(task["profile"]["name"], namespace.name());
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_variable_that_decides_which_programs_run_is_not_the_images_to_give() -> Result<()> {
    scenario("boot-image-preload")
        .run(async |namespace| {
            let script = "printf %s /tmp/x.so >$BOOTLACE_OUT/env/LD_PRELOAD";
            let (code, message) = fails(namespace, script, TIMEOUT, "bootlace-boot").await?;
            assert_eq!(code, 65);
            assert!(message.contains("\"LD_PRELOAD\""), "{message}");
            Ok(())
        })
        .await
}
