//! What a pod does not tell itself, looked up while its review waits.
//!
//! | module | what it answers |
//! |---|---|
//! | `images` | what do these images start |
//! | `pull_secrets` | what do a pod's pull secrets hold |
//! | `pipes` | what have the earlier tasks of a run stored |
//!
//! A review is answered from what is known; where more must be known, it says what, that is looked up here, and the review
//! is answered again. Each way of looking up bounds its own time, and what it comes to is an answer also where that is
//! only why there is none: a review never fails because of a lookup.

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

/// How often a review may ask: what is found can lead to one more question, and after these it is answered without.
pub(super) const ROUNDS: usize = 4;

/// All that can be looked up.
#[derive(Debug, Default)]
pub struct Lookups {
    /// Images in their registries; none where no registry is to be asked.
    pub images: Option<Arc<ImageLookup>>,
    /// What earlier tasks stored.
    pub pipes: PipeLookup,
}

impl Lookups {
    /// What is known of a pod before anything is asked: nothing, but what can be asked.
    pub(super) fn begin(&self) -> LookupResults {
        LookupResults {
            images: self.images.as_ref().map(|_| ImageConfigs::default()),
            pipes: Some(PipeAnswers::default()),
        }
    }

    /// Looks up what `lookup` asks for, and adds it to `found`: an answer to all that was asked, so that nothing is asked
    /// twice.
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
                // At once, so that all of them together take no longer than one.
                let asked = runs.iter().map(|run| self.pipes.list(&namespace, run, metrics));
                let found = join_all(asked).await;
                for (run, answer) in runs.into_iter().zip(found) {
                    answers.add(run, answer);
                }
            }
        }
    }
}
