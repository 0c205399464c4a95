//! A DAG that does not mention Bootlace boots from each kind of source in turn. The default profile of its
//! namespace changes.

use std::net::IpAddr;

use anyhow::{Context, Result};
use bootlace_cluster::airflow::Airflow;
use bootlace_cluster::node::ADDRESS;
use bootlace_cluster::scenario::{Namespace, kubeconfig, scenario, servers};
use bootlace_test_registry::{Access, PASSWORD, Registry};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Value, json};

const DAG: &str = include_str!("../../airflow/dags/report.py");
const S3_KEY: &str = "zq7Xv0hunter2";

/// The sources of a profile, and the description of the source in the log of boot.
struct Source {
    kind: &'static str,
    description: String,
    sources: Value,
}

/// The variable of the task, whose value differs for each kind of source.
fn greeting(kind: &str) -> String {
    format!("the {kind} team")
}

/// The file of the task, whose content differs for each kind of source.
fn query(kind: &str) -> String {
    format!("select '{kind}';\n")
}

fn settings(kind: &str) -> Value {
    json!({"env": {"GREETING": greeting(kind)}})
}

/// Starts the servers, and creates the objects that the profiles name.
async fn serve(namespace: &Namespace) -> Result<()> {
    objects(namespace).await?;
    let web =
        json!({"settings.json": settings("http").to_string(), "query.sql": query("http"), "index.html": ""});
    let response = json!({
        "envs": {"GREETING": greeting("optimus")}, "files": {"query.sql": query("optimus")}, "secrets": {},
    });
    let in_s3 = json!({
        "report/query.sql": query("objectstore"), "settings.json": settings("objectstore").to_string(),
    });
    tokio::try_join!(
        servers::web(namespace, &web),
        servers::optimus(namespace, &response),
        servers::s3(namespace, S3_KEY, &in_s3),
    )?;
    Ok(())
}

/// All kinds of sources. `oci` is the reference of the artifact in the registry.
fn sources(oci: &str) -> Vec<Source> {
    let env = |kind: &str, name: &str| json!({"name": "env", kind: {"name": name, "into": "Env"}});
    let files = |kind: &str, source: Value| json!({"name": "files", kind: source});
    let bucket = |more: Value| {
        let mut source = json!({
            "s3": {"bucket": "assets", "endpoint": "http://store"}, "credentials": {"secret": "s3"},
        });
        source.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        source
    };
    let source =
        |kind, description: &str, sources| Source { kind, description: description.to_owned(), sources };
    vec![
        source(
            "inline",
            "inline",
            json!([files(
                "inline",
                json!({
                    "env": {"GREETING": "the {{ task | replace('print', 'inline') }} team"},
                    "files": {"query.sql": query("inline")},
                })
            )]),
        ),
        source(
            "configmap",
            "ConfigMap queries",
            json!([env("configMap", "greeting"), files("configMap", json!({"name": "queries"}))]),
        ),
        source(
            "secret",
            "Secret queries",
            json!([env("secret", "greeting"), files("secret", json!({"name": "queries"}))]),
        ),
        source(
            "http",
            "GET http://web/",
            json!([
                {"name": "env", "http": {
                    "url": "http://web", "path": "settings.json", "json": [{"pointer": "/env", "into": "Env"}],
                }},
                files("http", json!({"url": "http://web/", "path": "query.sql", "file": "query.sql"})),
            ]),
        ),
        source(
            "optimus",
            "Optimus job report of sales",
            json!([files(
                "optimus",
                json!({
                    "host": "http://optimus:9100", "project": "sales", "job": "{{ workflow }}",
                    "scheduledAt": "{{ scheduledTime | default('2026-01-01T00:00:00Z') }}", "instanceName": "{{ task }}",
                })
            )]),
        ),
        source(
            "objectstore",
            "s3://assets/report",
            json!([
                {"name": "env", "objectStore": bucket(
                    json!({"object": "settings.json", "json": [{"pointer": "/env", "into": "Env"}]}),
                )},
                files("objectStore", bucket(json!({"prefix": "{{ workflow }}"}))),
            ]),
        ),
        source(
            "oci",
            &format!("OCI {oci}"),
            json!([
                {"name": "env", "inline": settings("oci")},
                files("oci", json!({
                    "reference": oci, "pullSecret": "registry", "client": {"ca": {"configMap": "registry-ca"}},
                })),
            ]),
        ),
    ]
}

