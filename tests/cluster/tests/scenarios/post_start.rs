//! The pod's own postStart handler: the hook runs it after the verification, with the boot env.

use anyhow::Result;
use bootlace_cluster::images::BUSYBOX;
use bootlace_cluster::scenario::{Namespace, scenario, state};
use serde_json::{Value, json};

/// A profile with one variable, and one that the pod overrides.
const PROFILE: &str = "
    hook: { timeoutSeconds: 20 }
    sources: [{ name: settings, inline: { env: { GREETING: hello, OWNER: the profile } } }]
";

/// A pod whose task is a shell script, with a postStart handler and a folder `/shared` on its volume.
fn pod(namespace: &Namespace, script: &str, handler: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "task", "labels": {"bootlace.dev/task": namespace.name()}},
        "spec": {
            "restartPolicy": "Never",
            // A shell as the first process ignores SIGTERM, and the hooks of some of these containers fail.
            "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "main", "image": BUSYBOX, "command": ["sh", "-c", script],
                "env": [{"name": "OWNER", "value": "the pod"}],
                "ports": [{"name": "page", "containerPort": 8080}],
                "lifecycle": {"postStart": handler},
                "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
            }],
            "volumes": [{"name": "shared", "emptyDir": {}}],
        },
    })
}

/// The script of the task: waits until the handler has created a file, and exits.
const UNTIL_HANDLED: &str = "until [ -e /shared/done ]; do sleep 0.05; done; cat /shared/said";

