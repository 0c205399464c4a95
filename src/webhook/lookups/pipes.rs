//! Looks up the Pipes of a run, for a pod with inputs. They are listed by label when they are needed, so that
//! memory does not grow with the number of Pipes in the cluster.

use std::fmt;
use std::ops::ControlFlow;
use std::time::Duration;

use kube::{Client, Error};
use tokio::time::{Instant, timeout};

use crate::server::pipe_pages::{PageLimits, PipePages};
use crate::webhook::metrics::WebhookMetrics;
use bootlace_core::identity::Identity;
use bootlace_core::output::{Pipe, run_label};

/// The timeout for all requests of a lookup. Less than the five seconds of the webhook in the chart, because
/// other lookups need time as well.
const DEADLINE: Duration = Duration::from_millis(1_500);
/// Large pages, because all pages of a run must be read before the deadline.
const PAGES: PageLimits = PageLimits { items: 500, concurrent: 32 };
/// The maximum number of Pipes of a run, which limits memory.
const MAX: usize = 5_000;

/// Looks up Pipes. By default without a cluster, so that pods with inputs are refused.
#[derive(Default)]
pub struct PipeLookup {
    /// None on a webhook without a cluster.
    pages: Option<PipePages>,
}

impl fmt::Debug for PipeLookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipes").field("has_client", &self.pages.is_some()).finish()
    }
}

impl PipeLookup {
    /// A lookup without a cluster, so that pods with inputs are refused.
    #[must_use]
    pub fn none() -> Self {
        Self { pages: None }
    }

    /// A lookup at an API server.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { pages: Some(PipePages::new(client, PAGES)) }
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
        let answer = match &self.pages {
            None => Err("the webhook runs without a cluster".to_owned()),
            Some(pages) => timeout(DEADLINE, list(pages, namespace, run)).await.unwrap_or_else(|_| {
                Err(format!("the API server did not respond within {} s", DEADLINE.as_secs_f64()))
            }),
        };
        metrics.pipes_looked_up(answer.is_ok(), start.elapsed());
        answer
    }
}

async fn list(pages: &PipePages, namespace: &str, run: &Identity) -> Result<Vec<Pipe>, String> {
    let mut pipes = Vec::new();
    let visit = |pipe| {
        pipes.push(pipe);
        if pipes.len() > MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let listed = pages.each(Some(namespace), Some(&run_label(run)), visit).await;
    listed.map_err(|error| describe(&error))?;
    if pipes.len() > MAX {
        return Err(format!(
            "the run has more than {MAX} Pipes: set pipes.quota.perRun in the BootProfile, and delete Pipes that are not \
             needed"
        ));
    }
    Ok(pipes)
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
    use bootlace_core::names;
    use bootlace_test_api_server::ApiServer;
    use serde_json::json;

    use super::*;

    const PIPES: &str = "/apis/bootlace.dev/v1alpha1/namespaces/etl/pipes";

    fn run() -> Identity {
        let some = |text: &str| Some(text.to_owned());
        Identity { scheduler: some("job"), run: some("r"), ..Identity::default() }
    }

    async fn listed(api: &ApiServer) -> Result<Vec<Pipe>, String> {
        let metrics = WebhookMetrics::default();
        let answer = PipeLookup::new(api.client()).list("etl", &run(), &metrics).await;
        let outcome = if answer.is_ok() { "found" } else { "failed" };
        let line = format!(r#"bootlace_pipe_lookups_total{{outcome="{outcome}"}} 1"#);
        assert!(metrics.encode().unwrap().contains(&line));
        answer
    }

    fn add(api: &ApiServer, name: &str, label: &str) {
        let producer = json!({"pod": "p", "podUid": "u", "container": "c"});
        let spec = json!({"key": name, "kind": "Secret", "object": "o", "size": 1, "hash": "", "producer": producer});
        let metadata = json!({"name": name, "labels": {names::LABEL_PIPE_RUN: label}});
        api.put(&format!("{PIPES}/{name}"), json!({"metadata": metadata, "spec": spec}));
    }

    #[tokio::test]
    async fn all_pages_of_a_run_are_read() {
        let (api, label) = (ApiServer::new(), run_label(&run()));
        let names: Vec<_> = (0..501).map(|number| format!("p{number:03}")).collect();
        for name in &names {
            add(&api, name, &label);
        }
        add(&api, "other", "of-another-run");
        let keys: Vec<_> = listed(&api).await.unwrap().into_iter().map(|pipe| pipe.spec.key).collect();
        assert_eq!(keys, names);
        let requests = api.requests();
        assert!(requests.len() == 2 && requests[0].contains("&limit=500"), "{requests:?}");
        assert!(!requests[0].contains("resourceVersion"), "{requests:?}");
    }

    #[tokio::test]
    async fn a_run_with_too_many_pipes_is_not_read_to_its_end() {
        let (api, label) = (ApiServer::new(), run_label(&run()));
        for number in 0..MAX + 2 * PAGES.items as usize {
            add(&api, &format!("p{number:04}"), &label);
        }
        let error = listed(&api).await.unwrap_err();
        assert!(error.contains("pipes.quota.perRun"), "{error}");
        assert_eq!(api.requests().len(), MAX / PAGES.items as usize + 1);
    }

    #[tokio::test(start_paused = true)]
    async fn errors_contain_a_remedy() {
        for (code, detail) in
            [(None, "1.5 s"), (Some(404), "CRDs"), (Some(403), "pipes.bootlace.dev"), (Some(500), "Pipes")]
        {
            let api = ApiServer::new();
            match code {
                Some(code) => api.fail(PIPES, code),
                None => api.set_silent(true),
            }
            let error = listed(&api).await.unwrap_err();
            assert!(error.contains(detail), "{error}");
        }
    }
}
