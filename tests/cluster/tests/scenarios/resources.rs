//! The resources of injected containers, validated by the API server, and boot with a memory limit that is
//! too low.

use anyhow::{Context, Result};
use bootlace_cluster::images::{BUSYBOX, PROBE};
use bootlace_cluster::scenario::release::LABEL;
use bootlace_cluster::scenario::{Namespace, scenario, servers, state};
use k8s_openapi::api::core::v1::Pod;
use serde::Deserialize;
use serde_json::{Value, json};

/// An entry of `tests/pods/resources.yaml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    class: String,
    #[serde(default)]
    outputs: bool,
    refused: Option<String>,
    spec: Value,
}

impl Case {
    fn pod(&self) -> Value {
        let mut spec = self.spec.clone();
        spec["restartPolicy"] = json!("Never");
        for list in ["containers", "initContainers"] {
            for container in spec[list].as_array_mut().into_iter().flatten() {
                container["image"] = json!(BUSYBOX);
                container["command"] = json!(["true"]);
            }
        }
        let mut annotations = json!({"bootlace.dev/run": "r1"});
        if self.outputs {
            annotations["bootlace.dev/pipe-out"] =
                json!("- {key: A, file: /a, kind: ConfigMap, container: main}");
        }
        json!({
            "apiVersion": "v1", "kind": "Pod", "spec": spec,
            "metadata": {"name": self.name, "labels": {"bootlace.dev/task": "true"}, "annotations": annotations},
        })
    }
}

/// The pod as the API server would store it.
async fn created(namespace: &Namespace, pod: &Value) -> Result<Pod> {
    let created = namespace.dry_run(&pod.to_string()).await?;
    let object = created.into_iter().next().context("no pod was created")?.object;
    Ok(serde_json::from_value(serde_json::to_value(object)?)?)
}

fn class(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.qos_class.as_deref()
}

#[tokio::test]
async fn a_pod_that_is_valid_stays_valid_and_keeps_its_class() -> Result<()> {
    let cases: Vec<Case> = serde_saphyr::from_str(include_str!("../../../pods/resources.yaml"))?;
    // No release selects the first namespace: its pods are not injected.
    let plain = scenario("resources-plain").label(LABEL, "nobody");
    let compare = async |plain: &Namespace, injected: &Namespace| {
        for case in &cases {
            let (name, pod) = (&case.name, case.pod());
            let before = created(plain, &pod).await.with_context(|| name.clone())?;
            assert_eq!(class(&before), Some(&*case.class), "{name}");
            match (created(injected, &pod).await, &case.refused) {
                (Ok(after), None) => {
                    assert_eq!(class(&after), class(&before), "{name}");
                    let init = after.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
                    assert!(init.into_iter().any(|container| container.name == "bootlace-boot"), "{name}");
                }
                (Err(error), Some(message)) => {
                    let error = format!("{error:#}");
                    assert!(error.contains("bootlace: pod ") && error.contains(message), "{name}: {error}");
                }
                (Ok(_), Some(_)) => panic!("{name} is not refused"),
                (Err(error), None) => return Err(error.context(name.clone())),
            }
        }
        Ok(())
    };
    scenario("resources")
        .run(async |injected| plain.run(async |plain| compare(plain, injected).await).await)
        .await
}

#[tokio::test]
async fn a_quota_and_a_limit_range_that_fit_to_the_last_unit_take_the_injected_pod() -> Result<()> {
    scenario("resources-quota")
        .run(async |namespace| {
            let bounds = [
                "apiVersion: v1",
                "kind: ResourceQuota",
                "metadata: { name: exact }",
                "spec: { hard: { requests.cpu: 100m, requests.memory: 64Mi, limits.cpu: 100m, limits.memory: 64Mi } }",
                "---",
                "apiVersion: v1",
                "kind: LimitRange",
                "metadata: { name: exact }",
                "spec:",
                "  limits:",
                "  - type: Container",
                "    min: { cpu: 100m, memory: 64Mi, ephemeral-storage: 1Gi }",
                "    max: { cpu: 100m, memory: 64Mi, ephemeral-storage: 1Gi }",
                "    maxLimitRequestRatio: { cpu: '1', memory: '1' }",
            ]
            .join("\n");
            namespace.create(&bounds).await?;
            let pod = json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "task", "labels": {"bootlace.dev/task": "true"}},
                "spec": {"restartPolicy": "Never", "containers": [{
                    "name": "main", "image": PROBE, "command": ["/probe"],
                    "resources": {"limits": {"cpu": "0.1", "memory": "65536Ki", "ephemeral-storage": "1Gi"}},
                }]},
            });
            namespace.create(&pod.to_string()).await?;
            assert_eq!(class(&namespace.pod_succeeded("task").await?), Some("Guaranteed"));
            Ok(())
        })
        .await
}