#[tokio::test]
async fn exec_sees_what_the_task_sees() -> Result<()> {
    scenario("post-start-exec")
        .run(async |namespace| {
            namespace.profile(PROFILE).await?;
            // With a pipe, to test that a handler can start several processes. Its arguments must not change.
            let script = r#"echo "$GREETING from $OWNER, $1" | cat > /shared/said; touch /shared/done"#;
            let handler = json!({"exec": {"command": ["sh", "-c", script, "handler", "it's \"one\" word"]}});
            namespace.create(&pod(namespace, UNTIL_HANDLED, &handler).to_string()).await?;
            namespace.pod_succeeded("task").await?;
            assert_eq!(namespace.log("task", "main").await?, "hello from the pod, it's \"one\" word\n");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn sleep_delays_the_container_for_the_given_time() -> Result<()> {
    scenario("post-start-sleep")
        .run(async |namespace| {
            // The duration of the handler's sleep is added to the timeout of the hook.
            namespace.profile(&PROFILE.replace("20", "1")).await?;
            let handler = json!({"sleep": {"seconds": 2}});
            namespace.create(&pod(namespace, "exec sleep 1000", &handler).to_string()).await?;
            namespace.pod_ready("task").await?;
            let age = namespace.exec("task", "main", &["sh", "-c", "stat -c %Y /proc/1; date +%s"]).await?;
            let times: Vec<u64> =
                String::from_utf8(age.stdout)?.lines().map(str::parse).collect::<Result<_, _>>()?;
            assert!(times[1] - times[0] >= 2, "ready after {times:?}");
            Ok(())
        })
        .await
}

/// A server that starts before the task, because the hook sends its request immediately after the start of
/// the task, like the kubelet. Its CGI program records the request.
fn server(port: u16) -> Value {
    let script = r#"
        mkdir -p /shared/cgi-bin
        printf '#!/bin/sh\necho "$REQUEST_METHOD $QUERY_STRING $HTTP_X_FROM" > /shared/said\ntouch /shared/done\nprintf "Content-Type: text/plain\n\nok\n"\n' \
            > /shared/cgi-bin/ready
        chmod 755 /shared/cgi-bin/ready
    "#;
    json!({
        "name": "server", "image": BUSYBOX, "restartPolicy": "Always",
        "command": ["sh", "-c", format!("{script}exec httpd -f -p {port} -h /shared")],
        "startupProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1, "failureThreshold": 60},
        "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
    })
}

#[tokio::test]
async fn http_get_reaches_the_containers_own_port_by_its_name() -> Result<()> {
    scenario("post-start-http")
        .run(async |namespace| {
            namespace.profile(PROFILE).await?;
            calls_its_http_handler(namespace).await
        })
        .await
}

/// Runs a task whose handler is a request to its own container.
pub(crate) async fn calls_its_http_handler(namespace: &Namespace) -> Result<()> {
    let handler = json!({"httpGet": {
        "port": "page", "path": "/cgi-bin/ready?now=1", "httpHeaders": [{"name": "X-From", "value": "a pod"}],
    }});
    let mut pod = pod(namespace, UNTIL_HANDLED, &handler);
    pod["spec"]["initContainers"] = json!([server(8080)]);
    namespace.create(&pod.to_string()).await?;
    namespace.pod_succeeded("task").await?;
    assert_eq!(namespace.log("task", "main").await?, "GET now=1 a pod\n");
    Ok(())
}

#[tokio::test]
async fn a_handler_that_fails_fails_the_container_as_it_always_did() -> Result<()> {
    scenario("post-start-fails")
        .run(async |namespace| {
            namespace.profile(PROFILE).await?;
            let handler = json!({"exec": {"command": ["sh", "-c", "exit 7"]}});
            namespace.create(&pod(namespace, "exec sleep 1000", &handler).to_string()).await?;
            let pod = namespace.container_ended("task", "main").await?;
            let message = state::message(&pod, "main")?;
            assert!(message.contains("exit code 7") && message.ends_with("[BL7402]\n"), "{message}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_handler_that_hangs_is_ended_at_the_hooks_limit() -> Result<()> {
    scenario("post-start-hangs")
        .run(async |namespace| {
            namespace.profile(&PROFILE.replace("20", "1")).await?;
            let handler = json!({"exec": {"command": ["sleep", "1000"]}});
            namespace.create(&pod(namespace, "exec sleep 1000", &handler).to_string()).await?;
            let pod = namespace.container_ended("task", "main").await?;
            let message = state::message(&pod, "main")?;
            assert!(message.contains("hook timeout of 1 s") && message.ends_with("[BL7402]\n"), "{message}");
            Ok(())
        })
        .await
}

/// As in the kubelet.
#[tokio::test]
async fn http_get_with_https_asks_a_server_without_tls_again() -> Result<()> {
    scenario("post-start-https")
        .run(async |namespace| {
            namespace.profile(PROFILE).await?;
            let handler = json!({"httpGet": {
                "port": "page", "path": "/cgi-bin/ready", "scheme": "HTTPS",
                "httpHeaders": [{"name": "X-From", "value": "a pod"}],
            }});
            let mut pod = pod(namespace, &format!("{UNTIL_HANDLED}; echo $GREETING"), &handler);
            pod["spec"]["initContainers"] = json!([server(8080)]);
            namespace.create(&pod.to_string()).await?;
            namespace.pod_succeeded("task").await?;
            assert_eq!(namespace.log("task", "main").await?, "GET  a pod\nhello\n");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn http_get_over_tls_that_fails_says_where_it_went() -> Result<()> {
    scenario("post-start-https-fails")
        .run(async |namespace| {
            namespace.profile(PROFILE).await?;
            let handler =
                json!({"httpGet": {"host": "127.0.0.1", "port": 8443, "path": "/up?token=hunter2", "scheme": "HTTPS"}});
            namespace.create(&pod(namespace, "exec sleep 1000", &handler).to_string()).await?;
            let pod = namespace.container_ended("task", "main").await?;
            let message = state::message(&pod, "main")?;
            let expected = "GET https://127.0.0.1:8443/up: Connection refused";
            assert!(message.contains(expected) && !message.contains("hunter2"), "{message}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn the_profiles_hooks_run_before_the_pods_handler_and_with_the_same_env() -> Result<()> {
    scenario("post-start-commands")
        .run(async |namespace| {
            let echo = |name: &str| {
                json!(["sh", "-c", format!("echo {name}: $GREETING $OWNER '$(GREETING)' >> /shared/said")])
            };
            let mut profile: Value = serde_saphyr::from_str(PROFILE)?;
            profile["hooks"]["postLaunch"] = json!([
                {"name": "first", "exec": echo("first")}, {"name": "second", "exec": echo("second")},
            ]);
            namespace.profile(&profile.to_string()).await?;
            let mut handler = echo("the pod");
            let script = handler[2].as_str().unwrap_or_default().to_owned() + "; touch /shared/done";
            handler[2] = json!(script);
            let handler = json!({"exec": {"command": handler}});
            namespace.create(&pod(namespace, UNTIL_HANDLED, &handler).to_string()).await?;
            namespace.pod_succeeded("task").await?;
            let line = |name: &str| format!("{name}: hello the pod $(GREETING)\n");
            let expected = [line("first"), line("second"), line("the pod")].concat();
            assert_eq!(namespace.log("task", "main").await?, expected);
            Ok(())
        })
        .await
}
