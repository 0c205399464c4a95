//! Failed requests about the custom resources of Bootlace. Helm installs CRDs only once, so after an upgrade
//! one can be missing.

use super::api_error::ApiError;
use crate::server::watch_errors::{self, is_resource_missing};
use bootlace_core::code::Code;

/// A failed request about a resource (`pipes`). `problem` describes it, such as `failed to list Pipes`.
pub(crate) fn api_error(plural: &str, problem: &str, error: &kube::Error) -> ApiError {
    if is_resource_missing(error) {
        return ApiError::new(Code::PipeCrdOutdated, describe(plural, problem, error));
    }
    ApiError::from_api(problem, error)
}

/// The message of a failed request about a resource.
pub(super) fn describe(plural: &str, problem: &str, error: &kube::Error) -> String {
    if is_resource_missing(error) {
        return format!(
            "{problem}: the API server has no resource {plural}.bootlace.dev: install the CRD (crds/{plural}.yaml in the chart)"
        );
    }
    watch_errors::describe_api_error(problem, error)
}
