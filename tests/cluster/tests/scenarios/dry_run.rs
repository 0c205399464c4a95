//! Generated pods, validated by the API server.

use anyhow::Result;
use bootlace_cluster::scenario::release::LABEL;
use bootlace_cluster::scenario::{Namespace, scenario};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

#[path = "../../../../core/tests/admission/pods.rs"]
mod pods;

/// The number of pods that are compared. Pods that the API server refuses without Bootlace do not count.
const PODS: usize = 50;

#[tokio::test]
async fn pods_that_the_api_server_accepts_are_accepted_injected_with_all_fields() -> Result<()> {
    // No release selects the first namespace: its pods are not injected.
    let plain = scenario("dry-run-plain").label(LABEL, "nobody");
    let injected = scenario("dry-run");
    injected.run(async |injected| plain.run(async |plain| compare(plain, injected).await).await).await
}

async fn compare(plain: &Namespace, injected: &Namespace) -> Result<()> {
    // A fixed seed, so that the pods are the same in each run.
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut compared = 0;
    for _ in 0..2 * PODS {
        let mut pod = pods::pod().new_tree(&mut runner).expect("the strategy has no filter").current();
        complete(&mut pod);
        let Ok(before) = create(plain, &pod).await else { continue };
        let after = create(injected, &pod).await?;
        assert!(after.pointer("/metadata/annotations/bootlace.dev~1injected").is_some(), "{after}");
        assert_eq!(pods::kept(&before, &after, ""), Ok(()), "{pod}");
        compared += 1;
        if compared == PODS {
            return Ok(());
        }
    }
    panic!("only {compared} of {} pods were valid", 2 * PODS);
}

/// Adds what the generator omits and the API server requires.
fn complete(pod: &mut Value) {
    // The volume of the token has a random name.
    pod["spec"]["automountServiceAccountToken"] = json!(false);
    if pod["spec"]["volumes"].as_array().is_none_or(Vec::is_empty) {
        pod["spec"]["volumes"] = json!([{"name": "volume-0", "emptyDir": {}}]);
    }
    for list in ["containers", "initContainers"] {
        for container in pod["spec"][list].as_array_mut().into_iter().flatten() {
            if let Some(mounts) = container["volumeMounts"].as_array_mut() {
                let mut seen = Vec::new();
                mounts.retain(|mount| {
                    let new = !seen.contains(&mount["mountPath"]);
                    seen.push(mount["mountPath"].clone());
                    new
                });
            }
            if list == "initContainers" {
                container.as_object_mut().expect("a container is an object").remove("lifecycle");
            }
        }
    }
}

/// The pod as the API server would store it, without the fields that differ between two requests.
async fn create(namespace: &Namespace, pod: &Value) -> Result<Value> {
    let created = namespace.dry_run(&pod.to_string()).await?;
    let mut object = serde_json::to_value(&created[0].object)?;
    let metadata = object["metadata"].as_object_mut().expect("a pod has metadata");
    for field in ["namespace", "uid", "creationTimestamp", "managedFields"] {
        metadata.remove(field);
    }
    Ok(object)
}
