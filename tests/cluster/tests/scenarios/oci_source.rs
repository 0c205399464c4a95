//! Files from an artifact in a registry: the Debian docker-registry on the address of the node, with TLS, a
//! private CA and a pull secret.

use std::net::IpAddr;

use anyhow::{Context, Result};
use bootlace_cluster::images::PROBE;
use bootlace_cluster::node::ADDRESS;
use bootlace_cluster::scenario::{Namespace, scenario};
use bootlace_test_registry::{Access, PASSWORD, Registry};
use kube::ResourceExt;
use serde_json::json;

fn job(namespace: &Namespace, name: &str) -> String {
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": {
            "metadata": {"labels": {"bootlace.dev/task": namespace.name()}},
            "spec": {"restartPolicy": "Never", "containers": [{
                "name": "main", "image": PROBE, "command": ["/probe", "environ", "file=/var/assets/sql/report.sql"],
            }]},
        }},
    })
    .to_string()
}

#[tokio::test]
async fn a_job_boots_from_an_artifact_with_a_pull_secret_and_a_custom_ca() -> Result<()> {
    scenario("oci-source")
        .run(async |namespace| {
            let address: IpAddr = ADDRESS.parse().context("the address of the node is invalid")?;
            let registry = Registry::start(address, Access::Password)?;
            let artifact = registry
                .artifact("etl/assets", "v1", &[("etl/report.sql", b"select 1;\n"), ("other", b"x")])
                .await?;
            let secret = json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "registry"},
                "type": "kubernetes.io/dockerconfigjson",
                "stringData": {".dockerconfigjson": registry.pull_secret(PASSWORD)},
            });
            namespace.create(&secret.to_string()).await?;
            let ca = json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "registry-ca"},
                "data": {"ca.crt": registry.ca()},
            });
            namespace.create(&ca.to_string()).await?;
            let oci = json!({
                "reference": format!("{}/etl/assets:v1@{}", registry.host(), artifact.digest()),
                "path": "etl", "prefix": "sql/",
                "pullSecret": "registry", "client": {"ca": {"configMap": "registry-ca"}},
            });
            namespace.profile(&json!({"sources": [{"name": "assets", "oci": oci}]}).to_string()).await?;
            namespace.create(&job(namespace, "good")).await?;
            let pods = namespace.job_completed("good").await?;
            let pod = pods.first().context("the Job has no pod")?.name_any();
            let process = namespace.process(&pod, "main").await?;
            assert_eq!(process.file("/var/assets/sql/report.sql")?, b"select 1;\n");
            let log = namespace.log(&pod, "bootlace-boot").await?;
            assert!(log.contains("booted: 0 variables, 1 file, 10 B"), "{log}");
            assert!(!log.contains(PASSWORD), "{log}");
            Ok(())
        })
        .await
}
