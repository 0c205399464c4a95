//! The remote system whose jobs are cancelled: a server that notes each request, and logs it with the time.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::images::KIT;
use crate::scenario::{LIMIT, Namespace};
use crate::wait::until_async;

/// The name of the pod and of the Service.
const NAME: &str = "remote";

/// The remote system in the namespace of a scenario.
pub struct Remote<'n> {
    namespace: &'n Namespace,
}

impl<'n> Remote<'n> {
    /// Starts it, and waits until it is ready.
    ///
    /// # Errors
    /// If it does not get ready.
    pub async fn start(namespace: &'n Namespace) -> Result<Self> {
        let script = r#"
            mkdir -p /tmp/www/cgi-bin
            for name in submitted cancel done ended said; do
                printf '#!/bin/sh\necho %s$PATH_INFO $QUERY_STRING >>/tmp/requests\necho $(date +%%T) %s ${PATH_INFO#/} >>/proc/1/fd/1\nprintf "Content-Type: text/plain\\r\\n\\r\\nok"\n' \
                    $name $name >/tmp/www/cgi-bin/$name
            done
            chmod 755 /tmp/www/cgi-bin/*
            exec httpd -f -p 8080 -h /tmp/www"#;
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": NAME, "labels": {"app": NAME}},
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [{
                "name": "main", "image": KIT, "command": ["sh", "-c", script],
                "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
            }]},
        });
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": NAME},
            "spec": {"selector": {"app": NAME}, "ports": [{"port": 80, "targetPort": 8080}]},
        });
        for object in [pod, service] {
            namespace.create(&object.to_string()).await?;
        }
        namespace.pod_ready(NAME).await?;
        Ok(Self::started(namespace))
    }

    /// The remote system that runs in the namespace already.
    #[must_use]
    pub fn started(namespace: &'n Namespace) -> Self {
        Self { namespace }
    }

    /// Its address. The first segment of the path is the kind of a request, and the second the job.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{NAME}.{}.svc.cluster.local/cgi-bin", self.namespace.name())
    }

    /// The requests so far, such as `cancel/job-17`, in their order.
    ///
    /// # Errors
    /// If they cannot be read.
    pub async fn requests(&self) -> Result<Vec<String>> {
        let output =
            self.namespace.exec(NAME, "main", &["sh", "-c", "cat /tmp/requests 2>/dev/null"]).await?;
        Ok(String::from_utf8(output.stdout)?.lines().map(|line| line.trim().to_owned()).collect())
    }

    /// Waits until there is a request that starts with `start`.
    ///
    /// # Errors
    /// If it does not arrive in time.
    pub async fn wait_for(&self, start: &str) -> Result<()> {
        self.wait_within(LIMIT, start).await
    }

    /// As [`wait_for`](Self::wait_for), with another timeout.
    ///
    /// # Errors
    /// As [`wait_for`](Self::wait_for).
    pub async fn wait_within(&self, limit: Duration, start: &str) -> Result<()> {
        until_async(limit, "the remote system got no request", async || {
            let requests = self.requests().await?;
            ensure!(requests.iter().any(|line| line.starts_with(start)), "no {start} in {requests:?}");
            Ok(())
        })
        .await
    }

    /// Hooks that cancel the job of a task, and tell of its end.
    #[must_use]
    pub fn hooks(&self) -> Value {
        let http = |path: &str, query: Value| json!({"url": self.url(), "path": path, "query": query, "method": "GET"});
        let end = json!({"exit": "{{ exitCode }}", "signal": "{{ signal }}"});
        json!({
            "abort": [{"name": "cancel", "http": http("cancel/{{ abort }}", json!({}))}],
            "postKill": [{"name": "told", "http": http("ended/{{ pod }}", end)}],
        })
    }
}
