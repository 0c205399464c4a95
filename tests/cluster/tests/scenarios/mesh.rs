//! Pods of service meshes: an init container redirects all TCP connections of the pod to a proxy, which is a
//! native sidecar or an ordinary container. No mesh can be installed here; the redirection and the
//! transparent proxy are real.

use anyhow::Result;
use bootlace_cluster::images::{BUSYBOX, IPTABLES, PROBE};
use bootlace_cluster::scenario::{Namespace, scenario, servers, state};
use serde_json::{Value, json};

/// The user of the proxy, whose connections are not redirected, as in Istio.
const PROXY_USER: u32 = 1337;

fn redirection() -> Value {
    let rule = format!(
        "iptables-nft -t nat -A OUTPUT -p tcp -m owner ! --uid-owner {PROXY_USER} ! -d 127.0.0.1/32 -j REDIRECT --to-ports 15001"
    );
    json!({
        "name": "mesh-init", "image": IPTABLES, "command": ["sh", "-ec", rule],
        "securityContext": {"runAsUser": 0, "capabilities": {"add": ["NET_ADMIN", "NET_RAW"]}},
    })
}

fn proxy() -> Value {
    json!({
        "name": "mesh-proxy", "image": PROBE, "command": ["/probe", "proxy=15001"],
        "securityContext": {"runAsUser": PROXY_USER},
    })
}

/// A pod after the webhook of the mesh, with the proxy as a native sidecar or as an ordinary container.
fn task(profile: &str, native: bool) -> String {
    let mut proxy = proxy();
    let mut init = vec![redirection()];
    let main = json!({"name": "main", "image": BUSYBOX, "command": ["sh", "-c", "echo region $REGION"]});
    let mut containers = vec![main];
    if native {
        proxy["restartPolicy"] = json!("Always");
        proxy["startupProbe"] = json!({"tcpSocket": {"port": 15001}, "periodSeconds": 1});
        init.push(proxy);
    } else {
        containers.push(proxy);
    }
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "task", "labels": {"bootlace.dev/task": profile},
                     "annotations": {"bootlace.dev/containers": "main"}},
        "spec": {"restartPolicy": "Never", "initContainers": init, "containers": containers},
    })
    .to_string()
}

/// Creates a profile with a source on a server in the namespace. More than one attempt gives kube-proxy the
/// time to configure the Service.
async fn profile(namespace: &Namespace, boot: &Value, attempts: u32) -> Result<()> {
    servers::web(namespace, &json!({"settings.json": "{\"env\": {\"REGION\": \"eu-west-1\"}}"})).await?;
    let source = json!({"name": "settings", "http": {
        "url": "http://web", "path": "settings.json", "json": [{"pointer": "/env", "into": "Env"}],
        "client": {"attempts": attempts},
    }});
    namespace.profile(&json!({"boot": boot, "sources": [source]}).to_string()).await
}

#[tokio::test]
async fn boot_uses_the_proxy_of_a_native_sidecar() -> Result<()> {
    scenario("mesh-native")
        .run(async |namespace| {
            profile(namespace, &json!({}), 5).await?;
            namespace.create(&task(namespace.name(), true)).await?;
            namespace.pod_succeeded("task").await?;
            assert_eq!(namespace.log("task", "main").await?, "region eu-west-1\n");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn without_a_native_sidecar_boot_fails_after_the_redirection_and_works_before_it() -> Result<()> {
    scenario("mesh-ordinary-last")
        .run(async |namespace| {
            profile(namespace, &json!({}), 1).await?;
            namespace.create(&task(namespace.name(), false)).await?;
            let pod = namespace.pod_failed("task").await?;
            let message = state::message(&pod, "bootlace-boot")?;
            assert!(message.contains("source \"settings\" (GET http://web)"), "{message}");
            assert!(message.ends_with("[BL2202]"), "{message}");
            Ok(())
        })
        .await?;
    scenario("mesh-ordinary-first")
        .run(async |namespace| {
            profile(namespace, &json!({"position": "First"}), 5).await?;
            namespace.create(&task(namespace.name(), false)).await?;
            let pod = namespace.container_ended("task", "main").await?;
            assert_eq!(state::ended(&pod, "main")?.exit_code, 0);
            assert_eq!(namespace.log("task", "main").await?, "region eu-west-1\n");
            Ok(())
        })
        .await
}
