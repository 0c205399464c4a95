//! Lookups during a review.
//!
//! | module | lookup |
//! |---|---|
//! | `images` | the entrypoints of images |
//! | `pull_secrets` | the contents of the pull secrets of a pod |
//! | `pipes` | the outputs of the earlier tasks of a run |
//!
//! A review is processed without lookups first. If it needs one, it returns a description of the lookup, and
//! is processed again with the result. Each lookup has its own timeout. An error is a result as well: a
//! review never fails because of a lookup.

mod images;
mod pipes;
mod pull_secrets;

use std::sync::Arc;

use futures::future::join_all;

pub use images::ImageLookup;
pub use pipes::PipeLookup;
pub use pull_secrets::PullSecretLookup;

use super::metrics::WebhookMetrics;
use bootlace_core::admission::{LookupResults, PendingLookup};
use bootlace_core::input::PipeAnswers;
use bootlace_core::plan::ImageConfigs;

/// The maximum number of rounds of lookups, because a result can lead to another lookup. After that, the
/// review is processed without more lookups.
pub(super) const ROUNDS: usize = 4;

/// All lookups.
#[derive(Debug, Default)]
pub struct Lookups {
    /// Images in their registries. None if no registry is configured.
    pub images: Option<Arc<ImageLookup>>,
    /// Outputs of earlier tasks.
    pub pipes: PipeLookup,
}

impl Lookups {
    /// The results before the first lookup: empty, but with the available lookups.
    pub(super) fn begin(&self) -> LookupResults {
        LookupResults {
            images: self.images.as_ref().map(|_| ImageConfigs::default()),
            pipes: Some(PipeAnswers::default()),
        }
    }

    /// Performs a lookup and adds its results to `found`, including errors, so that no lookup is repeated.
    pub(super) async fn add(
        &self,
        lookup: PendingLookup,
        found: &mut LookupResults,
        metrics: &WebhookMetrics,
    ) {
        match lookup {
            PendingLookup::Images(lookup) => {
                if let (Some(images), Some(known)) = (&self.images, &mut found.images) {
                    known.extend(images.all(&lookup).await);
                }
            }
            PendingLookup::Pipes { namespace, runs } => {
                let answers = found.pipes.get_or_insert_default();
                // In parallel, so that they need no more time than one.
                let lookups = runs.iter().map(|run| self.pipes.list(&namespace, run, metrics));
                let found = join_all(lookups).await;
                for (run, answer) in runs.into_iter().zip(found) {
                    answers.add(run, answer);
                }
            }
        }
    }
}
