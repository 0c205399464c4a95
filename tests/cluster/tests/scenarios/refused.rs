//! Pods and profiles that are refused, with a message that contains the remedy.

use anyhow::Result;
use bootlace_cluster::images::BUSYBOX;
use bootlace_cluster::scenario::{Namespace, scenario};
use serde_json::{Value, json};

fn pod(label: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "task", "labels": {"bootlace.dev/task": label}},
        "spec": {"containers": [{"name": "main", "image": BUSYBOX, "command": ["true"]}]},
    })
}

/// Creates an object that must be refused, and returns the error message.
async fn refusal(namespace: &Namespace, object: &Value) -> String {
    match namespace.create(&object.to_string()).await {
        Ok(_) => panic!("the object was not refused: {object}"),
        Err(error) => format!("{error:#}"),
    }
}

fn assert_contains(refusal: &str, parts: &[&str]) {
    for part in parts {
        assert!(refusal.contains(part), "{part:?} is not in {refusal:?}");
    }
}

#[tokio::test]
async fn the_error_for_an_unknown_profile_lists_the_existing_ones() -> Result<()> {
    scenario("refused-profile")
        .run(async |namespace| {
            namespace.profile("{}").await?;
            let refusal = refusal(namespace, &pod("etl-typo")).await;
            let start = "admission webhook \"task.bootlace.dev\" denied the request: bootlace: pod task: ";
            assert_contains(&refusal, &[start, "\"etl-typo\"", "default", namespace.name(), "[BL1101]"]);
            Ok(())
        })
        .await
}

#[tokio::test]
async fn what_the_pod_itself_has_wrong_is_named() -> Result<()> {
    scenario("refused-pod")
        .run(async |namespace| {
            let with = |change: &dyn Fn(&mut Value)| {
                let mut pod = pod("true");
                change(&mut pod);
                pod
            };
            let mounted_at = |path: &str| {
                with(&|pod| {
                    pod["spec"]["volumes"] = json!([{"name": "own", "emptyDir": {}}]);
                    pod["spec"]["containers"][0]["volumeMounts"] =
                        json!([{"name": "own", "mountPath": path}]);
                })
            };
            let cases = [
                (
                    with(&|pod| pod["metadata"]["annotations"] = json!({"bootlace.dev/containers": "mian"})),
                    &["bootlace.dev/containers", "\"mian\"", "[BL1203]"][..],
                ),
                (
                    with(&|pod| pod["metadata"]["annotations"] = json!({"bootlace.dev/containers": " , "})),
                    &["bootlace.dev/containers", "[BL1205]"],
                ),
                (
                    with(&|pod| pod["spec"]["containers"][0]["name"] = json!("bootlace-boot")),
                    &["container", "\"bootlace-boot\"", "[BL1206]"],
                ),
                (
                    with(&|pod| pod["spec"]["volumes"] = json!([{"name": "bootlace", "emptyDir": {}}])),
                    &["volume", "\"bootlace\"", "[BL1206]"],
                ),
                (mounted_at("/bootlace"), &["\"main\"", "\"own\"", "/bootlace", "[BL1207]"]),
                (
                    mounted_at("/var/assets/"),
                    &["\"main\"", "\"own\"", "/var/assets/", "assets.mountPath", "\"default\"", "[BL1207]"],
                ),
                (
                    mounted_at("/var/assets/cache"),
                    &["\"main\"", "\"own\"", "/var/assets/cache", "\"bootlace\"", "read-only", "[BL1207]"],
                ),
                (
                    with(&|pod| {
                        let mount = json!({"name": "bootlace-store", "mountPath": "/token"});
                        pod["spec"]["containers"][0]["volumeMounts"] = json!([mount]);
                    }),
                    &["\"main\"", "\"bootlace-store\"", "/token", "[BL1208]"],
                ),
                (
                    with(&|pod| pod["spec"]["nodeSelector"] = json!({"kubernetes.io/arch": "arm64"})),
                    &["arm64", "amd64", "[BL1209]"],
                ),
            ];
            for (pod, parts) in cases {
                let refusal = refusal(namespace, &pod).await;
                assert_contains(&refusal, &["denied the request: bootlace: pod task: "]);
                assert_contains(&refusal, parts);
            }
            Ok(())
        })
        .await
}

/// Specs that violate the rules of the CRD, and the messages. Profiles from files are validated with the same
/// rules.
fn rule_samples() -> Result<Vec<(Value, String)>> {
    #[derive(serde::Deserialize)]
    struct Sample {
        message: String,
        spec: Value,
    }
    let samples: Vec<Sample> =
        serde_saphyr::from_str(include_str!("../../../../core/tests/profiles/refused.yaml"))?;
    Ok(samples.into_iter().map(|Sample { message, spec }| (spec, message)).collect())
}

#[tokio::test]
async fn the_api_server_itself_refuses_a_profile_that_means_nothing() -> Result<()> {
    scenario("refused-spec")
        .run(async |namespace| {
            let schema_samples = [
                (
                    json!({"boot": {"initImage": {"allow": [{"registry": "https://r.example.com", "repository": "a"}]}}}),
                    "spec.boot.initImage.allow[0].registry in body should match",
                ),
                (json!({"boot": {"runAsUser": 0}}), "should be greater than or equal to 1"),
                (json!({"hook": {"timeoutSeconds": 0}}), "should be greater than or equal to 1"),
                (json!({"assets": {"mountPath": "data"}}), "spec.assets.mountPath in body should match"),
                (json!({"env": {"mode": "launch"}}), "supported values: \"Auto\", \"Launch\""),
            ];
            let schema_samples = schema_samples.map(|(spec, message)| (spec, message.to_owned()));
            for (spec, message) in schema_samples.into_iter().chain(rule_samples()?) {
                let profile = json!({
                    "apiVersion": "bootlace.dev/v1alpha1", "kind": "BootProfile",
                    "metadata": {"name": namespace.name()}, "spec": spec,
                });
                assert_contains(&refusal(namespace, &profile).await, &["create BootProfile", &message]);
            }
            Ok(())
        })
        .await
}

/// Profiles that the API server accepts but no pod could boot with. The refusal of a pod contains the reason,
/// and has another code than that for a profile that does not exist.
#[tokio::test]
async fn a_profile_that_no_pod_could_boot_with_is_not_in_force() -> Result<()> {
    #[derive(serde::Deserialize)]
    struct Sample {
        message: String,
        spec: Value,
    }
    scenario("refused-not-in-force")
        .run(async |namespace| {
            let samples: Vec<Sample> =
                serde_saphyr::from_str(include_str!("../../../../core/tests/profiles/not_in_force.yaml"))?;
            let name = |number: usize| format!("{}-{number}", namespace.name());
            for (number, Sample { spec, .. }) in samples.iter().enumerate() {
                namespace.profile_called(&name(number), &spec.to_string()).await?;
            }
            for (number, Sample { message, .. }) in samples.iter().enumerate() {
                let name = name(number);
                let refusal = refusal(namespace, &pod(&name)).await;
                assert_contains(&refusal, &[&format!("BootProfile {name:?}"), message, "[BL1102]"]);
            }
            Ok(())
        })
        .await
}
