//! The quotas of a profile for Pipes.

use crate::server::pipe_pages::PipePages;
use crate::store::api_error::ApiError;
use bootlace_core::code::Code;
use bootlace_core::output::Quota;

/// Checks that the number of Pipes, including the one that is being stored, does not exceed the quota.
///
/// The caller creates the Pipe first, so that tasks that end at the same time cannot exceed the quota
/// together. If only one more Pipe fits, two concurrent requests can therefore both be refused.
pub(super) async fn check(
    pages: &PipePages,
    namespace: &str,
    run: &str,
    quota: Quota,
) -> Result<(), ApiError> {
    let quotas = [
        (quota.per_run, Some(run), "this run", "perRun"),
        (quota.per_namespace, None, "the namespace", "perNamespace"),
    ];
    for (limit, run, scope, field) in quotas {
        let Some(limit) = limit else { continue };
        let failed =
            |error| ApiError::from_api(&format!("failed to count Pipes in namespace {namespace:?}"), &error);
        if pages.count(namespace, run, limit).await.map_err(failed)? > i64::from(limit) {
            return Err(exceeded(scope, limit, field));
        }
    }
    Ok(())
}

pub(crate) fn exceeded(scope: &str, limit: u32, field: &str) -> ApiError {
    ApiError::new(
        Code::PipeQuotaExceeded,
        format!(
            "{scope} has too many Pipes, the profile allows {limit}: delete Pipes, or increase `pipes.quota.{field}` in the \
             profile"
        ),
    )
}
