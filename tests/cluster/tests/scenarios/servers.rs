//! The servers that tasks boot from, each in the scenario's own namespace.

use anyhow::Result;
use bootlace_cluster::images::{BUSYBOX, STORE};
use bootlace_cluster::scenario::Namespace;
use serde_json::{Value, json};

async fn create(namespace: &Namespace, objects: &[Value]) -> Result<()> {
    for object in objects {
        namespace.create(&object.to_string()).await?;
    }
    Ok(())
}

/// A pod `name` of one container, which the Service of that name leads to.
fn served(name: &str, ports: [u16; 2], container: &Value, volumes: &Value) -> [Value; 2] {
    let [port, target] = ports;
    let mut container = container.clone();
    container["name"] = json!("main");
    container["readinessProbe"] = json!({"tcpSocket": {"port": target}, "periodSeconds": 1});
    [
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
            "spec": {"terminationGracePeriodSeconds": 0, "volumes": volumes, "containers": [container]},
        }),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": {"app": name}, "ports": [{"port": port, "targetPort": target}]},
        }),
    ]
}

fn config(name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

/// An HTTP server, as the Service `web`, that has `files` by name.
pub(crate) async fn web(namespace: &Namespace, files: &Value) -> Result<()> {
    create(namespace, &[config("web", files)]).await?;
    let container = json!({
        "image": BUSYBOX, "command": ["httpd", "-f", "-p", "8080", "-h", "/www"],
        "volumeMounts": [{"name": "www", "mountPath": "/www"}],
    });
    let volumes = json!([{"name": "www", "configMap": {"name": "web"}}]);
    web_of(namespace, &container, &volumes).await
}

/// An HTTP server, as the Service `web`: `container` serves on port 8080.
pub(crate) async fn web_of(namespace: &Namespace, container: &Value, volumes: &Value) -> Result<()> {
    create(namespace, &served("web", [80, 8080], container, volumes)).await?;
    namespace.pod_ready("web").await.map(drop)
}

/// An S3 server, as the Service `store`, whose bucket `assets` has `objects` by key; and a Secret `s3` with the keys that it
/// takes, `key` as the secret one.
pub(crate) async fn s3(namespace: &Namespace, key: &str, objects: &Value) -> Result<()> {
    // A ConfigMap's keys hold no slash, so they are numbers here.
    let objects: Vec<_> = objects.as_object().expect("objects by key").iter().enumerate().collect();
    let data: Value =
        objects.iter().map(|(number, (_, content))| (number.to_string(), (*content).clone())).collect();
    let items: Vec<_> =
        objects.iter().map(|(number, (key, _))| json!({"key": number.to_string(), "path": key})).collect();
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s3"},
        "stringData": {"AWS_ACCESS_KEY_ID": "tasks", "AWS_SECRET_ACCESS_KEY": key},
    });
    create(namespace, &[secret, config("objects", &data)]).await?;
    let script = "mkdir -p /data/meta /data/root/assets && cd /objects/..data/ && cp -r . /data/root/assets \
                  && exec versitygw --quiet --port :7070 posix --sidecar /data/meta /data/root";
    let from = |name: &str, key: &str| json!({"name": name, "valueFrom": {"secretKeyRef": {"name": "s3", "key": key}}});
    let container = json!({
        "image": STORE, "command": ["sh", "-c", script],
        "env": [from("ROOT_ACCESS_KEY", "AWS_ACCESS_KEY_ID"), from("ROOT_SECRET_KEY", "AWS_SECRET_ACCESS_KEY")],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "objects", "mountPath": "/objects"}],
    });
    let volumes = json!([
        {"name": "data", "emptyDir": {}},
        {"name": "objects", "configMap": {"name": "objects", "items": items}},
    ]);
    create(namespace, &served("store", [80, 7070], &container, &volumes)).await?;
    namespace.pod_ready("store").await.map(drop)
}

/// Answers each connection as an Optimus server answers for a job's `run_input`, and logs what it was asked.
const ANSWER: &str = r#"
read -r request
length=0
while read -r header; do
  header=$(printf %s "$header" | tr -d '\r')
  [ -n "$header" ] || break
  case "$header" in [Cc]ontent-[Ll]ength:*) length=${header#*: } ;; esac
done
echo "$request" | tr -d '\r' >&2
head -c "$length" >&2
echo >&2
printf 'HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %s\r\n\r\n' "$(wc -c < /answer/run_input.json)"
cat /answer/run_input.json
"#;

/// An Optimus server, as the Service `optimus` on port 9100, that answers every job's `run_input` with `answer`. The log of
/// the pod `optimus` tells what it was asked.
pub(crate) async fn optimus(namespace: &Namespace, answer: &Value) -> Result<()> {
    let data = json!({"answer.sh": ANSWER, "run_input.json": answer.to_string()});
    create(namespace, &[config("answer", &data)]).await?;
    let container = json!({
        "image": BUSYBOX, "command": ["nc", "-ll", "-p", "9100", "-e", "/bin/sh", "/answer/answer.sh"],
        "volumeMounts": [{"name": "answer", "mountPath": "/answer"}],
    });
    let volumes = json!([{"name": "answer", "configMap": {"name": "answer"}}]);
    create(namespace, &served("optimus", [9100, 9100], &container, &volumes)).await?;
    namespace.pod_ready("optimus").await.map(drop)
}
