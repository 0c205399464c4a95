//! Failed requests about the custom resources of Bootlace. Helm installs CRDs only once, so after an upgrade
//! one can be missing.

use super::api_error::ApiError;
use crate::server::watch_errors;
use bootlace_core::code::Code;

/// A failed request about a resource (`pipes`). `problem` describes it, such as `failed to list Pipes`.
pub(crate) fn api_error(plural: &str, problem: &str, error: &kube::Error) -> ApiError {
    if is_missing(error) {
        return ApiError::new(Code::PipeCrdOutdated, describe(plural, problem, error));
    }
    ApiError::from_api(problem, error)
}

/// The message of a failed request about a resource.
pub(super) fn describe(plural: &str, problem: &str, error: &kube::Error) -> String {
    if is_missing(error) {
        return format!(
            "{problem}: the API server has no resource {plural}.bootlace.dev: install the CRD (crds/{plural}.yaml in the chart)"
        );
    }
    watch_errors::describe_api_error(problem, error)
}

/// Whether the API server does not have the resource.
pub(super) fn is_missing(error: &kube::Error) -> bool {
    // If the API server has the resource, the message contains the quoted name of the object that it did not
    // find.
    matches!(error, kube::Error::Api(status) if status.code == 404 && !status.message.contains('"'))
}