/// Creates the `ConfigMap`s and Secrets that the profiles name.
async fn objects(namespace: &Namespace) -> Result<()> {
    for (kind, data) in [("ConfigMap", "data"), ("Secret", "stringData")] {
        let source_kind = kind.to_lowercase();
        for (name, key, value) in
            [("greeting", "GREETING", greeting(&source_kind)), ("queries", "query.sql", query(&source_kind))]
        {
            let object =
                json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, data: {key: value}});
            namespace.create(&object.to_string()).await?;
        }
    }
    Ok(())
}

async fn trust(namespace: &Namespace, registry: &Registry) -> Result<()> {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "registry"},
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": registry.pull_secret(PASSWORD)},
    });
    let ca = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "registry-ca"}, "data": {"ca.crt": registry.ca()},
    });
    namespace.create(&secret.to_string()).await?;
    namespace.create(&ca.to_string()).await.map(drop)
}

/// The pod that booted with `profile`.
fn booted_by<'p>(pods: &'p [Pod], profile: &str) -> Result<&'p Pod> {
    let injected = |pod: &Pod| -> Option<Value> {
        serde_json::from_str(pod.annotations().get("bootlace.dev/injected")?).ok()
    };
    let found = pods.iter().find(|pod| injected(pod).is_some_and(|injected| injected["profile"] == profile));
    found.with_context(|| format!("no pod has booted with {profile}"))
}

/// Sets a default profile with `source`, runs the DAG for the `run`th time, and checks the task.
async fn boots(namespace: &Namespace, airflow: &Airflow, run: usize, source: &Source) -> Result<()> {
    let Source { kind, description, sources } = source;
    let profile = format!("{}-{kind}", namespace.name());
    namespace.profile_called(&profile, &json!({"sources": sources}).to_string()).await?;
    namespace.default_profile(&profile).await?;
    let ran = airflow.run("report", &format!("2026-01-{run:02}")).await?;
    assert!(ran.succeeded, "{kind}: {}", ran.log);

    let pods = namespace.pods("kubernetes_pod_operator=True,task_id=print").await?;
    assert_eq!(pods.len(), run, "each run creates one pod");
    let pod = booted_by(&pods, &profile)?.name_any();
    let boot = namespace.log(&pod, "bootlace-boot").await?;
    assert!(boot.contains(&format!("source \"files\" ({description}")), "{description}: {boot}");
    for secret in [S3_KEY, PASSWORD, &greeting("secret")] {
        assert!(!boot.contains(secret), "{boot}");
    }
    let process = namespace.process(&pod, "base").await?;
    assert_eq!(process.env("GREETING"), Some(greeting(kind).as_bytes()), "{kind}");
    assert_eq!(process.file("/var/assets/query.sql")?, query(kind).as_bytes(), "{kind}");
    Ok(())
}

#[tokio::test]
async fn the_same_dag_boots_from_each_source_in_turn() -> Result<()> {
    assert!(!DAG.to_lowercase().contains("bootlace"), "the DAG mentions Bootlace");
    scenario("airflow-sources")
        .label("bootlace.dev/schedulers", "enabled")
        .run(async |namespace| {
            let address: IpAddr = ADDRESS.parse().context("the address of the node is invalid")?;
            let registry = Registry::start(address, Access::Password)?;
            let report =
                registry.artifact("etl/report", "v1", &[("query.sql", query("oci").as_bytes())]).await?;
            trust(namespace, &registry).await?;
            Box::pin(serve(namespace)).await?;
            let airflow = Airflow::new(&kubeconfig()?, namespace.name()).await?;
            let oci = format!("{}/etl/report:v1@{}", registry.host(), report.digest());
            for (run, source) in (1..).zip(sources(&oci)) {
                Box::pin(boots(namespace, &airflow, run, &source)).await?;
            }
            Ok(())
        })
        .await
}
