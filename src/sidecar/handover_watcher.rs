//! One container's handover folder, served.

use std::io;

use bootlace_launch::handover::{Attempt, Folder, HandoverError, OneLine, Outcome, Output, StoreResult};

use super::output_store::{OutputFile, OutputObject, OutputStore};
use bootlace_core::output::SidecarLifetime;

/// Where one container's launcher hands over.
pub(super) struct HandoverWatcher<'a> {
    root: &'a Folder,
    container: &'a str,
    ends: SidecarLifetime,
    /// The newest attempt that there is nothing more to do for.
    done: Option<Done>,
}

/// An attempt that there is nothing more to do for.
struct Done {
    attempt: Attempt,
    /// Whether the container ends with 0.
    succeeds: bool,
}

impl<'a> HandoverWatcher<'a> {
    pub(super) fn new(root: &'a Folder, container: &'a str, ends: SidecarLifetime) -> Self {
        Self { root, container, ends, done: None }
    }

    /// Whether the container will not be started again, once it has ended.
    pub(super) fn awaits_end(&self) -> bool {
        self.done.as_ref().is_some_and(|done| self.ends.is_final(done.succeeds))
    }

    /// Whether the container has ended, and will not be started again.
    pub(super) fn is_over(&self) -> bool {
        self.awaits_end() && self.done.as_ref().is_some_and(|done| done.attempt.launcher_has_ended())
    }

    /// Sees to the newest attempt, once its task has ended.
    pub(super) async fn poll(&mut self, store: &impl OutputStore) {
        match self.newest() {
            Ok(Some(attempt)) => {
                if let Some(succeeds) = self.serve(&attempt, store).await {
                    self.done = Some(Done { attempt, succeeds });
                }
            }
            Ok(None) => {}
            // A task that spoils its own folder is not answered, and fails for it at its deadline.
            Err(error) => {
                tracing::debug!(container = self.container, %error, "the handover folder cannot be read");
            }
        }
    }

    /// The newest attempt that is not seen to yet.
    fn newest(&self) -> Result<Option<Attempt>, HandoverError> {
        let Some(folder) = self.folder()? else { return Ok(None) };
        let done = self.done.as_ref().map_or(0, |done| done.attempt.number());
        Ok(Attempt::newest(&folder)?.filter(|attempt| attempt.number() > done))
    }

    /// The container's folder, once its launcher has made it.
    fn folder(&self) -> Result<Option<Folder>, HandoverError> {
        match self.root.folder(self.container) {
            Ok(folder) => Ok(Some(folder)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(HandoverError::Io { what: "the handover folder", error }),
        }
    }

    /// None where its task has not ended; else whether its container ends with 0.
    async fn serve(&self, attempt: &Attempt, store: &impl OutputStore) -> Option<bool> {
        let container = self.container;
        let manifest = match attempt.manifest() {
            Ok(manifest) => manifest?,
            Err(error) => return Some(self.fail(attempt, &error.to_string(), store).await),
        };
        // By this sidecar, before it was started anew.
        if let Ok(Some(word)) = attempt.word() {
            return Some(manifest.exit() == 0 && word == StoreResult::Stored);
        }
        let stored = match manifest.outcome() {
            Outcome::Outputs(outputs) if outputs.is_empty() => {
                tracing::info!(container, exit = manifest.exit(), "the task has ended without outputs");
                true
            }
            Outcome::Outputs(outputs) => match self.store(attempt, outputs, store).await {
                Ok(()) => {
                    tracing::info!(container, outputs = outputs.len(), "the task's outputs are stored");
                    self.answer(attempt, &StoreResult::Stored)
                }
                Err(why) => self.fail(attempt, &why, store).await,
            },
            // The launcher has told the task already.
            Outcome::Refused(why) => {
                tracing::warn!(container, %why, "the task's outputs were not handed over");
                store.tell(container, why).await;
                false
            }
        };
        Some(manifest.exit() == 0 && stored)
    }

    /// Has the outputs stored, one after another, so that one of them is in memory at a time.
    async fn store(
        &self,
        attempt: &Attempt,
        outputs: &[Output],
        store: &impl OutputStore,
    ) -> Result<(), String> {
        let mut index = 0;
        for output in outputs {
            let of = |error: &dyn std::fmt::Display| format!("output {}: {error}", output.key);
            let mut files = Vec::with_capacity(output.files.len());
            for file in &output.files {
                let bytes = attempt.read(index, file.size).map_err(|error| of(&error))?;
                files.push(OutputFile { name: file.name.clone(), bytes });
                index += 1;
            }
            let (container, key) = (self.container.to_owned(), output.key.clone());
            let object = OutputObject { container, key, kind: output.kind, files };
            store.put(object).await.map_err(|error| of(&error))?;
        }
        Ok(())
    }

    /// False, as its outputs are not stored.
    async fn fail(&self, attempt: &Attempt, why: &str, store: &impl OutputStore) -> bool {
        // The container has started again meanwhile: nobody waits for this attempt any more.
        if matches!(self.newest(), Ok(Some(newest)) if newest.number() > attempt.number()) {
            return false;
        }
        let why = OneLine::new(why);
        tracing::warn!(container = self.container, %why, "the task's outputs are not stored");
        self.answer(attempt, &StoreResult::Failed(why.clone()));
        store.tell(self.container, &why).await;
        false
    }

    /// Whether the launcher can read it.
    fn answer(&self, attempt: &Attempt, word: &StoreResult) -> bool {
        attempt
            .answer(word)
            .inspect_err(|error| {
                // Its task fails at its deadline, as nobody has told it otherwise.
                tracing::warn!(container = self.container, %error, "the launcher cannot be answered");
            })
            .is_ok()
    }
}
