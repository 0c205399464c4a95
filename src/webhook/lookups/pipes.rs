//! Looks up the Pipes of a run, for a pod with inputs. They are listed by label when they are needed, so that
//! memory does not grow with the number of Pipes in the cluster.

use std::fmt;
use std::time::Duration;

use kube::api::{Api, ListParams};
use kube::{Client, Error};
use tokio::time::{Instant, timeout};

use crate::webhook::metrics::WebhookMetrics;
use bootlace_core::identity::Identity;
use bootlace_core::names;
use bootlace_core::output::{Pipe, run_label};

/// The timeout for all requests of a lookup. Less than the five seconds of the webhook in the chart, because
/// other lookups need time as well.
const DEADLINE: Duration = Duration::from_millis(1_500);
/// The number of Pipes in one response of the API server.
const PAGE: u32 = 500;
/// The maximum number of Pipes of a run, which limits memory.
const MAX: usize = 5_000;

/// Looks up Pipes. By default without a cluster, so that pods with inputs are refused.
#[derive(Default)]
pub struct PipeLookup {
    /// None on a webhook without a cluster.
    client: Option<Client>,
}

impl fmt::Debug for PipeLookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipes").field("has_client", &self.client.is_some()).finish()
    }
}

impl PipeLookup {
    /// A lookup without a cluster, so that pods with inputs are refused.
    #[must_use]
    pub fn none() -> Self {
        Self { client: None }
    }

    /// A lookup at an API server.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client: Some(client) }
    }

    /// Lists the Pipes with the label of `run` in `namespace`. Callers have to compare the run in the spec,
    /// because users can write labels.
    ///
    /// # Errors
    /// A message for the author of the pod.
    pub async fn list(
        &self,
        namespace: &str,
        run: &Identity,
        metrics: &WebhookMetrics,
    ) -> Result<Vec<Pipe>, String> {
        let start = Instant::now();
        let answer = match &self.client {
            None => Err("the webhook runs without a cluster".to_owned()),
            Some(client) => {
                let api = Api::namespaced(client.clone(), namespace);
                timeout(DEADLINE, list(&api, run)).await.unwrap_or_else(|_| {
                    Err(format!("the API server did not respond within {} s", DEADLINE.as_secs_f64()))
                })
            }
        };
        metrics.pipes_looked_up(answer.is_ok(), start.elapsed());
        answer
    }
}

async fn list(api: &Api<Pipe>, run: &Identity) -> Result<Vec<Pipe>, String> {
    let selector = format!("{}={}", names::LABEL_PIPE_RUN, run_label(run));
    // Without a resource version, the list is up to date, and contains all outputs of tasks that have ended.
    let mut page = ListParams::default().labels(&selector).limit(PAGE);
    let mut pipes = Vec::new();
    loop {
        let list = api.list(&page).await.map_err(|error| describe(&error))?;
        pipes.extend(list.items);
        if pipes.len() > MAX {
            return Err(format!(
                "the run has more than {MAX} Pipes: set pipes.quota.perRun in the BootProfile, and delete Pipes that are not \
                 needed"
            ));
        }
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(pipes),
        }
    }
}

fn describe(error: &Error) -> String {
    match error {
        Error::Api(status) if status.code == 404 => {
            "the CRD of Pipes not found: install the CRDs of the chart of Bootlace".to_owned()
        }
        Error::Api(status) if status.code == 403 => {
            "the webhook is not allowed to list Pipes: grant its ClusterRole get and list for pipes.bootlace.dev"
                .to_owned()
        }
        error => format!("failed to list Pipes: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use axum::http::{Request, Response};
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;

    /// Looks up Pipes at an API server that sends the next of these responses to each request.
    async fn listed(responses: Vec<(u16, Value)>) -> (Result<Vec<Pipe>, String>, Vec<String>) {
        let responses = Arc::new(Mutex::new(responses.into_iter()));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let service = tower::service_fn(move |request: Request<Body>| {
            seen.lock().unwrap().push(request.uri().to_string());
            let next = responses.lock().unwrap().next();
            async move {
                let Some((code, body)) = next else { std::future::pending().await };
                let body = Body::from(serde_json::to_vec(&body).unwrap());
                Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap())
            }
        });
        let some = |text: &str| Some(text.to_owned());
        let run = Identity { scheduler: some("job"), run: some("r"), ..Identity::default() };
        let metrics = WebhookMetrics::default();
        let answer = PipeLookup::new(Client::new(service, "default")).list("etl", &run, &metrics).await;
        let outcome = if answer.is_ok() { "found" } else { "failed" };
        let line = format!(r#"bootlace_pipe_lookups_total{{outcome="{outcome}"}} 1"#);
        assert!(metrics.encode().unwrap().contains(&line));
        let requests = requests.lock().unwrap().clone();
        (answer, requests)
    }

    fn page(key: &str, continued: &str) -> (u16, Value) {
        let producer = json!({"pod": "p", "podUid": "u", "container": "c"});
        let spec =
            json!({"key": key, "kind": "Secret", "object": "o", "size": 1, "hash": "", "producer": producer});
        let pipe = json!({"metadata": {"name": "o"}, "spec": spec});
        (200, json!({"metadata": {"continue": continued}, "items": [pipe]}))
    }

    #[tokio::test]
    async fn all_pages_of_a_run_are_read() {
        let (pipes, requests) = listed(vec![page("A", "next"), page("B", "")]).await;
        let keys: Vec<_> = pipes.unwrap().into_iter().map(|pipe| pipe.spec.key).collect();
        assert_eq!(keys, ["A", "B"]);
        let start = "/apis/bootlace.dev/v1alpha1/namespaces/etl/pipes?";
        assert!(
            requests[0].starts_with(start)
                && requests[0].contains("&limit=500")
                && requests[0].contains("labelSelector=bootlace.dev%2Fpipe-run%3D"),
            "{requests:?}"
        );
        assert!(!requests[0].contains("resourceVersion"), "{requests:?}");
        assert!(requests[1].contains("continue=next"), "{requests:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn errors_contain_a_remedy() {
        let status =
            |code: u16| (code, json!({"kind": "Status", "code": code, "message": "no", "reason": "x"}));
        for (responses, part) in [
            (vec![], "did not respond within 1.5 s"),
            (vec![status(404)], "install the CRDs"),
            (vec![status(403)], "not allowed to list Pipes"),
            (vec![status(500)], "failed to list Pipes"),
        ] {
            let error = listed(responses).await.0.unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
