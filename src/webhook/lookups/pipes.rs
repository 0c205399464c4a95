//! The Pipes of a run, looked up where a pod takes from earlier tasks: listed by the run's label when they are needed, so
//! that memory does not grow with what a cluster stores.

use std::fmt;
use std::time::Duration;

use kube::api::{Api, ListParams};
use kube::{Client, Error};
use tokio::time::{Instant, timeout};

use crate::webhook::metrics::WebhookMetrics;
use bootlace_core::identity::Identity;
use bootlace_core::names;
use bootlace_core::output::{Pipe, run_label};

/// How long a run's lookup may take, all of its requests together: less than the five seconds that the chart's webhook
/// has, by what is looked up beside it.
const DEADLINE: Duration = Duration::from_millis(1_500);
/// Pipes in one answer of the API server.
const PAGE: u32 = 500;
/// Pipes of a run that are read: more is no run that people look into, and would be memory for whoever asks.
const MAX: usize = 5_000;

/// Looks Pipes up. By default nowhere: every pod that takes something is turned away with a sentence.
#[derive(Default)]
pub struct PipeLookup {
    /// None on a webhook without a cluster.
    client: Option<Client>,
}

impl fmt::Debug for PipeLookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipes").field("asks", &self.client.is_some()).finish()
    }
}

impl PipeLookup {
    /// Looks nothing up: every pod that takes something is turned away with a sentence.
    #[must_use]
    pub fn nowhere() -> Self {
        Self { client: None }
    }

    /// Asks an API server.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client: Some(client) }
    }

    /// What carries the label of `run` in `namespace`, or why that cannot be had. Who reads it compares the records, as
    /// labels are anybody's to write.
    ///
    /// # Errors
    /// Why it cannot be had, for the pod's author.
    pub async fn list(
        &self,
        namespace: &str,
        run: &Identity,
        metrics: &WebhookMetrics,
    ) -> Result<Vec<Pipe>, String> {
        let begun = Instant::now();
        let answer = match &self.client {
            None => Err("this webhook runs without a cluster".to_owned()),
            Some(client) => {
                let api = Api::namespaced(client.clone(), namespace);
                timeout(DEADLINE, list(&api, run)).await.unwrap_or_else(|_| {
                    Err(format!("the API server did not answer within {} s", DEADLINE.as_secs_f64()))
                })
            }
        };
        metrics.pipes_looked_up(answer.is_ok(), begun.elapsed());
        answer
    }
}

async fn list(api: &Api<Pipe>, run: &Identity) -> Result<Vec<Pipe>, String> {
    let selector = format!("{}={}", names::LABEL_PIPE_RUN, run_label(run));
    // Without a resource version the answer is the newest that there is: what a task stored before it ended is in it.
    let mut page = ListParams::default().labels(&selector).limit(PAGE);
    let mut pipes = Vec::new();
    loop {
        let list = api.list(&page).await.map_err(|error| why(&error))?;
        pipes.extend(list.items);
        if pipes.len() > MAX {
            return Err(format!(
                "the run has more than {MAX} of them: set pipes.quota.perRun in the BootProfile, and delete what nobody \
                 needs"
            ));
        }
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(pipes),
        }
    }
}

fn why(error: &Error) -> String {
    match error {
        Error::Api(status) if status.code == 404 => {
            "the cluster has no Pipes: install the CRDs of Bootlace's chart".to_owned()
        }
        Error::Api(status) if status.code == 403 => {
            "the webhook may not list Pipes: give its ClusterRole get and list on pipes.bootlace.dev"
                .to_owned()
        }
        error => format!("the API server cannot be asked ({error})"),
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

    /// Looks up of an API server that answers each request with the next of these.
    async fn listed(answers: Vec<(u16, Value)>) -> (Result<Vec<Pipe>, String>, Vec<String>) {
        let (answers, asked) = (Arc::new(Mutex::new(answers.into_iter())), Arc::new(Mutex::new(Vec::new())));
        let seen = Arc::clone(&asked);
        let service = tower::service_fn(move |request: Request<Body>| {
            seen.lock().unwrap().push(request.uri().to_string());
            let next = answers.lock().unwrap().next();
            async move {
                let Some((code, body)) = next else { std::future::pending().await };
                let body = Body::from(serde_json::to_vec(&body).unwrap());
                Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap())
            }
        });
        let own = |text: &str| Some(text.to_owned());
        let run = Identity { scheduler: own("job"), run: own("r"), ..Identity::default() };
        let metrics = WebhookMetrics::default();
        let answer = PipeLookup::new(Client::new(service, "default")).list("etl", &run, &metrics).await;
        let outcome = if answer.is_ok() { "found" } else { "failed" };
        let line = format!(r#"bootlace_pipe_lookups_total{{outcome="{outcome}"}} 1"#);
        assert!(metrics.encode().unwrap().contains(&line));
        let asked = asked.lock().unwrap().clone();
        (answer, asked)
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
        let (pipes, asked) = listed(vec![page("A", "next"), page("B", "")]).await;
        let keys: Vec<_> = pipes.unwrap().into_iter().map(|pipe| pipe.spec.key).collect();
        assert_eq!(keys, ["A", "B"]);
        let start = "/apis/bootlace.dev/v1alpha1/namespaces/etl/pipes?";
        assert!(
            asked[0].starts_with(start)
                && asked[0].contains("&limit=500")
                && asked[0].contains("labelSelector=bootlace.dev%2Fpipe-run%3D"),
            "{asked:?}"
        );
        assert!(!asked[0].contains("resourceVersion"), "{asked:?}");
        assert!(asked[1].contains("continue=next"), "{asked:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_had_is_told_with_its_remedy() {
        let refusal =
            |code: u16| (code, json!({"kind": "Status", "code": code, "message": "no", "reason": "x"}));
        for (answers, sentence) in [
            (vec![], "did not answer within 1.5 s"),
            (vec![refusal(404)], "the cluster has no Pipes: install the CRDs"),
            (vec![refusal(403)], "may not list Pipes: give its ClusterRole"),
            (vec![refusal(500)], "the API server cannot be asked"),
        ] {
            let error = listed(answers).await.0.unwrap_err();
            assert!(error.contains(sentence), "{error}");
        }
    }
}
