//! How many Pipes there are, where the profile says how many there may be.

use kube::Api;
use kube::api::ListParams;

use crate::names;
use crate::output::{Pipe, Quota};
use crate::store::denial::Denial;

/// Metadata of so many Pipes is held at once, a kilobyte or two each.
const PAGE: u32 = 250;

/// Checks that there are not more Pipes than the quota says, the one that is being made included.
///
/// It is asked once that one is there, so that of tasks that end together none slips through. At the very limit it can
/// refuse two where one would have fit.
pub(super) async fn check(pipes: &Api<Pipe>, namespace: &str, run: &str, quota: Quota) -> Result<(), Denial> {
    let of_run = ListParams::default().labels(&format!("{}={run}", names::LABEL_PIPE_RUN));
    let quotas = [
        (quota.per_run, of_run, "of this run", "perRun"),
        (quota.per_namespace, ListParams::default(), "in the namespace", "perNamespace"),
    ];
    for (most, params, place, field) in quotas {
        let Some(most) = most else { continue };
        let error = |error| Denial::of_api(&format!("Pipes of {namespace} cannot be counted"), &error);
        if count(pipes, params, most).await.map_err(error)? > i64::from(most) {
            return Err(Denial::quota(format!(
                "there are {most} Pipes {place} already, which is all that the profile allows: delete some, or raise \
                 `pipes.quota.{field}` in the profile"
            )));
        }
    }
    Ok(())
}

/// How many there are; where there are more than `most`, possibly fewer than that, but more than `most`.
async fn count(pipes: &Api<Pipe>, params: ListParams, most: u32) -> Result<i64, kube::Error> {
    let mut params = params.limit(most.saturating_add(1).min(PAGE));
    let mut count = 0;
    loop {
        let page = pipes.list_metadata(&params).await?;
        count += i64::try_from(page.items.len()).unwrap_or(i64::MAX);
        // Told where nothing is selected by a label.
        count += page.metadata.remaining_item_count.unwrap_or_default();
        let rest = page.metadata.continue_.filter(|rest| !rest.is_empty());
        match rest {
            Some(rest) if page.metadata.remaining_item_count.is_none() && count <= i64::from(most) => {
                params = params.continue_token(&rest);
            }
            _ => return Ok(count),
        }
    }
}