/// A task whose boot fetches 32 MiB, with the memory limit `memory`.
fn fetching(namespace: &Namespace, name: &str, memory: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"bootlace.dev/task": namespace.name()}},
        "spec": {"restartPolicy": "Never", "containers": [{
            "name": "main", "image": PROBE, "command": ["/probe"],
            "resources": {"limits": {"cpu": "1", "memory": memory}, "requests": {"cpu": "10m", "memory": "16Mi"}},
        }]},
    })
}

#[tokio::test]
async fn a_boot_that_its_memory_limit_does_not_hold_ends_with_a_sentence() -> Result<()> {
    scenario("resources-memory")
        .run(async |namespace| {
            let make = "mkdir /www && dd if=/dev/zero of=/www/model.bin bs=1M count=32 && exec httpd -f -p 8080 -h /www";
            servers::web_container(namespace, &json!({"image": BUSYBOX, "command": ["sh", "-c", make]}), &json!([])).await?;
            let profile = "{sources: [{name: model, http: {url: 'http://web', path: model.bin, file: model.bin}}]}";
            namespace.profile(profile).await?;

            namespace.create(&fetching(namespace, "small", "24Mi").to_string()).await?;
            let pod = namespace.pod_failed("small").await?;
            assert_eq!(state::ended(&pod, "bootlace-boot")?.exit_code, 74);
            let message = state::message(&pod, "bootlace-boot")?;
            for part in ["source \"model\"", "24.0 MiB", "32.0 MiB", "limits.memory"] {
                assert!(message.contains(part), "{part:?} is not in {message:?}");
            }

            namespace.create(&fetching(namespace, "large", "128Mi").to_string()).await?;
            namespace.pod_succeeded("large").await.map(drop)
        })
        .await
}

/// JSON is in memory while it is parsed. The kernel must not kill boot for any content, with and without
/// `Content-Length`.
#[tokio::test]
async fn a_boot_of_large_json_is_never_killed() -> Result<()> {
    scenario("resources-json")
        .run(async |namespace| {
            let make = r#"
                mkdir -p /www/cgi-bin
                { printf '{"model.txt": "'; head -c 7900000 /dev/zero | tr '\0' x; printf '"}'; } > /www/value
                { printf '{'; seq 550000 | sed 's/.*/"V&":"1",/'; printf '"LAST":"1"}'; } > /www/names
                for answer in value names; do
                    printf '#!/bin/sh\nprintf "Content-Type: application/json\\r\\n\\r\\n"\nexec cat /www/%s\n' $answer > /www/cgi-bin/$answer
                done
                chmod 755 /www/cgi-bin/*
                exec httpd -f -p 8080 -h /www
            "#;
            servers::web_container(namespace, &json!({"image": BUSYBOX, "command": ["sh", "-c", make]}), &json!([])).await?;
            let mut ended = Vec::new();
            for (name, path, into) in [
                ("value", "value", "Files"),
                ("value-unannounced", "cgi-bin/value", "Files"),
                ("names", "names", "Env"),
                ("names-unannounced", "cgi-bin/names", "Files"),
            ] {
                let profile = format!("{}-{name}", namespace.name());
                let http = json!({"url": "http://web", "path": path, "json": [{"into": into}]});
                let spec = json!({"sources": [{"name": "answer", "http": http}]});
                namespace.profile_called(&profile, &spec.to_string()).await?;
                let mut pod = fetching(namespace, name, "24Mi");
                pod["metadata"]["labels"]["bootlace.dev/task"] = json!(profile);
                namespace.create(&pod.to_string()).await?;
                let pod = namespace.container_ended(name, "bootlace-boot").await?;
                let code = state::ended(&pod, "bootlace-boot")?.exit_code;
                let message = state::message(&pod, "bootlace-boot")?;
                assert!(matches!(code, 0 | 74), "{name}: {code} {message}");
                assert!(code == 0 || message.contains("24.0 MiB"), "{name}: {message}");
                ended.push((name, code));
            }
            println!("{ended:?}");
            // With `Content-Length`, the content is in memory at most twice: as the response and as the file.
            assert_eq!(ended[0], ("value", 0));
            Ok(())
        })
        .await
}
