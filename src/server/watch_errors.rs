//! What a watch's trouble means, in words that say what to change.

use kube::runtime::watcher::Error;
use tracing::{debug, warn};

/// What is watched, for messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WatchedResource {
    /// `plural.group`, as in a role's rules.
    pub(crate) resource: &'static str,
    /// What to do where the API server does not know it.
    pub(crate) absent: &'static str,
}

impl WatchedResource {
    /// Logs trouble, and returns it as a sentence; nothing for what belongs to a watch's life.
    pub(crate) fn trouble(self, error: &Error) -> Option<String> {
        let Some(sentence) = self.sentence(error) else {
            debug!(resource = self.resource, %error, "watch begins anew");
            return None;
        };
        warn!("{sentence}");
        Some(sentence)
    }

    fn sentence(self, error: &Error) -> Option<String> {
        let Self { resource, absent } = self;
        let cause = match error {
            // The server ends watches, and forgets old versions: the watcher lists anew.
            Error::WatchError(status) if status.code == 410 => return None,
            Error::WatchError(status) => {
                return Some(format!("{resource} cannot be watched ({})", status.message));
            }
            Error::InitialListFailed(cause) | Error::WatchStartFailed(cause) | Error::WatchFailed(cause) => {
                cause
            }
            Error::NoResourceVersion => return Some(format!("{resource} cannot be watched ({error})")),
        };
        Some(match cause {
            kube::Error::Api(status) if status.code == 404 => {
                format!("the API server knows no {resource}: {absent}")
            }
            kube::Error::Api(status) => describe(resource, status),
            other => format!("{resource} cannot be watched, trying again ({})", error_chain(other)),
        })
    }
}

fn describe(resource: &str, status: &kube::core::Status) -> String {
    let message = &status.message;
    if status.code == 403 {
        return format!(
            "the service account may not read {resource} ({message}): grant it get, list and watch, as \
             the chart does with rbac.create"
        );
    }
    format!("{resource} cannot be watched, trying again ({message})")
}

/// A failed call in words.
pub(crate) fn describe_api_error(doing: &str, error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.code == 403 => {
            format!(
                "{doing}: the service account may not ({}): grant it that, as the chart does with rbac.create",
                status.message
            )
        }
        kube::Error::Api(status) => format!("{doing}: {}", status.message),
        other => format!("{doing}: {}", error_chain(other)),
    }
}

/// An error with its causes: the outermost alone often says no more than that something failed.
fn error_chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut said: Vec<String> = Vec::new();
    for cause in causes.map(ToString::to_string) {
        if !said.iter().any(|earlier| earlier.contains(&cause)) {
            said.push(cause);
        }
    }
    said.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(code: u16, message: &str) -> Error {
        let status = kube::core::Status::failure(message, "").with_code(code);
        Error::InitialListFailed(kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn trouble_says_what_to_change() {
        let watching = WatchedResource { resource: "bootprofiles.bootlace.dev", absent: "install the CRD" };
        for (error, hint) in [
            (failed(404, "page not found"), "knows no bootprofiles.bootlace.dev: install the CRD"),
            (failed(403, "forbidden"), "grant it get, list and watch"),
            (failed(500, "etcd is away"), "trying again (etcd is away)"),
        ] {
            let sentence = watching.trouble(&error).unwrap();
            assert!(sentence.contains(hint), "{sentence}");
        }
        let expired = kube::core::Status::failure("too old", "Expired").with_code(410);
        assert_eq!(watching.trouble(&Error::WatchError(Box::new(expired))), None);
    }
}
