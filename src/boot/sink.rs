//! The sink for the content of a source. Every name, path and byte of every source passes through it, so all
//! sources have the same rules, which are checked while the content streams in.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::rc::Rc;

use super::amount::Amount;
use super::source::{EntryError, EntryName, SourceError};
use super::volume::{Scratch, Staged, StagedFile, Volume};
use bootlace_core::code::Coded;
use bootlace_core::entry::{self, AssetPath, EnvError, EnvName, EnvValue, FileTree, Rename};
use bootlace_core::plan::boot_spec::SourceLimits;
use bootlace_core::profile::SourceTarget;

/// Collects the env variables and files of one source.
pub(crate) struct Sink<'v> {
    volume: &'v Volume,
    limits: SourceLimits,
    /// Variables that a source may set although they decide which code runs.
    allow: &'v [String],
    /// How the author of the source can change a name.
    rename: Rename,
    /// Bytes written so far, including open files.
    written: Rc<Cell<u64>>,
    /// Bytes of memory for the variables, and their value at the last memory check.
    env: Cell<[u64; 2]>,
    content: SourceContent,
}

/// Bytes of memory for a variable in addition to its name and value.
const VARIABLE_BYTES: u64 = 256;
/// Memory is checked each time that the variables have grown by this size.
const CHECK_INTERVAL: u64 = 256 << 10;
/// Memory for variables is needed three times until they are on the volume: here, in a buffer that grows, and
/// on the volume.
const COPIES: u64 = 3;

/// A position in the content, for a source that sends several requests and may have to repeat one.
pub(crate) struct SinkPosition {
    /// The number of the next file.
    next: u64,
    written: u64,
    notes: usize,
}

/// For a source without limits, the volume is the limit.
const NO_LIMITS: SourceLimits = SourceLimits { bytes: u64::MAX, files: u32::MAX };

/// The content of one source. Its files are in the staging folder of the volume.
#[derive(Default)]
pub(crate) struct SourceContent {
    /// Env by name.
    pub(crate) env: BTreeMap<EnvName, EnvValue>,
    /// Files by path.
    pub(crate) files: FileTree<Staged>,
    /// Notes for the log.
    pub(crate) notes: Vec<String>,
    /// Those of the notes that the Event of the boot contains too.
    pub(crate) warnings: Vec<String>,
}

impl SourceContent {
    /// The amount of content.
    pub(crate) fn amount(&self) -> Amount {
        Amount::new(self.env.values(), self.files.iter().map(|(_, file)| file.size()))
    }
}

/// The kind of entry that a name and its content become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    /// Variables.
    Env,
    /// Secret variables.
    Secrets,
    /// Files.
    Files,
}

impl EntryKind {
    /// The kind for a target of the profile, and for a source that is secret or not.
    pub(crate) fn new(into: SourceTarget, secret: bool) -> Self {
        match into {
            SourceTarget::Env if secret => Self::Secrets,
            SourceTarget::Env => Self::Env,
            SourceTarget::Files => Self::Files,
        }
    }
}

/// A file that a source is writing. [`Sink::finish`] adds it to the content; if it is dropped before, it is
/// discarded.
pub(crate) struct NewFile {
    path: AssetPath,
    staged: StagedFile,
    limit: u64,
    written: Rc<Cell<u64>>,
}

impl<'v> Sink<'v> {
    /// Creates an empty sink whose files are staged on `volume`.
    pub(crate) fn new(volume: &'v Volume, limits: Option<SourceLimits>) -> Self {
        let limits = limits.unwrap_or(NO_LIMITS);
        Self {
            volume,
            limits,
            allow: &[],
            rename: Rename::Keys,
            written: Rc::default(),
            env: Cell::default(),
            content: SourceContent::default(),
        }
    }

    /// Also accepts the variables that match `allow`.
    pub(crate) fn allowing(self, allow: &'v [String]) -> Self {
        Self { allow, ..self }
    }

    /// Sets how the author of the source can change a name.
    pub(crate) fn renaming(self, rename: Rename) -> Self {
        Self { rename, ..self }
    }

