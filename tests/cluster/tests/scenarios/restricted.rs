//! Namespaces with restrictions: pod security `restricted`, quotas, limit ranges.

use anyhow::Result;
use bootlace_cluster::images::PROBE;
use bootlace_cluster::scenario::{Process, Scenario, scenario};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

fn restricted(name: &'static str) -> Scenario {
    scenario(name)
        .label("pod-security.kubernetes.io/enforce", "restricted")
        .label("pod-security.kubernetes.io/enforce-version", "latest")
}

/// A pod that meets the standard without Bootlace.
fn pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "task", "labels": {"bootlace.dev/task": "true"}},
        "spec": {
            "restartPolicy": "Never",
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": "main", "image": PROBE, "command": ["/probe"],
                "args": [
                    "environ", "status", "file=/var/assets/query.sql", "write=/file", "write=/bootlace/file",
                    "write=/var/assets/query.sql",
                ],
                "securityContext": {
                    "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                    "capabilities": {"drop": ["ALL"]},
                },
            }],
        },
    })
}

/// Checks the env, the file and the privileges of a task.
fn check(process: &Process) -> Result<()> {
    assert_eq!(process.env("GREETING"), Some(&b"the analytics team"[..]));
    assert!(process.file("/var/assets/query.sql")?.starts_with(b"select day"));
    assert_eq!(process.status("Uid")?, "1000 1000 1000 1000");
    assert_eq!(process.status("CapEff")?, "0000000000000000");
    assert_eq!(process.status("CapBnd")?, "0000000000000000");
    assert_eq!(process.status("NoNewPrivs")?, "1");
    for path in ["/file", "/bootlace/file", "/var/assets/query.sql"] {
        assert_eq!(process.write(path)?, "read-only filesystem or storage medium", "{path}");
    }
    Ok(())
}

fn quality(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.qos_class.as_deref()).unwrap_or_default()
}

#[tokio::test]
async fn a_restricted_pod_stays_one_and_runs() -> Result<()> {
    restricted("restricted-runs")
        .run(async |namespace| {
            namespace.create(&pod().to_string()).await?;
            namespace.pod_succeeded("task").await?;
            check(&namespace.process("task", "main").await?)
        })
        .await
}

#[tokio::test]
async fn a_group_of_the_pods_own_on_its_volumes_is_no_obstacle() -> Result<()> {
    restricted("restricted-group")
        .run(async |namespace| {
            let mut pod = pod();
            pod["spec"]["securityContext"]["fsGroup"] = json!(2000);
            pod["spec"]["securityContext"]["runAsGroup"] = json!(3000);
            namespace.create(&pod.to_string()).await?;
            namespace.pod_succeeded("task").await?;
            let process = namespace.process("task", "main").await?;
            assert_eq!(process.status("Gid")?, "3000 3000 3000 3000");
            assert!(process.status("Groups")?.split(' ').any(|group| group == "2000"));
            check(&process)
        })
        .await
}

#[tokio::test]
async fn a_quota_that_asks_for_requests_and_limits_admits_what_declares_them() -> Result<()> {
    restricted("restricted-quota")
        .run(async |namespace| {
            let quota = "
                apiVersion: v1
                kind: ResourceQuota
                metadata: { name: all }
                spec: { hard: { requests.cpu: '1', requests.memory: 1Gi, limits.cpu: '2', limits.memory: 1Gi } }
            ";
            namespace.create(quota).await?;
            let mut pod = pod();
            let refused = namespace.create(&pod.to_string()).await.unwrap_err();
            // As without Bootlace: the resources of the injected container come from those of the task.
            assert!(format!("{refused:#}").contains("must specify limits.cpu for: "), "{refused:#}");
            pod["spec"]["containers"][0]["resources"] =
                json!({"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "100m", "memory": "32Mi"}});
            namespace.create(&pod.to_string()).await?;
            let pod = namespace.pod_succeeded("task").await?;
            assert_eq!(quality(&pod), "Burstable");
            check(&namespace.process("task", "main").await?)
        })
        .await
}

#[tokio::test]
async fn a_guaranteed_pod_stays_guaranteed() -> Result<()> {
    restricted("restricted-guaranteed")
        .run(async |namespace| {
            let mut pod = pod();
            pod["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": "0.1", "memory": "96Mi"}});
            namespace.create(&pod.to_string()).await?;
            let pod = namespace.pod_succeeded("task").await?;
            assert_eq!(quality(&pod), "Guaranteed");
            check(&namespace.process("task", "main").await?)
        })
        .await
}

#[tokio::test]
async fn a_limit_range_fills_in_what_the_task_leaves_out() -> Result<()> {
    restricted("restricted-limits")
        .run(async |namespace| {
            let limits = "
                apiVersion: v1
                kind: LimitRange
                metadata: { name: all }
                spec:
                  limits:
                  - type: Container
                    default: { cpu: 200m, memory: 64Mi }
                    defaultRequest: { cpu: 20m, memory: 16Mi }
                    max: { cpu: '1', memory: 128Mi }
            ";
            namespace.create(limits).await?;
            namespace.create(&pod().to_string()).await?;
            let pod = namespace.pod_succeeded("task").await?;
            let spec = pod.spec.as_ref().expect("a pod has a spec");
            let limits = |name: &str, containers: &[k8s_openapi::api::core::v1::Container]| {
                let container = containers.iter().find(|container| container.name == name)?;
                container
                    .resources
                    .as_ref()?
                    .limits
                    .as_ref()?
                    .get("memory")
                    .map(|quantity| quantity.0.clone())
            };
            assert_eq!(limits("main", &spec.containers).as_deref(), Some("64Mi"));
            let init = spec.init_containers.as_deref().unwrap_or_default();
            assert_eq!(limits("bootlace-boot", init).as_deref(), Some("64Mi"));
            check(&namespace.process("task", "main").await?)
        })
        .await
}
