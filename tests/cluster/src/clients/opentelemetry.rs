//! The SDK of OpenTelemetry and the client of OpenLineage, in a task that any scheduler can create.

use anyhow::Result;
use futures::FutureExt as _;
use serde_json::{Value, json};

use super::python::Environment;
use super::python_image;
use super::{Client, app};
use crate::scenario::Namespace;

const ENVIRONMENT: Environment = Environment {
    name: "opentelemetry",
    title: "OpenTelemetry",
    requirements: include_str!("../../schedulers/opentelemetry/requirements.txt"),
};
/// The modules that the task imports.
const MODULES: [&str; 4] = [
    "opentelemetry.sdk.trace",
    "opentelemetry.sdk.trace.export.in_memory_span_exporter",
    "openlineage.client.transport.file",
    "openlineage.common.provider.dbt.utils",
];
const TASK: &str = include_str!("../../schedulers/opentelemetry/task.py");

/// The SDK and the client, of which only images use the environment.
pub const CLIENT: Client = Client {
    name: "opentelemetry",
    requirements: &[],
    prepare: || async { Ok(vec![python_image::prepare(&ENVIRONMENT, &MODULES).await?]) }.boxed(),
    short: false,
    demo: None,
};

/// Creates the program of tasks in the namespace.
///
/// # Errors
/// If it cannot be created.
pub async fn install(namespace: &Namespace) -> Result<()> {
    namespace.create(&app::config_map("telemetry-app", [("task.py", TASK)])).await.map(drop)
}

/// Runs a task in a pod with this metadata, which names it, and with these variables in its spec. Waits until
/// it has succeeded, and returns its log.
///
/// # Errors
/// If the pod cannot be created, or the task does not succeed in time.
pub async fn run(namespace: &Namespace, metadata: &Value, env: &Value) -> Result<String> {
    let name = metadata.get("name").and_then(Value::as_str).unwrap_or_default();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
        "spec": {
            "restartPolicy": "Never",
            "containers": [{
                "name": "main", "image": "localhost/opentelemetry:test", "imagePullPolicy": "Never",
                "command": ["python3", "/opt/telemetry/task.py"], "env": env,
                "volumeMounts": [{"name": "app", "mountPath": "/opt/telemetry"}],
            }],
            "volumes": [{"name": "app", "configMap": {"name": "telemetry-app"}}],
        },
    });
    namespace.create(&pod.to_string()).await?;
    namespace.workflow_succeeded(name).await?;
    namespace.log(name, "main").await
}
