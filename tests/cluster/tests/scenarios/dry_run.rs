//! Pods as no one person would write them, judged by the API server's own validation.

use anyhow::Result;
use bootlace_cluster::scenario::release::LABEL;
use bootlace_cluster::scenario::{Namespace, scenario};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

#[path = "../../../../core/tests/admission/pods.rs"]
mod pods;

/// How many pods are compared. Those that the API server refuses as they are do not count.
const PODS: usize = 50;

#[tokio::test]
async fn what_the_api_server_takes_as_it_is_it_takes_injected_with_every_field_kept() -> Result<()> {
    // No release looks at the one: what comes back from it is the pod without Bootlace.
    let plain = scenario("dry-run-plain").label(LABEL, "nobody");
    let injected = scenario("dry-run");
    injected.run(async |injected| plain.run(async |plain| compare(plain, injected).await).await).await
}

async fn compare(plain: &Namespace, injected: &Namespace) -> Result<()> {
    // Always the same pods.
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut compared = 0;
    for _ in 0..2 * PODS {
        let mut pod = pods::pod().new_tree(&mut runner).expect("nothing is filtered").current();
        make_whole(&mut pod);
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

/// What the generator leaves out and the API server insists on.
fn make_whole(pod: &mut Value) {
    // The token's volume has a new name each time.
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

/// The pod as the API server would store it, but for what differs from one pod to the next.
async fn create(namespace: &Namespace, pod: &Value) -> Result<Value> {
    let created = namespace.dry_run(&pod.to_string()).await?;
    let mut object = serde_json::to_value(&created[0].object)?;
    let metadata = object["metadata"].as_object_mut().expect("a pod has metadata");
    for field in ["namespace", "uid", "creationTimestamp", "managedFields"] {
        metadata.remove(field);
    }
    Ok(object)
}