    /// The size limit of the source.
    pub(crate) fn limit(&self) -> u64 {
        self.limits.bytes
    }

    /// The maximum number of files of the source.
    pub(crate) fn file_limit(&self) -> usize {
        self.limits.files as usize
    }

    /// Checks whether `bytes` more fit into the memory of the container, for a source that knows the size in
    /// advance.
    pub(crate) fn has_memory(&self, bytes: u64) -> Result<(), SourceError> {
        Ok(self.volume.has_memory(bytes)?)
    }

    /// Discards all content, for a source that starts again.
    pub(crate) fn clear(&mut self) {
        self.content = SourceContent::default();
        self.written = Rc::default();
        self.env = Cell::default();
    }

    /// Returns the current position.
    pub(crate) fn position(&self) -> SinkPosition {
        SinkPosition {
            next: self.volume.next_number(),
            written: self.written.get(),
            notes: self.content.notes.len(),
        }
    }

    /// Discards the files and notes since `mark`.
    pub(crate) fn rewind(&mut self, position: &SinkPosition) {
        self.content.files.retain(|file| file.number() < position.next);
        self.content.notes.truncate(position.notes);
        self.written = Rc::new(Cell::new(position.written));
    }

    /// Whether a file before `mark` is at `path`, above it or below it.
    pub(crate) fn is_covered(&self, path: &AssetPath, position: &SinkPosition) -> bool {
        let files = &self.content.files;
        let file = files.get(path).or_else(|| files.obstacle(path).map(|(_, file)| file));
        file.is_some_and(|file| file.number() < position.next)
    }

    /// The number of files.
    pub(crate) fn files(&self) -> usize {
        self.content.files.len()
    }

    /// Creates a temporary file on the volume, for content that must be complete before it can be read.
    pub(crate) fn scratch(&self) -> Result<Scratch, SourceError> {
        Ok(self.volume.scratch()?)
    }

    /// Adds a variable or a file.
    pub(crate) fn write_entry(
        &mut self,
        kind: EntryKind,
        name: &str,
        content: &[u8],
    ) -> Result<(), SourceError> {
        match kind {
            EntryKind::Env => self.env(name, content.to_vec()),
            EntryKind::Secrets => self.secret(name, content.to_vec()),
            EntryKind::Files => self.file(name, content),
        }
    }

    /// Adds an env variable that is not secret.
    pub(crate) fn env(&mut self, name: &str, value: Vec<u8>) -> Result<(), SourceError> {
        self.variable(name, value, false)
    }

    /// Adds a secret env variable.
    pub(crate) fn secret(&mut self, name: &str, value: Vec<u8>) -> Result<(), SourceError> {
        self.variable(name, value, true)
    }

    fn variable(&mut self, name: &str, value: Vec<u8>, secret: bool) -> Result<(), SourceError> {
        let refused = |reason: EntryError| SourceError::refused(EntryName::Variable, name, reason);
        if let Some(decides) = entry::decides(name, self.allow) {
            return Err(refused(EnvError::Reserved { decides, rename: self.rename }.into()));
        }
        let name = EnvName::parse(name, self.rename).map_err(|error| refused(error.into()))?;
        let value = EnvValue::parse(&name, value, secret).map_err(|error| refused(error.into()))?;
        count(&self.written, value.len(), self.limits.bytes).map_err(refused)?;
        self.count_memory(name.as_str().len() as u64 + value.len())?;
        match self.content.env.insert(name, value) {
            None => Ok(()),
            Some(_) => Err(refused(EntryError::Duplicate)),
        }
    }

    /// Counts a variable of so many bytes, and checks the memory for all variables from time to time.
    fn count_memory(&self, bytes: u64) -> Result<(), SourceError> {
        let [all, checked] = self.env.get();
        let all = all.saturating_add(bytes).saturating_add(VARIABLE_BYTES);
        let checks = all.saturating_sub(checked) >= CHECK_INTERVAL;
        self.env.set([all, if checks { all } else { checked }]);
        if checks { self.has_memory(all.saturating_mul(COPIES)) } else { Ok(()) }
    }

