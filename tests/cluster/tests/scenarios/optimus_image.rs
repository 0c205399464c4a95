//! An unmodified plugin image of Optimus: its entrypoint sources `/data/in/.env` and `.secret`, then starts
//! the task.

use anyhow::Result;
use bootlace_cluster::images::OPTIMUS_PLUGIN;
use bootlace_cluster::scenario::{Namespace, Process, scenario, servers};
use serde_json::{Value, json};

const QUERY: &str = "select *\nfrom sales\nwhere day = '2026-01-01';\n";
const SECRET: &str = "it's \"awkward\" $HOME `id` \\n\nsecond line";

async fn profile(namespace: &Namespace) -> Result<()> {
    let host = format!("http://optimus.{}.svc.cluster.local:9100", namespace.name());
    let optimus = json!({
        "host": host, "project": "sales", "job": "{{ labels[\"example.com/job\"] }}",
        "scheduledAt": "{{ annotations[\"example.com/scheduled-at\"] }}", "instanceName": "bq2bq",
    });
    let sources = json!([{"name": "job", "optimus": optimus}]);
    namespace.profile(&json!({"assets": {"layout": "Optimus"}, "sources": sources}).to_string()).await
}

/// A task with the plugin image, with other fields of the container in `container`.
fn pod(namespace: &Namespace, name: &str, container: &Value) -> Value {
    let mut main = json!({
        "name": "main", "image": OPTIMUS_PLUGIN,
        "securityContext": {"runAsUser": 1000, "runAsNonRoot": true},
    });
    for (field, value) in container.as_object().expect("a container is an object") {
        main[field] = value.clone();
    }
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {"bootlace.dev/task": namespace.name(), "example.com/job": "daily-report"},
            "annotations": {"example.com/scheduled-at": "2026-01-02T00:00:00Z"},
        },
        "spec": {"restartPolicy": "Never", "containers": [main]},
    })
}

const ACTIONS: [&str; 7] = [
    "environ",
    "status",
    "file=/data/in/query.sql",
    "file=/data/in/macros/day.sql",
    "write=/data/out/result",
    "write=/data/in/query.sql",
    "write=/data/in/new",
];

/// Checks the env, the files and the permissions of a task.
fn check(process: &Process) -> Result<()> {
    assert_eq!(process.status("Uid")?, "1000 1000 1000 1000");
    assert_eq!(process.env("DSTART"), Some(&b"2026-01-01T00:00:00Z"[..]));
    assert_eq!(process.env("JOB_LABELS"), Some(&b"team=data,tier='gold'"[..]));
    assert_eq!(process.env("BQ_KEY"), Some(SECRET.as_bytes()));
    // Variables of the pod override those of the env file.
    assert_eq!(process.env("OWNER"), Some(&b"the pod"[..]));
    assert_eq!(process.file("/data/in/query.sql")?, QUERY.as_bytes());
    assert_eq!(process.file("/data/in/macros/day.sql")?, b"{{ day }}");
    assert_eq!(process.write("/data/out/result")?, "done");
    for path in ["/data/in/query.sql", "/data/in/new"] {
        assert_eq!(process.write(path)?, "read-only filesystem or storage medium", "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn it_runs_unchanged_with_what_the_optimus_server_compiled() -> Result<()> {
    scenario("optimus-image")
        .run(async |namespace| {
            let response = json!({
                "envs": {"DSTART": "2026-01-01T00:00:00Z", "JOB_LABELS": "team=data,tier='gold'", "OWNER": "optimus"},
                "files": {"query.sql": QUERY, "macros/day.sql": "{{ day }}"},
                "secrets": {"BQ_KEY": SECRET},
            });
            servers::optimus(namespace, &response).await?;
            profile(namespace).await?;
            let own = json!([{"name": "OWNER", "value": "the pod"}]);

            // With the entrypoint of the image, which Bootlace does not know.
            let arguments: Vec<_> = ["/probe"].into_iter().chain(ACTIONS).collect();
            let unchanged = pod(namespace, "entrypoint", &json!({"args": arguments, "env": own}));
            namespace.create(&unchanged.to_string()).await?;
            // As in the DAGs that Optimus compiles: a shell sources the files and starts the command.
            let script = format!(
                "set -o allexport; source /data/in/.env; source /data/in/.secret; set +o allexport; mkdir /data/out; exec /probe {}",
                ACTIONS.join(" ")
            );
            let by_a_shell = json!({"command": ["/bin/sh", "-c"], "args": [script], "env": own});
            namespace.create(&pod(namespace, "shell", &by_a_shell).to_string()).await?;

            for (name, mode) in [("entrypoint", "sourced"), ("shell", "launch")] {
                let pod = namespace.pod_succeeded(name).await?;
                check(&namespace.process(name, "main").await?)?;
                let injected = &pod.metadata.annotations.as_ref().expect("the pod has annotations")["bootlace.dev/injected"];
                assert_eq!(serde_json::from_str::<Value>(injected)?["envMode"], mode);
                let log = namespace.log(name, "bootlace-boot").await?;
                let line = "source \"job\" (Optimus job daily-report of sales): 4 variables (1 secret), 2 files, ";
                assert!(log.contains(line) && !log.contains("awkward"), "{log}");
            }

            let requests = namespace.log("optimus", "main").await?;
            assert!(requests.contains("POST /api/v1beta1/project/sales/job/daily-report/run_input HTTP/1.1"), "{requests}");
            assert!(requests.contains(r#""scheduled_at":"2026-01-02T00:00:00Z""#), "{requests}");
            Ok(())
        })
        .await
}
