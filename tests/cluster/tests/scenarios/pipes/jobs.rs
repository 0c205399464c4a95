//! Pipes between Jobs, which have no common run by default, and the outputs of a CronJob, which are deleted
//! with it.

use anyhow::{Context as _, Result};
use bootlace_cluster::command::{command, output};
use bootlace_cluster::images::BUSYBOX;
use bootlace_cluster::scenario::{LIMIT, Namespace, scenario, state};
use bootlace_cluster::wait::until_async;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};

use super::{pipes, stored};

/// A Job whose pod has the spec `spec`. If `joined`, it is a task of the run `deploy-7` of the workflow
/// `shop`.
pub(crate) fn job(name: &str, joined: bool, pipes: &Value, spec: &Value) -> Value {
    let mut annotations = pipes.clone();
    if joined {
        annotations["bootlace.dev/workflow"] = json!("shop");
        annotations["bootlace.dev/run"] = json!("deploy-7");
    }
    let mut pod = json!({"restartPolicy": "Never", "terminationGracePeriodSeconds": 5});
    for (field, value) in spec.as_object().expect("a spec is an object") {
        pod[field] = value.clone();
    }
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": {
            "metadata": {"labels": {"bootlace.dev/task": "true"}, "annotations": annotations},
            "spec": pod,
        }},
    })
}

pub(crate) fn shell(script: &str) -> Value {
    json!({"name": "main", "image": BUSYBOX, "command": ["sh", "-c", script]})
}

pub(crate) async fn job_log(namespace: &Namespace, job: &str) -> Result<String> {
    let pods = namespace.job_completed(job).await?;
    let [pod] = &pods[..] else { panic!("{} pods", pods.len()) };
    namespace.log(&pod.name_any(), "main").await
}

/// Waits for the first pod of a Job, and returns its name.
pub(crate) async fn first_pod(namespace: &Namespace, job: &str) -> Result<String> {
    until_async(LIMIT, "the Job has no pod", async || {
        let pods = namespace.pods(&format!("batch.kubernetes.io/job-name={job}")).await?;
        pods.first().map(ResourceExt::name_any).context("no pod found")
    })
    .await
}

