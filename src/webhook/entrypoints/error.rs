//! The errors of lookups, with messages for the author of the pod.

use std::time::Duration;

use crate::http::HttpError;

/// The entrypoint of an image cannot be looked up. The message never contains a secret.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// The name of the image is invalid.
    #[error(transparent)]
    Reference(bootlace_core::pod::InvalidImage),
    /// The registry is not configured for lookups.
    #[error(
        "lookups in registry {host:?} are not enabled: add it to entrypoints.registries in the values of the chart, or \
         the entrypoint of the image to env.images of the BootProfile"
    )]
    NotConfigured {
        /// The registry.
        host: String,
    },
    /// A pull secret is invalid.
    #[error("a pull secret {0}: correct it, or remove it from the pod and its service account")]
    Secret(crate::registry::credentials::InvalidPullSecret),
    /// The registry did not return the image.
    #[error(transparent)]
    Registry(#[from] HttpError),
    /// The image cannot be started.
    #[error("image {image:?} is invalid: {problem}")]
    Image {
        /// The image.
        image: String,
        /// The problem, and the remedy.
        problem: String,
    },
    /// The lookup timed out.
    #[error(
        "registry {host:?} did not respond within {} s: check whether it is running, and the network policy of the webhook",
        .after.as_secs_f32()
    )]
    TimedOut {
        /// The registry.
        host: String,
        /// The timeout.
        after: Duration,
    },
    /// The last requests to the registry failed.
    #[error("no requests to registry {host:?} for another {} s, because the last ones failed: {last}", .left.as_secs().max(1))]
    CircuitOpen {
        /// The registry.
        host: String,
        /// The time until the next request.
        left: Duration,
        /// The last error.
        last: String,
    },
    /// Too many other lookups are in progress.
    #[error("{0} other lookups of images are in progress: try again")]
    Busy(usize),
}

impl LookupError {
    /// Whether the registry caused the error, and not the request.
    pub(super) fn is_outage(&self) -> bool {
        match self {
            Self::TimedOut { .. } => true,
            Self::Registry(error) => error.is_temporary(),
            Self::Reference(_)
            | Self::NotConfigured { .. }
            | Self::Secret(_)
            | Self::Image { .. }
            | Self::CircuitOpen { .. }
            | Self::Busy(_) => false,
        }
    }

    /// Whether another attempt may succeed without a change of the pod or the image.
    pub(in crate::webhook) fn is_temporary(&self) -> bool {
        self.is_outage() || matches!(self, Self::CircuitOpen { .. } | Self::Busy(_))
    }
}

/// The lookup cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("the certificate authorities of registries are invalid: {0}")]
pub struct SetupError(pub(super) String);
