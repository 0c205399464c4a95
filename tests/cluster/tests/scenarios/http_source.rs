//! Source `http` with a real server that has a private CA and authenticates pods by their projected tokens:
//! the API server.

use anyhow::Result;
use bootlace_cluster::images::PROBE;
use bootlace_cluster::scenario::{Namespace, scenario, state};
use serde_json::{Value, json};

/// The audience of the API server.
const AUDIENCE: &str = "https://kubernetes.default.svc.cluster.local";

/// Allows the tasks of the namespace to read the ConfigMap `settings`, and nothing else.
async fn grant(namespace: &Namespace) -> Result<()> {
    let group = "rbac.authorization.k8s.io";
    for object in [
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"},
            "data": {"REGION": "eu-west-1", "TIER": "gold\nand more"},
        }),
        json!({
            "apiVersion": format!("{group}/v1"), "kind": "Role", "metadata": {"name": "settings"},
            "rules": [{
                "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["settings"], "verbs": ["get"],
            }],
        }),
        json!({
            "apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": {"name": "settings"},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "settings"},
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": namespace.name()}],
        }),
    ] {
        namespace.create(&object.to_string()).await?;
    }
    Ok(())
}

/// Creates a profile with these `http` sources, which send a token for `audience` to the API server.
async fn profile(namespace: &Namespace, audience: &str, sources: Vec<Value>) -> Result<()> {
    // Kubernetes creates this ConfigMap with its CA in every namespace.
    let client = json!({"token": {"audience": audience}, "ca": {"configMap": "kube-root-ca.crt"}});
    let sources: Vec<_> = sources
        .into_iter()
        .map(|mut source| {
            source["http"]["url"] = json!("https://kubernetes.default.svc");
            source["http"]["client"] = client.clone();
            source
        })
        .collect();
    namespace.profile(&json!({"sources": sources}).to_string()).await
}

/// The ConfigMap in the namespace of the pod that a label names.
fn settings() -> Value {
    json!({"name": "settings", "http": {
        "path": "api/v1/namespaces/{{ namespace }}/configmaps/{{ labels['example.com/settings'] }}",
        "json": [{"pointer": "/data", "into": "Env"}],
    }})
}

fn task(namespace: &Namespace, settings: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "task", "labels": {
            "bootlace.dev/task": namespace.name(), "example.com/settings": settings,
        }},
        "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": PROBE, "command": ["/probe", "environ"]}],
        },
    })
    .to_string()
}

#[tokio::test]
async fn a_task_boots_from_a_get_and_a_post_with_its_projected_token() -> Result<()> {
    scenario("http-source")
        .run(async |namespace| {
            grant(namespace).await?;
            let body = "{\"kind\": \"SelfSubjectAccessReview\", \"apiVersion\": \"authorization.k8s.io/v1\", \"spec\": \
                        {\"resourceAttributes\": {\"namespace\": \"{{ namespace }}\", \"verb\": \"get\", \
                        \"resource\": \"configmaps\", \"name\": \"{{ labels['example.com/settings'] }}\"}}}";
            let access = json!({"name": "access", "http": {
                "method": "POST", "path": "apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "body": body,
                "json": [{"pointer": "/status", "into": "Env", "prefix": "ACCESS_"}],
            }});
            profile(namespace, AUDIENCE, vec![settings(), access]).await?;
            namespace.create(&task(namespace, "settings")).await?;
            namespace.pod_succeeded("task").await?;
            let process = namespace.process("task", "main").await?;
            assert_eq!(process.env("REGION"), Some(&b"eu-west-1"[..]));
            assert_eq!(process.env("TIER"), Some(&b"gold\nand more"[..]));
            assert_eq!(process.env("ACCESS_allowed"), Some(&b"true"[..]));
            let log = namespace.log("task", "bootlace-boot").await?;
            let line = "source \"settings\" (GET https://kubernetes.default.svc): 2 variables, 0 files, ";
            assert!(log.contains(line) && !log.contains("gold"), "{log}");
            Ok(())
        })
        .await
}

/// Each pod has its own identity: a token for another audience, or a missing right, fails it with an error
/// message.
#[tokio::test]
async fn the_error_for_denied_access_contains_a_remedy() -> Result<()> {
    for (audience, name, status) in
        [("somebody-else", "settings", "401 Unauthorized"), (AUDIENCE, "others", "403 Forbidden")]
    {
        scenario("http-source-denied")
            .run(async |namespace| {
                grant(namespace).await?;
                profile(namespace, audience, vec![settings()]).await?;
                namespace.create(&task(namespace, name)).await?;
                let pod = namespace.pod_failed("task").await?;
                assert_eq!(state::ended(&pod, "bootlace-boot")?.exit_code, 69);
                let message = state::message(&pod, "bootlace-boot")?;
                assert!(
                    message.contains("source \"settings\" (GET https://kubernetes.default.svc)"),
                    "{message}"
                );
                assert!(message.contains(status) && message.ends_with("[BL2204]"), "{message}");
                Ok(())
            })
            .await?;
    }
    Ok(())
}
