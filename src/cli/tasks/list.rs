//! Lists the tasks of a cluster, page by page. Of each pod, only what is shown stays in memory.

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client};

use super::filter::Filter;
use super::task::Task;
use crate::command_error::CommandError;
use crate::server::api_client::next_page;

/// Objects in a page. Most pods with boot have 20 KB, and some have 1 MB.
pub(super) const PAGE: u32 = 250;
/// How often a list begins again whose continuation the API server has forgotten, which it does after 5
/// minutes.
const MAX_RESTARTS: usize = 3;

/// The pods of a namespace, or of all.
pub(super) fn pods(client: &Client, namespace: Option<&str>) -> Api<Pod> {
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// The tasks that `filter` selects, without what Events tell.
///
/// # Errors
/// Pods cannot be listed.
pub(super) async fn tasks(
    client: &Client,
    namespace: Option<&str>,
    filter: &Filter,
) -> Result<Vec<Task>, CommandError> {
    let api = pods(client, namespace);
    let mut restarts = 0;
    loop {
        match all(&api, filter).await {
            Err(kube::Error::Api(status)) if status.code == 410 && restarts < MAX_RESTARTS => restarts += 1,
            listed => {
                return listed.map_err(|error| CommandError::cluster_request("list pods", namespace, &error));
            }
        }
    }
}

async fn all(api: &Api<Pod>, filter: &Filter) -> Result<Vec<Task>, kube::Error> {
    let first = ListParams::default().limit(PAGE);
    let (mut params, mut tasks) = (first.clone(), Vec::new());
    loop {
        let page = api.list(&params).await?;
        let found = page.items.iter().filter_map(Task::of_pod);
        tasks.extend(found.filter(|task| filter.selects(task) && filter.shows(task.state.phase)));
        match next_page(page.metadata) {
            Some(token) => params = first.clone().continue_token(&token),
            None => return Ok(tasks),
        }
    }
}
