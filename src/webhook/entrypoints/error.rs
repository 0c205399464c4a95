//! Why an image's entrypoint is not known, in words for the pod's author.

use std::time::Duration;

use crate::http::HttpError;

/// Why there is no answer. Nothing of a secret is in it.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// The image's name is none.
    #[error(transparent)]
    Reference(bootlace_core::pod::InvalidImage),
    /// The webhook was not installed to ask there.
    #[error(
        "the webhook asks no registry {host}: list it under entrypoints.registries in the chart's values, or name the \
         image's entrypoint in the profile's env.images"
    )]
    NotAsked {
        /// The registry.
        host: String,
    },
    /// A pull secret is not right.
    #[error("a pull secret {0}: correct it, or take it from the pod and its service account")]
    Secret(crate::registry::credentials::InvalidPullSecret),
    /// The registry does not give it.
    #[error(transparent)]
    Registry(#[from] HttpError),
    /// It is there, and is no image that could be started.
    #[error("{image}: {what}")]
    Image {
        /// The image.
        image: String,
        /// What is wrong with it, and what to do.
        what: String,
    },
    /// The time is over.
    #[error(
        "{host} did not answer within {} s: is it running, and does a NetworkPolicy let the webhook reach it?",
        .after.as_secs_f32()
    )]
    TimedOut {
        /// The registry.
        host: String,
        /// The time.
        after: Duration,
    },
    /// It failed often just now.
    #[error("{host} is not asked for another {} s, because its last answers failed: {last}", .left.as_secs().max(1))]
    CircuitOpen {
        /// The registry.
        host: String,
        /// How long.
        left: Duration,
        /// The last failure.
        last: String,
    },
    /// Too many others are being looked up.
    #[error("{0} images are being looked up already: try again")]
    Busy(usize),
}

impl LookupError {
    /// Whether the registry is at fault, rather than the question.
    pub(super) fn is_outage(&self) -> bool {
        match self {
            Self::TimedOut { .. } => true,
            Self::Registry(error) => error.is_temporary(),
            Self::Reference(_)
            | Self::NotAsked { .. }
            | Self::Secret(_)
            | Self::Image { .. }
            | Self::CircuitOpen { .. }
            | Self::Busy(_) => false,
        }
    }
}

/// The lookup cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("the certificate authorities for registries cannot be read: {0}. Give them as PEM")]
pub struct SetupError(pub(super) String);
