//! How many Pipes there are, where the profile says how many there may be.

use super::PipePages;
use crate::store::api_error::ApiError;
use bootlace_core::output::Quota;

/// Checks that there are not more Pipes than the quota says, the one that is being made included.
///
/// It is asked once that one is there, so that of tasks that end together none slips through. At the very limit it can
/// refuse two where one would have fit.
pub(super) async fn check(
    pages: &PipePages,
    namespace: &str,
    run: &str,
    quota: Quota,
) -> Result<(), ApiError> {
    let quotas = [
        (quota.per_run, Some(run), "of this run", "perRun"),
        (quota.per_namespace, None, "in the namespace", "perNamespace"),
    ];
    for (most, run, place, field) in quotas {
        let Some(most) = most else { continue };
        let error = |error| ApiError::of_api(&format!("Pipes of {namespace} cannot be counted"), &error);
        if pages.count(namespace, run, most).await.map_err(error)? > i64::from(most) {
            return Err(ApiError::quota(format!(
                "there are {most} Pipes {place} already, which is all that the profile allows: delete some, or raise \
                 `pipes.quota.{field}` in the profile"
            )));
        }
    }
    Ok(())
}
