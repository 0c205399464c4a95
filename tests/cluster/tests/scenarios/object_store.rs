//! Files from an object store in the namespace of the task, with access keys from a Secret.

use anyhow::Result;
use bootlace_cluster::images::PROBE;
use bootlace_cluster::scenario::{scenario, servers};
use kube::ResourceExt;
use serde_json::{Value, json};

/// The secret access key, which must not be in any log or pod spec.
const KEY: &str = "zq7Xv0hunter2";

/// The objects in the store.
fn objects() -> Value {
    json!({
        "jobs/daily/sql/q.sql": "select 1\n",
        "jobs/config.json": json!({"env": {"REGION": "eu-west-1"}}).to_string(),
    })
}

#[tokio::test]
async fn a_job_boots_from_a_prefix_and_an_object_with_keys_from_a_secret() -> Result<()> {
    scenario("object-store")
        .run(async |namespace| {
            servers::s3(namespace, KEY, &objects()).await?;
            namespace
                .profile(
                    "
                    sources:
                    - name: queries
                      objectStore:
                        s3: { bucket: assets, endpoint: 'http://store' }
                        prefix: jobs/daily
                        folder: in
                        credentials: { secret: s3 }
                    - name: settings
                      objectStore:
                        s3: { bucket: assets, endpoint: 'http://store' }
                        object: jobs/config.json
                        json: [{ pointer: /env, into: Env }]
                        credentials: { secret: s3 }
                    ",
                )
                .await?;
            let job = json!({
                "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "daily"},
                "spec": {"backoffLimit": 0, "template": {
                    "metadata": {"labels": {"bootlace.dev/task": namespace.name()}},
                    "spec": {"restartPolicy": "Never", "containers": [{
                        "name": "main", "image": PROBE, "command": ["/probe"],
                        "args": ["environ", "file=/var/assets/in/sql/q.sql"],
                    }]},
                }},
            });
            namespace.create(&job.to_string()).await?;
            let pods = namespace.job_completed("daily").await?;
            let [pod] = &pods[..] else { panic!("{} pods", pods.len()) };
            let process = namespace.process(&pod.name_any(), "main").await?;
            assert_eq!(process.file("/var/assets/in/sql/q.sql")?, b"select 1\n");
            assert_eq!(process.env("REGION"), Some(&b"eu-west-1"[..]));

            let log = namespace.log(&pod.name_any(), "bootlace-boot").await?;
            assert!(
                log.contains("source \"queries\" (s3://assets/jobs/daily): 0 variables, 1 file, 9 B in "),
                "{log}"
            );
            let everything = format!("{log}{}", serde_json::to_string(pod)?);
            assert!(!everything.contains(KEY), "{everything}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn wrong_keys_end_the_task_with_a_sentence_that_names_the_remedy() -> Result<()> {
    scenario("object-store-denied")
        .run(async |namespace| {
            servers::s3(namespace, KEY, &objects()).await?;
            let wrong = json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "wrong"},
                "stringData": {"AWS_ACCESS_KEY_ID": "tasks", "AWS_SECRET_ACCESS_KEY": format!("{KEY}-wrong")},
            });
            namespace.create(&wrong.to_string()).await?;
            namespace
                .profile(
                    "
                    sources:
                    - name: queries
                      objectStore:
                        s3: { bucket: assets, endpoint: 'http://store' }
                        prefix: jobs/daily
                        credentials: { secret: wrong }
                    ",
                )
                .await?;
            let pod = json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "task", "labels": {"bootlace.dev/task": namespace.name()}},
                "spec": {"restartPolicy": "Never", "containers": [
                    {"name": "main", "image": PROBE, "command": ["/probe"]},
                ]},
            });
            namespace.create(&pod.to_string()).await?;
            namespace.pod_failed("task").await?;
            let log = namespace.log("task", "bootlace-boot").await?;
            let error = log.lines().last().unwrap();
            for part in [
                "source \"queries\" (s3://assets/jobs/daily) of BootProfile ",
                ": http://store/assets: the server responded with 403 Forbidden (\"SignatureDoesNotMatch: ",
                "correct the keys in the Secret of credentials.secret",
            ] {
                assert!(error.contains(part), "{part:?} is not in: {error}");
            }
            assert!(!log.contains(KEY), "{log}");
            Ok(())
        })
        .await
}
