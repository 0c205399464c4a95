//! The servers that tasks boot from or keep their files in, each in the namespace of the tasks.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Namespace;
use crate::images::{BUSYBOX, STORE};

async fn create(namespace: &Namespace, objects: &[Value]) -> Result<()> {
    for object in objects {
        namespace.create(&object.to_string()).await?;
    }
    Ok(())
}

/// A pod `name` with one container, and a Service with the same name.
fn pod_and_service(name: &str, ports: [u16; 2], container: &Value, volumes: &Value) -> [Value; 2] {
    let [port, target] = ports;
    let mut container = container.clone();
    if let Some(container) = container.as_object_mut() {
        let probe = json!({"tcpSocket": {"port": target}, "periodSeconds": 1});
        container.extend([("name".to_owned(), json!("main")), ("readinessProbe".to_owned(), probe)]);
    }
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

/// Starts an HTTP server with `files`, as the Service `web`.
///
/// # Errors
/// If an object is refused, or the server is not ready in time.
pub async fn web(namespace: &Namespace, files: &Value) -> Result<()> {
    create(namespace, &[config("web", files)]).await?;
    let container = json!({
        "image": BUSYBOX, "command": ["httpd", "-f", "-p", "8080", "-h", "/www"],
        "volumeMounts": [{"name": "www", "mountPath": "/www"}],
    });
    let volumes = json!([{"name": "www", "configMap": {"name": "web"}}]);
    web_container(namespace, &container, &volumes).await
}

/// Starts `container`, which serves HTTP on port 8080, as the Service `web`.
///
/// # Errors
/// If an object is refused, or the server is not ready in time.
pub async fn web_container(namespace: &Namespace, container: &Value, volumes: &Value) -> Result<()> {
    create(namespace, &pod_and_service("web", [80, 8080], container, volumes)).await?;
    namespace.pod_ready("web").await.map(drop)
}

/// Starts an S3 server, as the Service `store`, with `objects` in the bucket `assets`, and creates a Secret
/// `s3` with its access key. `key` is the secret access key.
///
/// # Errors
/// If `objects` is not a map, an object is refused, or the server is not ready in time.
pub async fn s3(namespace: &Namespace, key: &str, objects: &Value) -> Result<()> {
    // The keys of a ConfigMap cannot contain a slash, so they are numbers.
    let objects = objects.as_object().context("the objects are not a map")?;
    let objects: Vec<_> = objects.iter().enumerate().collect();
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
    create(namespace, &pod_and_service("store", [80, 7070], &container, &volumes)).await?;
    namespace.pod_ready("store").await.map(drop)
}

/// A script that responds to each connection like an Optimus server to a request for the `run_input` of a
/// job, and logs the request.
const RESPOND: &str = r#"
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

/// Starts an Optimus server, as the Service `optimus` on port 9100, whose response for the `run_input` of
/// every job is `response`. The log of the pod `optimus` contains the requests.
///
/// # Errors
/// If an object is refused, or the server is not ready in time.
pub async fn optimus(namespace: &Namespace, response: &Value) -> Result<()> {
    let data = json!({"answer.sh": RESPOND, "run_input.json": response.to_string()});
    create(namespace, &[config("answer", &data)]).await?;
    let container = json!({
        "image": BUSYBOX, "command": ["nc", "-ll", "-p", "9100", "-e", "/bin/sh", "/answer/answer.sh"],
        "volumeMounts": [{"name": "answer", "mountPath": "/answer"}],
    });
    let volumes = json!([{"name": "answer", "configMap": {"name": "answer"}}]);
    create(namespace, &pod_and_service("optimus", [9100, 9100], &container, &volumes)).await?;
    namespace.pod_ready("optimus").await.map(drop)
}
