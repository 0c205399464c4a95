//! What cannot be booted as asked is refused, with a sentence that says what to change.

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

/// What the API server answers to the creation of something that it must refuse.
async fn refusal(namespace: &Namespace, object: &Value) -> String {
    match namespace.create(&object.to_string()).await {
        Ok(_) => panic!("it was not refused: {object}"),
        Err(error) => format!("{error:#}"),
    }
}

fn assert_says(refusal: &str, parts: &[&str]) {
    for part in parts {
        assert!(refusal.contains(part), "{part:?} is not in {refusal:?}");
    }
}

#[tokio::test]
async fn a_label_that_names_no_profile_tells_which_there_are() -> Result<()> {
    scenario("refused-profile")
        .run(async |namespace| {
            namespace.profile("{}").await?;
            let refusal = refusal(namespace, &pod("etl-typo")).await;
            let start =
                "admission webhook \"task.bootlace.dev\" denied the request: bootlace: pod task: BootProfile \"etl-typo\" ";
            assert_says(&refusal, &[start, "\"default\"", namespace.name(), "[BL1101]"]);
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
                    &["bootlace.dev/containers", "\"mian\"", "\"main\"", "[BL1203]"][..],
                ),
                (
                    with(&|pod| pod["metadata"]["annotations"] = json!({"bootlace.dev/containers": " , "})),
                    &["bootlace.dev/containers", "[BL1205]"],
                ),
                (
                    with(&|pod| pod["spec"]["containers"][0]["name"] = json!("bootlace-boot")),
                    &["container \"bootlace-boot\"", "[BL1206]"],
                ),
                (
                    with(&|pod| pod["spec"]["volumes"] = json!([{"name": "bootlace", "emptyDir": {}}])),
                    &["volume \"bootlace\"", "[BL1206]"],
                ),
                (mounted_at("/bootlace"), &["container \"main\"", "\"own\" at /bootlace", "[BL1207]"]),
                (
                    mounted_at("/var/assets/"),
                    &["\"own\" at /var/assets/", "assets.mountPath in BootProfile \"default\"", "[BL1207]"],
                ),
                (
                    mounted_at("/var/assets/cache"),
                    &["\"own\" at /var/assets/cache", "\"bootlace\" at /var/assets", "[BL1207]"],
                ),
                (
                    with(&|pod| {
                        let mount = json!({"name": "bootlace-store", "mountPath": "/token"});
                        pod["spec"]["containers"][0]["volumeMounts"] = json!([mount]);
                    }),
                    &["container \"main\"", "\"bootlace-store\" at /token", "[BL1208]"],
                ),
                (
                    with(&|pod| pod["spec"]["nodeSelector"] = json!({"kubernetes.io/arch": "arm64"})),
                    &["arm64", "amd64", "[BL1209]"],
                ),
            ];
            for (pod, details) in cases {
                let refusal = refusal(namespace, &pod).await;
                assert_says(&refusal, &["denied the request: bootlace: pod task: "]);
                assert_says(&refusal, details);
            }
            Ok(())
        })
        .await
}

/// What breaks the rules of the CRD, and the sentences of those rules: the same that profiles from files are held to.
fn of_the_rules() -> Result<Vec<(Value, String)>> {
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
            let of_the_schema = [
                (
                    json!({"boot": {"initImage": {"allow": [{"registry": "https://r.example.com", "repository": "a"}]}}}),
                    "spec.boot.initImage.allow[0].registry in body should match",
                ),
                (json!({"boot": {"runAsUser": 0}}), "should be greater than or equal to 1"),
                (json!({"hook": {"timeoutSeconds": 0}}), "should be greater than or equal to 1"),
                (json!({"assets": {"mountPath": "data"}}), "spec.assets.mountPath in body should match"),
                (json!({"env": {"mode": "launch"}}), "supported values: \"Auto\", \"Launch\""),
            ];
            let of_the_schema = of_the_schema.map(|(spec, sentence)| (spec, sentence.to_owned()));
            for (spec, sentence) in of_the_schema.into_iter().chain(of_the_rules()?) {
                let profile = json!({
                    "apiVersion": "bootlace.dev/v1alpha1", "kind": "BootProfile",
                    "metadata": {"name": namespace.name()}, "spec": spec,
                });
                assert_says(&refusal(namespace, &profile).await, &["create BootProfile", &sentence]);
            }
            Ok(())
        })
        .await
}

/// What the API server takes and no pod could boot with: the status says what is wrong, and so does a pod's refusal, in
/// another sentence than that for a profile which does not exist.
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
            let called = |number: usize| format!("{}-{number}", namespace.name());
            for (number, Sample { spec, .. }) in samples.iter().enumerate() {
                namespace.profile_called(&called(number), &spec.to_string()).await?;
            }
            for (number, Sample { message, .. }) in samples.iter().enumerate() {
                let name = called(number);
                let refusal = refusal(namespace, &pod(&name)).await;
                assert_says(&refusal, &[&format!("BootProfile {name:?} "), &message, "[BL1102]"]);
            }
            Ok(())
        })
        .await
}
