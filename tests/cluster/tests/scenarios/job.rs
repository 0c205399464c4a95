//! Jobs whose pods opt in with a label.

use anyhow::Result;
use bootlace_cluster::images::PROBE;
use bootlace_cluster::scenario::scenario;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Value, json};

fn job(label: &str, container: &Value) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "nightly"},
        "spec": {"backoffLimit": 0, "template": {
            "metadata": {"labels": {"bootlace.dev/task": label}},
            "spec": {"restartPolicy": "Never", "containers": [container]},
        }},
    })
}

#[tokio::test]
async fn it_completes_with_env_files_and_its_original_arguments() -> Result<()> {
    scenario("job")
        .run(async |namespace| {
            let values = [
                ("LINES", "one\ntwo\n"),
                ("UNICODE", "déjà vu ✓"),
                ("QUOTES", r#"it's "quoted" \ and `back`"#),
                ("REFERENCE", "$(HOSTNAME) $$5 $HOME ${HOME}"),
                ("EMPTY", ""),
                ("SPACES", "  both ends  "),
            ];
            let env: Value = values.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
            let mut inline = json!({"env": env, "files": {"sql/report.sql": "select '$(DAY)';\n"}});
            inline["env"]["OWNER"] = json!("the profile");
            namespace
                .profile(&json!({"sources": [{"name": "settings", "inline": inline}]}).to_string())
                .await?;

            let odd =
                ["", "it's \"quoted\"", "two\nlines", "$(NOBODY)", "é", "--container=other", "--", "a b"];
            let actions =
                ["argv", "environ", "status", "file=/var/assets/sql/report.sql", "file=/bootlace/task.json"];
            let arguments = [&actions[..], &["--"], &odd[..]].concat();
            let container = json!({
                "name": "main", "image": PROBE, "command": ["/probe"], "args": arguments,
                "env": [{"name": "OWNER", "value": "the pod"}],
            });
            namespace.create(&job(namespace.name(), &container).to_string()).await?;
            let pods = namespace.job_completed("nightly").await?;
            let [pod] = &pods[..] else { panic!("{} pods", pods.len()) };

            let process = namespace.process(&pod.name_any(), "main").await?;
            assert_eq!(process.status("Pid")?, "1");
            let argv: Vec<_> = ["/probe"].iter().chain(&arguments).map(|word| word.as_bytes()).collect();
            assert_eq!(process.argv, argv);
            for (name, value) in values {
                assert_eq!(process.env(name), Some(value.as_bytes()), "{name}");
            }
            assert_eq!(process.env("OWNER"), Some(&b"the pod"[..]));
            let is_internal = |name: &String| name.starts_with("BOOTLACE");
            assert!(!process.env_names().iter().any(is_internal), "{:?}", process.env_names());
            assert_eq!(process.file("/var/assets/sql/report.sql")?, b"select '$(DAY)';\n");
            assert_eq!(process.json("/bootlace/task.json")?["task"], identity(pod));
            Ok(())
        })
        .await
}

/// The identity of the task, from the labels of the Job controller.
fn identity(pod: &Pod) -> Value {
    let uid = &pod.labels()["batch.kubernetes.io/controller-uid"];
    json!({"scheduler": "job", "workflow": "nightly", "run": uid})
}

#[tokio::test]
async fn each_pod_of_an_indexed_job_knows_its_index() -> Result<()> {
    scenario("job-indexed")
        .run(async |namespace| {
            let container =
                json!({"name": "main", "image": PROBE, "command": ["/probe", "file=/bootlace/task.json"]});
            let mut job = job("true", &container);
            job["spec"]["completionMode"] = json!("Indexed");
            job["spec"]["completions"] = json!(2);
            job["spec"]["parallelism"] = json!(2);
            namespace.create(&job.to_string()).await?;
            for pod in namespace.job_completed("nightly").await? {
                let task = namespace.process(&pod.name_any(), "main").await?.json("/bootlace/task.json")?;
                let index = &pod.labels()["batch.kubernetes.io/job-completion-index"];
                assert_eq!(task["task"]["mapIndex"], json!(index), "{task}");
            }
            Ok(())
        })
        .await
}