    /// Starts a file. Several can be open at a time.
    pub(crate) fn create(&mut self, path: &str) -> Result<NewFile, SourceError> {
        let path = AssetPath::parse(path)
            .map_err(|error| SourceError::refused(EntryName::File, path, EntryError::Path(error)))?;
        self.check(&path)?;
        let (limit, written) = (self.limits.bytes, Rc::clone(&self.written));
        Ok(NewFile { path, staged: self.volume.stage()?, limit, written })
    }

    /// Adds a file that is complete.
    pub(crate) fn finish(&mut self, file: NewFile) -> Result<(), SourceError> {
        // Checked again, because another file may have been finished since this one was started.
        self.check(&file.path)?;
        self.content.files.insert(file.path, file.staged.seal()?);
        Ok(())
    }

    /// Adds a file whose content is in memory.
    pub(crate) fn file(&mut self, path: &str, content: &[u8]) -> Result<(), SourceError> {
        let mut file = self.create(path)?;
        file.write(content)?;
        self.finish(file)
    }

    /// Adds a line to the log. It must contain names only, never values.
    pub(crate) fn note(&mut self, line: String) {
        self.content.notes.push(line);
    }

    /// Adds a warning to the log and to the Event of the boot. It must contain names only, never values.
    pub(crate) fn warn(&mut self, warning: &(impl Display + Coded)) {
        let text = format!("warning: {warning} [{}]", warning.code());
        self.content.warnings.push(text.clone());
        self.note(text);
    }

    /// Returns the content.
    pub(crate) fn into_content(self) -> SourceContent {
        self.content
    }

    fn check(&self, path: &AssetPath) -> Result<(), SourceError> {
        let refused = |reason| Err(SourceError::refused(EntryName::File, &path.to_string(), reason));
        if self.content.files.len() >= self.limits.files as usize {
            return refused(EntryError::TooMany { limit: self.limits.files });
        }
        if self.content.files.get(path).is_some() {
            return refused(EntryError::Duplicate);
        }
        match self.content.files.obstacle(path) {
            Some((other, _)) => refused(EntryError::FileAndFolder { other: other.to_string() }),
            None => Ok(()),
        }
    }
}

/// Counts `bytes` before they are stored.
fn count(written: &Cell<u64>, bytes: u64, limit: u64) -> Result<(), EntryError> {
    written.set(written.get().saturating_add(bytes));
    if written.get() > limit { Err(EntryError::TooLarge { limit }) } else { Ok(()) }
}