/// The example of the KUDO documentation: one step creates a certificate, and a later one mounts it.
#[tokio::test]
async fn a_certificate_of_one_job_is_mounted_by_the_next() -> Result<()> {
    scenario("pipes-kudo")
        .run(async |namespace| {
            let out =
                json!({"bootlace.dev/pipe-out": "- {key: '{{.Pipes.Certificate}}', file: /usr/share/MyKey.key, kind: Secret}"});
            let script = "mkdir -p /usr/share; printf '\\000\\377secret' > /usr/share/MyKey.key";
            let gencert = job("gencert", true, &out, &json!({"containers": [shell(script)]}));
            namespace.create(&gencert.to_string()).await?;
            namespace.job_completed("gencert").await?;
            assert_eq!(stored(namespace).await?, ["Certificate Secret by gencert"]);

            let mut container = shell("od -A n -t x1 /etc/certs/MyKey.key");
            container["volumeMounts"] = json!([{"name": "cert", "mountPath": "/etc/certs"}]);
            let volume = json!({"name": "cert", "secret": {"secretName": "{{.Pipes.Certificate}}"}});
            let myapp =
                job("myapp", true, &json!({}), &json!({"containers": [container], "volumes": [volume]}));
            namespace.create(&myapp.to_string()).await?;
            assert_eq!(job_log(namespace, "myapp").await?.trim(), "00 ff 73 65 63 72 65 74");

            // The run is not a Job, so the output remains when the Job is deleted.
            namespace.api::<Job>().delete("gencert", &DeleteParams::background()).await?;
            for pipe in pipes(namespace).await? {
                assert_eq!(pipe.metadata.owner_references, None);
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn what_is_not_stored_yet_lets_the_job_controller_try_again() -> Result<()> {
    scenario("pipes-later")
        .run(async |namespace| {
            let inputs = json!({"bootlace.dev/pipe-in": "- {key: Word, env: WORD}"});
            let later = job("later", true, &inputs, &json!({"containers": [shell("echo $WORD")]}));
            namespace.create(&later.to_string()).await?;
            let events = namespace.api::<k8s_openapi::api::core::v1::Event>();
            let has_event = async || {
                let list = events.list(&ListParams::default().fields("reason=FailedCreate")).await?;
                let message = list.items.into_iter().find_map(|event| event.message).unwrap_or_default();
                for part in ["Word", "shop", "deploy-7", "[BL1708]"] {
                    anyhow::ensure!(message.contains(part), "{part:?} is not in {message:?}");
                }
                Ok(())
            };
            until_async(LIMIT, "no Event contains the reason why the Job has no pod", has_event).await?;

            let out = json!({"bootlace.dev/pipe-out": "- {key: Word, file: /tmp/word, kind: ConfigMap}"});
            let first = job("first", true, &out, &json!({"containers": [shell("printf found > /tmp/word")]}));
            namespace.create(&first.to_string()).await?;
            namespace.job_completed("first").await?;
            assert_eq!(job_log(namespace, "later").await?, "found\n");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn outputs_of_a_job_are_deleted_with_its_cronjob() -> Result<()> {
    scenario("pipes-owned")
        .run(async |namespace| {
            let out = json!({"bootlace.dev/pipe-out": "- {key: Word, file: '/tmp/*.txt', kind: Secret}"});
            let script = "printf 1 > /tmp/a.txt; printf 2 > /tmp/b.txt";
            let template = job("unused", false, &out, &json!({"containers": [shell(script)]}));
            let cron = json!({
                "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "report"},
                // Never runs by schedule. The scenario creates a Job from it, to not wait for a full minute.
                "spec": {"schedule": "0 0 30 2 *", "jobTemplate": {"spec": template["spec"]}},
            });
            namespace.create(&cron.to_string()).await?;
            let mut now = command("kubectl");
            now.args(["--namespace", namespace.name(), "create", "job", "owner", "--from=cronjob/report"]);
            output(&mut now).await?;
            namespace.job_completed("owner").await?;
            assert_eq!(stored(namespace).await?, ["Word Secret by -"]);
            let managed = ListParams::default().labels("app.kubernetes.io/managed-by=bootlace");
            let secrets = namespace.api::<Secret>();
            let list = secrets.list(&managed).await?.items;
            let [secret] = &list[..] else { panic!("{} Secrets", list.len()) };
            let data = secret.data.as_ref().expect("the Secret has data");
            assert_eq!(data.keys().collect::<Vec<_>>(), ["a.txt", "b.txt"]);

            namespace.api::<CronJob>().delete("report", &DeleteParams::background()).await?;
            until_async(LIMIT, "the output of a Job remains after its CronJob is deleted", async || {
                let remaining = pipes(namespace).await?.len() + secrets.list(&managed).await?.items.len();
                anyhow::ensure!(remaining == 0, "{remaining} objects remain");
                Ok(())
            })
            .await
        })
        .await
}

#[tokio::test]
async fn a_task_that_ends_with_0_within_the_grace_of_its_deletion_keeps_its_output() -> Result<()> {
    scenario("pipes-grace")
        .run(async |namespace| {
            let out = json!({"bootlace.dev/pipe-out": "- {key: Word, file: /tmp/word, kind: ConfigMap}"});
            let script =
                "trap 'printf found > /tmp/word; exit 0' TERM; touch /tmp/ready; while :; do sleep 0.1; done";
            let mut container = shell(script);
            container["readinessProbe"] =
                json!({"exec": {"command": ["test", "-e", "/tmp/ready"]}, "periodSeconds": 1});
            let pod = json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "ends", "labels": {"bootlace.dev/task": "true"}, "annotations": {
                    "bootlace.dev/workflow": "shop", "bootlace.dev/run": "deploy-7",
                    "bootlace.dev/pipe-out": out["bootlace.dev/pipe-out"],
                }},
                "spec": {"restartPolicy": "Never", "containers": [container]},
            });
            namespace.create(&pod.to_string()).await?;
            namespace.pod_ready("ends").await?;
            let params = DeleteParams { grace_period_seconds: Some(20), ..DeleteParams::default() };
            namespace.api::<Pod>().delete("ends", &params).await?;
            until_async(LIMIT, "the deleted pod still exists", async || {
                anyhow::ensure!(namespace.api::<Pod>().get_opt("ends").await?.is_none(), "pod ends found");
                Ok(())
            })
            .await?;
            assert_eq!(stored(namespace).await?, ["Word ConfigMap by ends"]);
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_task_without_its_output_fails_and_says_so() -> Result<()> {
    scenario("pipes-missing")
        .run(async |namespace| {
            let out = json!({"bootlace.dev/pipe-out": "- {key: Word, file: /tmp/word, kind: Secret}"});
            let job = job("forgets", false, &out, &json!({"containers": [shell("true")]}));
            namespace.create(&job.to_string()).await?;
            let pod = first_pod(namespace, "forgets").await?;
            let pod = namespace.pod_failed(&pod).await?;
            assert_eq!(state::ended(&pod, "main")?.exit_code, 74);
            let message = state::message(&pod, "main")?;
            assert!(message.contains("\"/tmp/word\"") && message.ends_with("[BL7502]\n"), "{message}");
            assert_eq!(state::ended(&pod, "bootlace-pipe")?.exit_code, 0);
            assert!(pipes(namespace).await?.is_empty());
            Ok(())
        })
        .await
}
