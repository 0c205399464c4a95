//! Tests of the cluster itself, without Bootlace.

use anyhow::{Context as _, Result, bail, ensure};
use bootlace_cluster::scenario::{LIMIT, scenario};
use bootlace_cluster::wait::until_async;
use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::ResourceExt as _;
use kube::api::{WatchEvent, WatchParams};

#[tokio::test]
async fn a_plain_pod_runs_to_completion_and_its_log_can_be_read() -> Result<()> {
    scenario("plain-pod")
        .run(async |namespace| {
            let pod = "
                apiVersion: v1
                kind: Pod
                metadata: { name: hello }
                spec:
                  restartPolicy: Never
                  containers:
                  - { name: main, image: localhost/busybox:test, command: [sh, -c, 'echo hello; echo $0', argument] }
            ";
            namespace.create(pod).await?;
            namespace.pod_succeeded("hello").await?;
            assert_eq!(namespace.log("hello", "main").await?, "hello\nargument\n");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_pod_reaches_a_service_by_its_name_and_a_command_runs_in_it() -> Result<()> {
    scenario("service")
        .run(async |namespace| {
            let service = "
                apiVersion: v1
                kind: Service
                metadata: { name: page }
                spec: { selector: { app: page }, ports: [{ port: 80, targetPort: 8080 }] }
            ";
            let pod = "
                apiVersion: v1
                kind: Pod
                metadata: { name: server, labels: { app: page } }
                spec:
                  containers:
                  - name: main
                    image: localhost/busybox:test
                    command: [sh, -c, 'echo served > /tmp/index.html; exec httpd -f -p 8080 -h /tmp']
                    readinessProbe: { httpGet: { port: 8080, path: /index.html }, periodSeconds: 1 }
            ";
            namespace.create(service).await?;
            namespace.create(pod).await?;
            namespace.pod_ready("server").await?;
            // The pod is ready before kube-proxy forwards connections of the Service to it.
            until_async(LIMIT, "the Service does not forward to its pod", async || {
                let fetched =
                    namespace.exec("server", "main", &["wget", "-qO-", "http://page/index.html"]).await?;
                ensure!(fetched.succeeded && fetched.stdout == b"served\n", "{fetched:?}");
                Ok(())
            })
            .await
        })
        .await
}

#[tokio::test]
async fn a_namespace_that_enforces_restricted_refuses_a_pod_that_runs_as_root() -> Result<()> {
    scenario("restricted")
        .label("pod-security.kubernetes.io/enforce", "restricted")
        .run(async |namespace| {
            let pod = "{apiVersion: v1, kind: Pod, metadata: {name: root},
                spec: {containers: [{name: main, image: 'localhost/busybox:test'}]}}";
            let error = namespace.create(pod).await.unwrap_err().to_string();
            assert!(error.contains("runAsNonRoot"), "{error}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn the_image_without_a_shell_prints_the_env_of_its_process() -> Result<()> {
    scenario("probe")
        .run(async |namespace| {
            let pod = r#"{apiVersion: v1, kind: Pod, metadata: {name: probe}, spec: {restartPolicy: Never,
                containers: [{name: main, image: 'localhost/probe:test', env: [{name: TWO, value: "a\nb"}],
                args: [argv, environ, status, exit=3, "--", "", "it's"]}]}}"#;
            namespace.create(pod).await?;
            namespace.pod_failed("probe").await?;
            let log = namespace.log("probe", "main").await?;
            let lines: Vec<&str> = log.lines().collect();
            for expected in ["argv 0 /probe", "argv 6 ", r"argv 7 it\'s", r"environ TWO=a\nb", "status Pid 1"]
            {
                assert!(lines.contains(&expected), "{expected:?} is not in:\n{log}");
            }
            Ok(())
        })
        .await
}

/// Some clients, such as Spark's, repeat a list forever that the API server refuses because etcd is too old.
#[tokio::test]
async fn a_list_that_is_streamed_ends_with_a_bookmark() -> Result<()> {
    scenario("streaming-list")
        .run(async |namespace| {
            let accounts = namespace.api::<ServiceAccount>();
            let params = WatchParams::default().initial_events();
            let read = async {
                let mut events = std::pin::pin!(accounts.watch(&params, "0").await?);
                let mut names = Vec::new();
                while let Some(event) = events.try_next().await? {
                    match event {
                        WatchEvent::Added(account) => names.push(account.name_any()),
                        WatchEvent::Bookmark(bookmark) => {
                            let end = bookmark.metadata.annotations.get("k8s.io/initial-events-end");
                            assert_eq!(end.map(String::as_str), Some("true"));
                            return Ok(names);
                        }
                        other => bail!("unexpected event: {other:?}"),
                    }
                }
                bail!("the watch ended after {names:?}")
            };
            let names = tokio::time::timeout(LIMIT, read).await.context("the list did not end")??;
            assert_eq!(names, ["default"]);
            Ok(())
        })
        .await
}
