//! The Pipes of one run, as far as its label tells.

use kube::Api;
use kube::api::ListParams;

use crate::names;
use crate::output::Pipe;

/// So many Pipes are held at once, two kilobytes or so each, and of those only what matches.
const PAGE: u32 = 250;

/// Those that carry the label `run` and that `matches` is true of. Without a resource version the answer is the newest
/// that there is.
pub(in crate::store) async fn matching(
    pipes: &Api<Pipe>,
    run: &str,
    matches: impl Fn(&Pipe) -> bool,
) -> Result<Vec<Pipe>, kube::Error> {
    let mut params = ListParams::default().labels(&format!("{}={run}", names::LABEL_PIPE_RUN)).limit(PAGE);
    let mut matching = Vec::new();
    loop {
        let page = pipes.list(&params).await?;
        matching.extend(page.items.into_iter().filter(&matches));
        match page.metadata.continue_.filter(|rest| !rest.is_empty()) {
            Some(rest) => params = params.continue_token(&rest),
            None => return Ok(matching),
        }
    }
}
