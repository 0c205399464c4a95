//! `bootlace tasks` as a person with the role `view` uses it, and links.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use bootlace_cluster::images::BUSYBOX;
use bootlace_cluster::scenario::{LIMIT, Namespace, bootlace, kubeconfig, scenario, temporary_folder};
use bootlace_cluster::wait::until_async;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use serde_json::{Value, json};
use tokio::process::Command;

/// Writes the kubeconfig of a user who has the role `view` in the namespace.
async fn view_user(namespace: &Namespace, file: &Path) -> Result<()> {
    let name = namespace.name();
    namespace.create("{apiVersion: v1, kind: ServiceAccount, metadata: {name: viewer}}").await?;
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "viewer"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "viewer", "namespace": name}],
    });
    namespace.create(&binding.to_string()).await?;
    let spec = TokenRequestSpec { expiration_seconds: Some(3600), ..TokenRequestSpec::default() };
    let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
    let accounts = namespace.api::<ServiceAccount>();
    let token = accounts.create_token_request("viewer", &PostParams::default(), &request).await?;
    let token = token.status.context("the API server returned no token")?.token;
    let admin: Value = serde_saphyr::from_str(&std::fs::read_to_string(kubeconfig()?)?)?;
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "viewer",
        "clusters": [{"name": "c", "cluster": admin["clusters"][0]["cluster"]}],
        "users": [{"name": "viewer", "user": {"token": token}}],
        "contexts": [{"name": "viewer", "context": {"cluster": "c", "user": "viewer", "namespace": name}}],
    });
    Ok(std::fs::write(file, config.to_string())?)
}

/// The standard output and standard error of `bootlace tasks`, and whether it succeeded.
async fn tasks(kubeconfig: &Path, words: &[&str]) -> Result<(String, String, bool)> {
    let output =
        Command::new(bootlace()?).arg("tasks").args(words).env("KUBECONFIG", kubeconfig).output().await?;
    let text = |bytes| String::from_utf8(bytes);
    Ok((text(output.stdout)?, text(output.stderr)?, output.status.success()))
}

fn pod(namespace: &Namespace, name: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "labels": {"bootlace.dev/task": namespace.name()},
            "annotations": {"bootlace.dev/run": "r1", "bootlace.dev/workflow": "etl", "team": "a/b"},
        },
        "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [
            {"name": "main", "image": BUSYBOX, "command": ["sh", "-c", "exit 0"]},
        ]},
    });
    change(&mut pod);
    pod.to_string()
}

fn running(pod: &mut Value) {
    pod["spec"]["containers"][0]["command"] = json!(["sleep", "3600"]);
}

const PROFILE: &str = "{
    sources: [{name: settings, inline: {env: {REGION: eu}}}],
    links: {logs: 'https://logs.example.com/{{ namespace }}/{{ annotations.team }}', none: 'https://a.example/{{ labels.none }}'},
    task: {info: {owner: '{{ annotations.team }}'}},
}";

/// Pods in many states, by their names, and what the list must tell of them.
async fn create_pods(namespace: &Namespace) -> Result<Vec<(&'static str, &'static str, &'static str)>> {
    let create = async |name: &str, change: fn(&mut Value)| {
        namespace.create(&pod(namespace, name, change)).await.map(drop)
    };
    create("succeeds", |_| ()).await?;
    create("runs", running).await?;
    create("fails", |pod| {
        let command = "printf 'no space\\033[31m left' > /dev/termination-log; exit 3";
        pod["spec"]["containers"][0]["command"] = json!(["sh", "-c", command]);
    })
    .await?;
    create("hoards", |pod| {
        pod["spec"]["containers"][0]["command"] = json!(["sh", "-c", "x=x; while true; do x=$x$x; done"]);
        pod["spec"]["containers"][0]["resources"] = json!({"limits": {"memory": "80Mi"}});
    })
    .await?;
    create("late", |pod| {
        running(pod);
        pod["spec"]["activeDeadlineSeconds"] = json!(2);
    })
    .await?;
    create("gated", |pod| pod["spec"]["schedulingGates"] = json!([{"name": "example.com/quota"}])).await?;
    create("nowhere", |pod| pod["spec"]["nodeSelector"] = json!({"no": "node"})).await?;
    create("imageless", |pod| pod["spec"]["containers"][0]["image"] = json!("localhost/missing:1")).await?;
    create("mountless", |pod| {
        pod["spec"]["volumes"] = json!([{"name": "cert", "secret": {"secretName": "missing"}}]);
        pod["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "cert", "mountPath": "/cert"}]);
    })
    .await?;
    create("configless", |pod| {
        let from = json!({"configMapKeyRef": {"name": "missing", "key": "a"}});
        pod["spec"]["containers"][0]["env"] = json!([{"name": "A", "valueFrom": from}]);
    })
    .await?;
    Ok(vec![
        ("succeeds", "succeeded", "succeeded"),
        ("runs", "running", "runs"),
        ("fails", "failed", "failed: exit code 3: no space [31m left"),
        ("hoards", "failed", "failed: out of memory (OOMKilled)"),
        ("late", "failed", "failed: DeadlineExceeded: Pod was active"),
        ("gated", "scheduling", "waits for a node: held by scheduling gate example.com/quota"),
        ("nowhere", "scheduling", "waits for a node: 0/"),
        ("imageless", "starting", "starts: "),
        ("mountless", "starting", "starts: FailedMount: "),
        ("configless", "starting", "starts: CreateContainerConfigError: configmap \"missing\" not found"),
    ])
}

#[tokio::test]
async fn a_viewer_sees_where_each_task_stands() -> Result<()> {
    scenario("tasks")
        .run(async |namespace| {
            namespace.profile(PROFILE).await?;
            let folder = temporary_folder("tasks")?;
            let kubeconfig = folder.path().join("kubeconfig");
            view_user(namespace, &kubeconfig).await?;
            let expected = create_pods(namespace).await?;
            // A pod that is no task.
            let plain = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "plain"}, "spec": {
                "containers": [{"name": "main", "image": BUSYBOX, "command": ["sleep", "3600"]}],
                "terminationGracePeriodSeconds": 0,
            }});
            namespace.create(&plain.to_string()).await?;
            until_async(LIMIT, "the list does not tell the states of the pods", async || {
                let (json, errors, succeeded) = tasks(&kubeconfig, &["-o", "json"]).await?;
                ensure!(succeeded && errors.is_empty(), "{errors}");
                let list: Value = serde_json::from_str(&json)?;
                let (wide, ..) = tasks(&kubeconfig, &["-o", "wide"]).await?;
                for (name, state, words) in &expected {
                    let found = list["tasks"].as_array().context("a list")?;
                    let found = found.iter().find(|task| task["pod"] == *name).context("no such task")?;
                    ensure!(found["state"] == *state, "{name}: {found}");
                    let line = wide.lines().find(|line| line.contains(&format!(" {name} ")));
                    ensure!(
                        line.is_some_and(|line| line.contains(words)),
                        "{name}: {line:?} without {words:?}"
                    );
                }
                ensure!(list["tasks"].as_array().map(Vec::len) == Some(expected.len()), "{json}");
                Ok(())
            })
            .await?;
            filters_and_links(namespace, &kubeconfig).await
        })
        .await
}