impl NewFile {
    /// Appends to the file. Writing to a volume in memory is a copy, so there is nothing to await.
    pub(crate) fn write(&mut self, chunk: &[u8]) -> Result<(), SourceError> {
        let refused = |reason| SourceError::refused(EntryName::File, &self.path.to_string(), reason);
        count(&self.written, chunk.len() as u64, self.limit).map_err(refused)?;
        Ok(self.staged.write(chunk)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bootlace_core::code::Code;

    fn volume() -> (tempfile::TempDir, Volume) {
        let root = tempfile::tempdir().unwrap();
        let volume = Volume::open(root.path(), "default").unwrap();
        (root, volume)
    }

    #[test]
    fn variables_that_decide_which_code_runs_must_be_allowed() {
        let (_root, volume) = volume();
        let allow = ["PATH".to_owned()];
        let mut sink = Sink::new(&volume, None).allowing(&allow);
        sink.env("PATH", b"/opt".to_vec()).unwrap();
        let error = sink.env("LD_PRELOAD", b"hunter2".to_vec()).unwrap_err();
        assert_eq!(error.code(), Code::VariableNotAllowed);
        let message = error.to_string();
        assert!(
            message.starts_with("variable \"LD_PRELOAD\": ") && message.contains("env.allow"),
            "{message}"
        );
        assert!(!message.contains("hunter2"), "{message}");
    }

    #[test]
    fn only_finished_files_are_part_of_the_content() {
        let (_root, volume) = volume();
        let mut sink = Sink::new(&volume, None);
        let mut whole = sink.create("whole").unwrap();
        let mut half = sink.create("half").unwrap();
        half.write(b"ha").unwrap();
        drop(half);
        whole.write(b"who").unwrap();
        whole.write(b"le").unwrap();
        sink.finish(whole).unwrap();
        let content = sink.into_content();
        assert_eq!(content.files.iter().map(|(path, _)| path.to_string()).collect::<Vec<_>>(), ["whole"]);
        assert_eq!(content.amount().bytes, 5);
    }

    #[test]
    fn duplicates_in_a_source_are_refused() {
        let (_root, volume) = volume();
        let mut sink = Sink::new(&volume, None);
        sink.env("A", b"hunter2".to_vec()).unwrap();
        let error = sink.env("A", b"hunter2".to_vec()).unwrap_err().to_string();
        assert!(error.contains(r#"variable "A""#) && error.contains("twice"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");

        let first = sink.create("a/b").unwrap();
        let second = sink.create("a/b").unwrap();
        let below = sink.create("a/b/c").unwrap();
        sink.finish(first).unwrap();
        let error = sink.finish(second).unwrap_err().to_string();
        assert!(error.contains(r#"file "a/b""#) && error.contains("twice"), "{error}");
        let error = sink.finish(below).unwrap_err().to_string();
        assert!(error.contains(r#"file "a/b/c""#) && error.contains(r#"file "a/b""#), "{error}");
        let error = sink.create("a").err().unwrap().to_string();
        assert!(error.contains(r#"file "a""#) && error.contains(r#""a/b""#), "{error}");
    }

    #[test]
    fn rewinding_discards_content_since_the_position() {
        let (root, volume) = volume();
        let path = |path: &str| AssetPath::parse(path).unwrap();
        let mut sink = Sink::new(&volume, Some(SourceLimits { bytes: 10, files: 2 }));
        sink.file("a/b", b"12345").unwrap();
        let position = sink.position();
        sink.file("c", b"67890").unwrap();
        sink.note("c".to_owned());
        let covered = |sink: &Sink<'_>| {
            ["a", "a/b", "a/b/c", "a/c", "c"].map(|at| sink.is_covered(&path(at), &position))
        };
        assert_eq!(covered(&sink), [true, true, true, false, false]);
        sink.rewind(&position);
        assert_eq!(std::fs::read_dir(root.path().join(".staging")).unwrap().count(), 1);
        sink.file("c", b"67890").unwrap();
        let content = sink.into_content();
        assert_eq!((content.files.len(), content.notes.len()), (2, 0));
    }

    #[test]
    fn content_beyond_a_limit_is_not_written() {
        let (root, volume) = volume();
        let mut sink = Sink::new(&volume, Some(SourceLimits { bytes: 10, files: 2 }));
        sink.env("A", b"1234".to_vec()).unwrap();
        let mut file = sink.create("a").unwrap();
        file.write(b"56789").unwrap();
        let error = file.write(b"hunter2").unwrap_err().to_string();
        assert!(
            error.starts_with(r#"file "a": it exceeds the limit of 10 bytes for the source: raise"#),
            "{error}"
        );
        let error = sink.env("B", b"hunter2".to_vec()).unwrap_err().to_string();
        assert!(error.starts_with(r#"variable "B": it exceeds the limit of 10 bytes"#), "{error}");
        drop(file);
        sink.clear();
        sink.file("b", b"1234567890").unwrap();
        sink.file("c", b"").unwrap();
        let error = sink.file("d", b"").unwrap_err().to_string();
        assert!(
            error.starts_with(r#"file "d": it exceeds the limit of 2 files for the source: raise"#),
            "{error}"
        );

        let staged = || std::fs::read_dir(root.path().join(".staging")).unwrap().count();
        assert_eq!(staged(), 2);
        sink.clear();
        assert_eq!(staged(), 0, "what a source gave before it began again takes no room");
    }
}
