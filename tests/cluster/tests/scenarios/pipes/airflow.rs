//! Pipes with the operator of Airflow: DAGs with annotations and volumes, and unmodified images.

use std::collections::BTreeSet;

use anyhow::Result;
use bootlace_cluster::airflow::{Airflow, DagRun};
use bootlace_cluster::images::BUSYBOX;
use bootlace_cluster::scenario::{LIMIT, Namespace, Scenario, kubeconfig, scenario};
use bootlace_cluster::wait::until_async;
use k8s_openapi::api::core::v1 as core;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use super::{pipes, stored};

fn opted_in(name: &'static str) -> Scenario {
    scenario(name).label("bootlace.dev/schedulers", "enabled")
}

async fn run(namespace: &Namespace, dag: &str) -> Result<DagRun> {
    let run = Airflow::new(&kubeconfig()?, namespace.name()).await?.run(dag, "2026-01-01").await?;
    assert!(run.succeeded, "{}", run.log);
    Ok(run)
}

async fn logs(namespace: &Namespace, task: &str) -> Result<Vec<String>> {
    let mut logs = Vec::new();
    for pod in namespace.pods(&format!("kubernetes_pod_operator=True,task_id={task}")).await? {
        logs.push(namespace.log(&pod.name_any(), "base").await?);
    }
    logs.sort();
    Ok(logs)
}

/// Sets the profile of the scenario as the default of the namespace, and waits until the webhook uses it.
async fn boots_with_its_own_profile(namespace: &Namespace) -> Result<()> {
    let labels = json!({"metadata": {"labels": {"bootlace.dev/profile": namespace.name()}}});
    let namespaces = Api::<core::Namespace>::all(namespace.client());
    namespaces.patch(namespace.name(), &PatchParams::default(), &Patch::Merge(labels)).await?;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "test", "labels": {"bootlace.dev/task": "true"}},
        "spec": {"containers": [{"name": "main", "image": BUSYBOX, "command": ["true"]}]},
    });
    until_async(LIMIT, "the webhook does not use the profile of the namespace", async || {
        let created = namespace.dry_run(&pod.to_string()).await?;
        let injected = &created[0].object.annotations()["bootlace.dev/injected"];
        anyhow::ensure!(injected.contains(&format!("\"profile\":\"{}\"", namespace.name())), "{injected}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_certificate_and_a_text_reach_the_tasks_that_name_them() -> Result<()> {
    opted_in("pipes-dag")
        .run(async |namespace| {
            run(namespace, "certificates").await?;
            assert_eq!(logs(namespace, "serve").await?, ["certificate of the run"]);
            assert_eq!(logs(namespace, "publish").await?, ["read me, read me\n"]);
            assert_eq!(
                stored(namespace).await?,
                ["Certificate Secret by issue", "Notice ConfigMap by issue"]
            );
            for pipe in pipes(namespace).await? {
                assert_eq!(
                    pipe.metadata.owner_references, None,
                    "Airflow has no Kubernetes object for a run"
                );
                assert!(pipe.data.pointer("/spec/expires").is_some(), "{pipe:?}");
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn each_index_of_a_mapped_task_uses_the_output_of_the_same_index() -> Result<()> {
    opted_in("pipes-mapped")
        .run(async |namespace| {
            run(namespace, "mapped_pipes").await?;
            assert_eq!(
                logs(namespace, "read").await?,
                ["a reads part a\n", "b reads part b\n", "c reads part c\n"]
            );
            assert_eq!(stored(namespace).await?, ["Part ConfigMap by write"; 3]);
            Ok(())
        })
        .await
}

/// When a run is cleared, its tasks run again, as part of the same run.
#[tokio::test]
async fn a_cleared_run_uses_the_last_outputs_of_its_tasks() -> Result<()> {
    opted_in("pipes-cleared")
        .run(async |namespace| {
            let airflow = Airflow::new(&kubeconfig()?, namespace.name()).await?;
            let run = airflow.run_and_clear("cleared_pipes", "2026-01-01").await?;
            assert!(run.succeeded, "{}", run.log);
            let [first, second] = &logs(namespace, "result").await?[..] else { panic!("not two pods") };
            assert_ne!(first, second, "the second time used the output of the first time");
            assert_eq!(stored(namespace).await?, ["Pod ConfigMap by names"; 2], "one for each time");
            let runs: BTreeSet<_> = pipes(namespace)
                .await?
                .iter()
                .map(|pipe| pipe.data["spec"]["producer"]["run"].to_string())
                .collect();
            assert_eq!(runs.len(), 1, "the Pipes belong to different runs: {runs:?}");
            // Each input is the output of the task that ran before it.
            let mut names = Vec::new();
            for pod in namespace.pods("kubernetes_pod_operator=True,task_id=names").await? {
                names.push(format!("made by {}\n", pod.name_any()));
            }
            names.sort();
            assert_eq!(logs(namespace, "result").await?, names);
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_retried_task_replaces_what_its_first_attempt_stored() -> Result<()> {
    opted_in("pipes-retried")
        .run(async |namespace| {
            namespace.profile("pipes: { onFailure: Store }").await?;
            boots_with_its_own_profile(namespace).await?;
            run(namespace, "retried_pipes").await?;
            assert_eq!(logs(namespace, "result").await?, ["the result is second\n"]);
            assert_eq!(stored(namespace).await?, ["Result ConfigMap by tries"; 2], "one for each attempt");
            Ok(())
        })
        .await
}