async fn filters_and_links(namespace: &Namespace, kubeconfig: &Path) -> Result<()> {
    let (json, ..) =
        tasks(kubeconfig, &["--state", "running", "--run", "r1", "--workflow", "etl", "-o", "json"]).await?;
    let list: Value = serde_json::from_str(&json)?;
    let task = &list["tasks"][0];
    assert_eq!(
        (&task["pod"], &task["task"], &task["scheduler"]),
        (&json!("runs"), &json!("runs"), &json!("annotation"))
    );
    let link = format!("https://logs.example.com/{}/a%2Fb", namespace.name());
    assert_eq!(task["links"], json!({"logs": link}));
    assert!(task["bootSeconds"].is_i64() && task["started"].is_string(), "{task}");
    let pod = serde_json::to_value(namespace.pod_ready("runs").await?)?;
    assert_eq!(pod["metadata"]["annotations"]["bootlace.dev/link.logs"], link);
    let info = namespace.exec("runs", "main", &["cat", "/bootlace/task.json"]).await?;
    let info: Value = serde_json::from_slice(&info.stdout)?;
    assert_eq!((&info["info"], &info["task"]["run"]), (&json!({"owner": "a/b"}), &json!("r1")));

    let (_, errors, succeeded) = tasks(kubeconfig, &["--all-namespaces"]).await?;
    assert!(!succeeded && errors.contains("[BL6005]") && errors.contains("ClusterRole view"), "{errors}");
    let (none, errors, succeeded) = tasks(kubeconfig, &["--run", "none"]).await?;
    assert!(succeeded && none.is_empty() && errors.contains("no tasks found"), "{none}{errors}");
    Ok(())
}

#[tokio::test]
async fn a_watch_prints_each_change_as_a_line() -> Result<()> {
    use tokio::io::{AsyncBufReadExt as _, BufReader};

    scenario("tasks-watch")
        .run(async |namespace| {
            namespace.profile(PROFILE).await?;
            let folder = temporary_folder("tasks")?;
            let kubeconfig = folder.path().join("kubeconfig");
            view_user(namespace, &kubeconfig).await?;
            let mut watch = Command::new(bootlace()?)
                .args(["tasks", "--watch", "-o", "json"])
                .env("KUBECONFIG", &kubeconfig)
                .stdout(std::process::Stdio::piped())
                .kill_on_drop(true)
                .spawn()?;
            let mut lines = BufReader::new(watch.stdout.take().context("its output")?).lines();
            namespace.create(&pod(namespace, "task", |_| ())).await?;
            namespace.pod_succeeded("task").await?;
            let pods = namespace.api::<k8s_openapi::api::core::v1::Pod>();
            pods.delete("task", &kube::api::DeleteParams::default()).await?;
            let mut states = Vec::new();
            while states.last().is_none_or(|state| state != "deleted") {
                let line =
                    tokio::time::timeout(LIMIT, lines.next_line()).await??.context("the watch ended")?;
                let task: Value = serde_json::from_str(&line)?;
                states.extend(task["state"].as_str().map(str::to_owned));
            }
            states.dedup();
            let order = ["scheduling", "booting", "running", "succeeded", "deleting", "deleted"];
            // A pod starts before boot and, until the kubelet has created its container, before the task.
            let others = states.iter().filter(|state| *state != "starting");
            let places: Vec<_> = others.map(|state| order.iter().position(|known| known == state)).collect();
            assert!(places.is_sorted() && places.iter().all(Option::is_some), "{states:?}");
            assert!(states.contains(&"succeeded".to_owned()), "{states:?}");
            Ok(())
        })
        .await
}
