//! Messages about errors of watches and requests to the API server, which say what to change.

use kube::runtime::watcher::Error;
use tracing::{debug, warn};

use crate::text::error_chain;

/// The resource of a watch, for messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WatchedResource {
    /// `plural.group`, as in RBAC rules.
    pub(crate) resource: &'static str,
    /// What to do if the API server does not have the resource.
    pub(crate) absent: &'static str,
}

impl WatchedResource {
    /// Logs an error and returns its message; `None` for errors that are part of normal operation.
    pub(crate) fn trouble(self, error: &Error) -> Option<String> {
        let Some(message) = self.message(error) else {
            debug!(resource = self.resource, %error, "restarting a watch");
            return None;
        };
        warn!("{message}");
        Some(message)
    }

    fn message(self, error: &Error) -> Option<String> {
        let Self { resource, absent } = self;
        let cause = match error {
            // The server ends watches and removes old versions; the watcher then lists again.
            Error::WatchError(status) if status.code == 410 => return None,
            Error::WatchError(status) => {
                return Some(format!("failed to watch {resource}: {}", status.message));
            }
            Error::InitialListFailed(cause) | Error::WatchStartFailed(cause) | Error::WatchFailed(cause) => {
                cause
            }
            Error::NoResourceVersion => return Some(format!("failed to watch {resource}: {error}")),
        };
        Some(match cause {
            kube::Error::Api(status) if status.code == 404 => {
                format!("the API server has no resource {resource}: {absent}")
            }
            kube::Error::Api(status) => describe(resource, status),
            other => format!("failed to watch {resource}, retrying: {}", error_chain(other)),
        })
    }
}

fn describe(resource: &str, status: &kube::core::Status) -> String {
    let message = &status.message;
    if status.code == 403 {
        return format!(
            "failed to watch {resource}: {message}: grant the service account get, list and watch, as the chart does with \
             rbac.create"
        );
    }
    format!("failed to watch {resource}, retrying: {message}")
}

/// Whether the API server does not have the resource.
pub(crate) fn is_resource_missing(error: &kube::Error) -> bool {
    // If the API server has the resource, the message contains the quoted name of the object that it did not
    // find.
    matches!(error, kube::Error::Api(status) if status.code == 404 && !status.message.contains('"'))
}

/// The message of a failed request. `problem` describes it, such as `failed to read Secret a`.
pub(crate) fn describe_api_error(problem: &str, error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.code == 403 => {
            format!(
                "{problem}: {}: grant the service account this permission, as the chart does with rbac.create",
                status.message
            )
        }
        kube::Error::Api(status) => format!("{problem}: {}", status.message),
        other => format!("{problem}: {}", error_chain(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(code: u16, message: &str) -> Error {
        let status = kube::core::Status::failure(message, "").with_code(code);
        Error::InitialListFailed(kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn messages_say_what_to_change() {
        let watching = WatchedResource {
            resource: "bootprofiles.bootlace.dev",
            absent: "install crds/bootprofiles.yaml",
        };
        for (error, hint) in [
            (failed(404, "page not found"), "crds/bootprofiles.yaml"),
            (failed(403, "forbidden"), "rbac.create"),
            (failed(500, "etcd is away"), "etcd is away"),
        ] {
            let message = watching.trouble(&error).unwrap();
            assert!(message.contains(hint), "{message}");
        }
        let expired = kube::core::Status::failure("too old", "Expired").with_code(410);
        assert_eq!(watching.trouble(&Error::WatchError(Box::new(expired))), None);
    }
}
