//! Watches the handover folder of one container.

use bootlace_launch::handover::{Attempt, Folder, HandoverError, Outcome, Output, StoreResult};

use super::output_store::{OutputFile, OutputObject, OutputStore};
use super::{OutputError, handover_folder};
use bootlace_core::code::{Code, Coded};
use bootlace_core::output::SidecarLifetime;

/// The handover folder of one container.
pub(super) struct HandoverWatcher<'a> {
    root: &'a Folder,
    container: &'a str,
    lifetime: SidecarLifetime,
    /// The newest attempt that was processed.
    processed: Option<ProcessedAttempt>,
}

/// An attempt that was processed.
struct ProcessedAttempt {
    attempt: Attempt,
    /// Whether the container exits with 0.
    succeeds: bool,
}

impl<'a> HandoverWatcher<'a> {
    pub(super) fn new(root: &'a Folder, container: &'a str, lifetime: SidecarLifetime) -> Self {
        Self { root, container, lifetime, processed: None }
    }

    /// Whether the container will not be restarted after it exits.
    pub(super) fn awaits_exit(&self) -> bool {
        self.processed.as_ref().is_some_and(|processed| self.lifetime.is_final(processed.succeeds))
    }

    /// Whether the container has exited and will not be restarted.
    pub(super) fn has_ended(&self) -> bool {
        let launcher_has_ended = |processed: &ProcessedAttempt| processed.attempt.launcher_has_ended();
        self.awaits_exit() && self.processed.as_ref().is_some_and(launcher_has_ended)
    }

    /// Processes the newest attempt if its task has ended.
    pub(super) async fn poll(&mut self, store: &impl OutputStore) {
        match self.newest() {
            Ok(Some(attempt)) => {
                if let Some(succeeds) = self.process(&attempt, store).await {
                    self.processed = Some(ProcessedAttempt { attempt, succeeds });
                }
            }
            Ok(None) => {}
            // A task that damages its own folder gets no result, and its launcher fails at its deadline.
            Err(error) => {
                let error = OutputError::new(&UnreadableHandover(error)).to_line();
                tracing::debug!(container = self.container, %error, "failed to read the handover folder");
            }
        }
    }

    /// The newest attempt, if it was not processed yet.
    fn newest(&self) -> Result<Option<Attempt>, HandoverError> {
        let Some(folder) = handover_folder(self.root, self.container)? else { return Ok(None) };
        let processed = self.processed.as_ref().map_or(0, |processed| processed.attempt.number());
        Ok(Attempt::newest(&folder)?.filter(|attempt| attempt.number() > processed))
    }

    /// Returns whether the container exits with 0; `None` if its task has not ended.
    async fn process(&self, attempt: &Attempt, store: &impl OutputStore) -> Option<bool> {
        let container = self.container;
        let manifest = match attempt.manifest() {
            Ok(manifest) => manifest?,
            Err(error) => {
                return Some(self.fail(attempt, &OutputError::new(&UnreadableHandover(error)), store).await);
            }
        };
        // This sidecar wrote the result before it was restarted.
        if let Ok(Some(result)) = attempt.result() {
            return Some(manifest.exit() == 0 && result == StoreResult::Stored);
        }
        let stored = match manifest.outcome() {
            Outcome::Outputs(outputs) if outputs.is_empty() => {
                tracing::info!(container, exit = manifest.exit(), "the task has ended without outputs");
                true
            }
            Outcome::Outputs(outputs) => match self.store(attempt, outputs, store).await {
                Ok(()) => {
                    tracing::info!(container, outputs = outputs.len(), "stored the outputs of the task");
                    self.write_result(attempt, &StoreResult::Stored)
                }
                Err(error) => self.fail(attempt, &error, store).await,
            },
            // The launcher has reported this error to the task already.
            Outcome::Refused(message) => {
                tracing::warn!(container, "the launcher refused the outputs of the task: {message}");
                store.report_failure(container, message).await;
                false
            }
        };
        Some(manifest.exit() == 0 && stored)
    }

    /// Stores the outputs one after another, so that only one of them is in memory at a time.
    async fn store(
        &self,
        attempt: &Attempt,
        outputs: &[Output],
        store: &impl OutputStore,
    ) -> Result<(), OutputError> {
        let mut index = 0;
        for output in outputs {
            let mut files = Vec::with_capacity(output.files.len());
            for file in &output.files {
                let bytes = attempt
                    .read(index, file.size)
                    .map_err(|error| OutputError::new(&UnreadableHandover(error)).of_output(&output.key))?;
                files.push(OutputFile { name: file.name.clone(), bytes });
                index += 1;
            }
            let (container, key) = (self.container.to_owned(), output.key.clone());
            let object = OutputObject { container, key, kind: output.kind, files };
            store.put(object).await.map_err(|error| error.of_output(&output.key))?;
        }
        Ok(())
    }

    /// Reports that the outputs are not stored. Returns false, because the container does not exit with 0.
    async fn fail(&self, attempt: &Attempt, error: &OutputError, store: &impl OutputStore) -> bool {
        // If the container was restarted in the meantime, no launcher waits for this attempt.
        if matches!(self.newest(), Ok(Some(newest)) if newest.number() > attempt.number()) {
            return false;
        }
        let message = error.to_line();
        tracing::warn!(container = self.container, "failed to store the outputs of the task: {message}");
        self.write_result(attempt, &StoreResult::Failed(message.clone()));
        store.report_failure(self.container, &message).await;
        false
    }

    /// Returns whether the launcher can read the result.
    fn write_result(&self, attempt: &Attempt, result: &StoreResult) -> bool {
        attempt
            .write_result(result)
            .inspect_err(|error| {
                // The launcher fails at its deadline, because it gets no result.
                tracing::warn!(container = self.container, %error, "failed to write the result for the launcher");
            })
            .is_ok()
    }
}

/// The files in a handover folder cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the files that the launcher copied: {0}")]
pub(crate) struct UnreadableHandover(pub(crate) HandoverError);

impl Coded for UnreadableHandover {
    fn code(&self) -> Code {
        Code::HandoverUnreadable
    }
}
