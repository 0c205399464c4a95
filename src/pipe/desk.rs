//! One container's handover folder, served.

use std::io;

use bootlace_launch::handover::{Attempt, Folder, HandoverError, Outcome, Output, Sentence, Word};

use super::store::{File, Object, Store};

/// Where one container's launcher hands over.
pub(super) struct Desk<'a> {
    root: &'a Folder,
    container: &'a str,
    /// The newest attempt that there is nothing more to do for; 0 before the first.
    done: u32,
}

impl<'a> Desk<'a> {
    pub(super) fn new(root: &'a Folder, container: &'a str) -> Self {
        Self { root, container, done: 0 }
    }

    /// Sees to the newest attempt, once its task has ended.
    pub(super) async fn look(&mut self, store: &impl Store) {
        match self.newest() {
            Ok(Some(attempt)) => self.serve(&attempt, store).await,
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
        Ok(Attempt::newest(&folder)?.filter(|attempt| attempt.number() > self.done))
    }

    /// The container's folder, once its launcher has made it.
    fn folder(&self) -> Result<Option<Folder>, HandoverError> {
        match self.root.folder(self.container) {
            Ok(folder) => Ok(Some(folder)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(HandoverError::Io { what: "the handover folder", error }),
        }
    }

    async fn serve(&mut self, attempt: &Attempt, store: &impl Store) {
        let container = self.container;
        let manifest = match attempt.manifest() {
            Ok(None) => return,
            // By this sidecar, before it was started anew.
            Ok(Some(_)) if attempt.is_answered() => return self.done = attempt.number(),
            Ok(Some(manifest)) => manifest,
            Err(error) => return self.fail(attempt, &error.to_string(), store).await,
        };
        match manifest.outcome() {
            Outcome::Outputs(outputs) if outputs.is_empty() => {
                tracing::info!(container, exit = manifest.exit(), "the task has ended without outputs");
                self.done = attempt.number();
            }
            Outcome::Outputs(outputs) => match self.store(attempt, outputs, store).await {
                Ok(()) => {
                    tracing::info!(container, outputs = outputs.len(), "the task's outputs are stored");
                    self.answer(attempt, &Word::Stored);
                }
                Err(why) => self.fail(attempt, &why, store).await,
            },
            // The launcher has told the task already.
            Outcome::Refused(why) => {
                self.done = attempt.number();
                tracing::warn!(container, %why, "the task's outputs were not handed over");
                store.tell(container, why).await;
            }
        }
    }

    /// Has the outputs stored, one after another, so that one of them is in memory at a time.
    async fn store(&self, attempt: &Attempt, outputs: &[Output], store: &impl Store) -> Result<(), String> {
        let mut index = 0;
        for output in outputs {
            let of = |error: &dyn std::fmt::Display| format!("output {}: {error}", output.key);
            let mut files = Vec::with_capacity(output.files.len());
            for file in &output.files {
                let bytes = attempt.read(index, file.size).map_err(|error| of(&error))?;
                files.push(File { name: file.name.clone(), bytes });
                index += 1;
            }
            let (container, key) = (self.container.to_owned(), output.key.clone());
            let object = Object { container, key, kind: output.kind, files };
            store.put(object).await.map_err(|error| of(&error))?;
        }
        Ok(())
    }

    async fn fail(&mut self, attempt: &Attempt, why: &str, store: &impl Store) {
        self.done = attempt.number();
        // The container has started again meanwhile: nobody waits for this attempt any more.
        if matches!(self.newest(), Ok(Some(_))) {
            return;
        }
        let why = Sentence::new(why);
        tracing::warn!(container = self.container, %why, "the task's outputs are not stored");
        self.answer(attempt, &Word::Failed(why.clone()));
        store.tell(self.container, &why).await;
    }

    fn answer(&mut self, attempt: &Attempt, word: &Word) {
        self.done = attempt.number();
        if let Err(error) = attempt.answer(word) {
            // Its task fails at its deadline, as nobody has told it otherwise.
            tracing::warn!(container = self.container, %error, "the launcher cannot be answered");
        }
    }
}
