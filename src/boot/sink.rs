//! What a source puts its findings into. Every name, path and byte of every source goes through here, so
//! what is refused is refused for all of them, while it streams.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::event::Amount;
use super::source::{EntryError, EntryName, SourceError};
use super::volume::{Scratch, Staged, StagedFile, Volume};
use bootlace_core::entry::{self, AssetPath, EnvError, EnvName, EnvValue, FileTree, Rename};
use bootlace_core::plan::boot_spec::SourceLimits;
use bootlace_core::profile::spec::SourceTarget;

/// What one source may give: env variables and files.
pub(crate) struct Sink<'v> {
    volume: &'v Volume,
    limits: SourceLimits,
    /// Variables that a source may set although they decide which code runs.
    allow: &'v [String],
    /// What the source's author can do about a name.
    rename: Rename,
    /// Bytes given so far, those of open files included.
    given: Rc<Cell<u64>>,
    /// Bytes of memory that the variables take, and how many there were when memory was last looked at.
    env: Cell<[u64; 2]>,
    found: SourceContent,
}

/// Bytes of memory that a variable takes beside its name and value.
const VARIABLE_BYTES: u64 = 256;
/// Memory is looked at whenever the variables take so many bytes more.
const LOOK: u64 = 256 << 10;
/// How many times their size variables need before they are on the volume: as a file in memory, which grows, and there.
const COPIES: u64 = 3;

/// Where a source stands that asks more than once, and may have to ask one thing again.
pub(crate) struct SinkPosition {
    /// The number that the next file gets.
    next: u64,
    given: u64,
    notes: usize,
}

/// What a source without limits may give: what the volume holds.
const NO_LIMITS: SourceLimits = SourceLimits { bytes: u64::MAX, files: u32::MAX };

/// What one source gave. Its files lie in the volume's staging folder.
#[derive(Default)]
pub(crate) struct SourceContent {
    /// Env by name.
    pub(crate) env: BTreeMap<EnvName, EnvValue>,
    /// Files by path.
    pub(crate) files: FileTree<Staged>,
    /// What a reader of the log should know beside the sizes.
    pub(crate) notes: Vec<String>,
}

impl SourceContent {
    /// How much it is.
    pub(crate) fn amount(&self) -> Amount {
        Amount::of(self.env.values(), self.files.iter().map(|(_, file)| file))
    }
}

/// What names and contents of a source become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    /// Variables.
    Env,
    /// Variables that their source keeps secret.
    Secrets,
    /// Files.
    Files,
}

impl EntryKind {
    /// As the profile says it, of a source that keeps its content secret or does not.
    pub(crate) fn new(into: SourceTarget, secret: bool) -> Self {
        match into {
            SourceTarget::Env if secret => Self::Secrets,
            SourceTarget::Env => Self::Env,
            SourceTarget::Files => Self::Files,
        }
    }
}

/// A file that a source is writing. It counts once it is given to [`Sink::finish`]; dropped before, it never
/// existed.
pub(crate) struct NewFile {
    path: AssetPath,
    staged: StagedFile,
    limit: u64,
    given: Rc<Cell<u64>>,
}

impl<'v> Sink<'v> {
    /// An empty sink whose files are staged on `volume`.
    pub(crate) fn new(volume: &'v Volume, limits: Option<SourceLimits>) -> Self {
        let limits = limits.unwrap_or(NO_LIMITS);
        Self {
            volume,
            limits,
            allow: &[],
            rename: Rename::Keys,
            given: Rc::default(),
            env: Cell::default(),
            found: SourceContent::default(),
        }
    }

    /// The same, which takes the variables that `allow` means, too.
    pub(crate) fn allowing(self, allow: &'v [String]) -> Self {
        Self { allow, ..self }
    }

    /// The same, for a source of which `rename` says what to do about a name.
    pub(crate) fn renaming(self, rename: Rename) -> Self {
        Self { rename, ..self }
    }

    /// Bytes that the source may give: a source need not fetch more.
    pub(crate) fn limit(&self) -> u64 {
        self.limits.bytes
    }

    /// Whether the container's memory holds `bytes` more, of which the source knows beforehand.
    pub(crate) fn has_memory(&self, bytes: u64) -> Result<(), SourceError> {
        Ok(self.volume.has_memory(bytes)?)
    }

    /// Forgets everything, for a source that begins again.
    pub(crate) fn clear(&mut self) {
        self.found = SourceContent::default();
        self.given = Rc::default();
        self.env = Cell::default();
    }

    /// Where the source stands.
    pub(crate) fn mark(&self) -> SinkPosition {
        SinkPosition {
            next: self.volume.next_number(),
            given: self.given.get(),
            notes: self.found.notes.len(),
        }
    }

    /// Forgets the files and the notes that were given since `mark`.
    pub(crate) fn rewind(&mut self, mark: &SinkPosition) {
        self.found.files.retain(|file| file.number() < mark.next);
        self.found.notes.truncate(mark.notes);
        self.given = Rc::new(Cell::new(mark.given));
    }

    /// Whether a file that was given before `mark` lies at `path`, above it or below it.
    pub(crate) fn is_covered(&self, path: &AssetPath, mark: &SinkPosition) -> bool {
        let files = &self.found.files;
        let there = files.get(path).or_else(|| files.obstacle(path).map(|(_, file)| file));
        there.is_some_and(|file| file.number() < mark.next)
    }

    /// How many files were given.
    pub(crate) fn files(&self) -> usize {
        self.found.files.len()
    }

    /// A file on the volume that nobody gets, for what must be whole before it can be read.
    pub(crate) fn scratch(&self) -> Result<Scratch, SourceError> {
        Ok(self.volume.scratch()?)
    }

    /// Gives a variable or a file that is at hand.
    pub(crate) fn write_entry(
        &mut self,
        gives: EntryKind,
        name: &str,
        content: &[u8],
    ) -> Result<(), SourceError> {
        match gives {
            EntryKind::Env => self.env(name, content.to_vec()),
            EntryKind::Secrets => self.secret(name, content.to_vec()),
            EntryKind::Files => self.file(name, content),
        }
    }

    /// Gives an env variable that is no secret.
    pub(crate) fn env(&mut self, name: &str, value: Vec<u8>) -> Result<(), SourceError> {
        self.variable(name, value, false)
    }

    /// Gives an env variable that is one.
    pub(crate) fn secret(&mut self, name: &str, value: Vec<u8>) -> Result<(), SourceError> {
        self.variable(name, value, true)
    }

    fn variable(&mut self, name: &str, value: Vec<u8>, secret: bool) -> Result<(), SourceError> {
        let refused = |refused: EntryError| SourceError::refused(EntryName::Variable, name, refused);
        if let Some(decides) = entry::decides(name, self.allow) {
            return Err(refused(EnvError::Reserved { decides, rename: self.rename }.into()));
        }
        let name = EnvName::parse(name, self.rename).map_err(|error| refused(error.into()))?;
        let value = EnvValue::parse(&name, value, secret).map_err(|error| refused(error.into()))?;
        count(&self.given, value.len(), self.limits.bytes).map_err(refused)?;
        self.count_memory(name.as_str().len() as u64 + value.len())?;
        match self.found.env.insert(name, value) {
            None => Ok(()),
            Some(_) => Err(refused(EntryError::Twice)),
        }
    }

    /// Counts a variable of so many bytes, and looks now and then whether memory holds all of them.
    fn count_memory(&self, bytes: u64) -> Result<(), SourceError> {
        let [all, looked] = self.env.get();
        let all = all.saturating_add(bytes).saturating_add(VARIABLE_BYTES);
        let looks = all.saturating_sub(looked) >= LOOK;
        self.env.set([all, if looks { all } else { looked }]);
        if looks { self.has_memory(all.saturating_mul(COPIES)) } else { Ok(()) }
    }

    /// Begins a file. Several may be open at a time.
    pub(crate) fn create(&mut self, path: &str) -> Result<NewFile, SourceError> {
        let path = AssetPath::parse(path)
            .map_err(|error| SourceError::refused(EntryName::File, path, EntryError::Path(error)))?;
        self.check(&path)?;
        let (limit, given) = (self.limits.bytes, Rc::clone(&self.given));
        Ok(NewFile { path, staged: self.volume.stage()?, limit, given })
    }

    /// Gives a file that is written in full.
    pub(crate) fn finish(&mut self, file: NewFile) -> Result<(), SourceError> {
        // Again, because another one may have been finished since this one began.
        self.check(&file.path)?;
        self.found.files.insert(file.path, file.staged.seal()?);
        Ok(())
    }

    /// Gives a file that is at hand.
    pub(crate) fn file(&mut self, path: &str, content: &[u8]) -> Result<(), SourceError> {
        let mut file = self.create(path)?;
        file.write(content)?;
        self.finish(file)
    }

    /// Leaves a line for the log. Name things in it, never values.
    pub(crate) fn note(&mut self, line: String) {
        self.found.notes.push(line);
    }

    /// What was given.
    pub(crate) fn into_found(self) -> SourceContent {
        self.found
    }

    fn check(&self, path: &AssetPath) -> Result<(), SourceError> {
        let refused = |refused| Err(SourceError::refused(EntryName::File, &path.to_string(), refused));
        if self.found.files.len() >= self.limits.files as usize {
            return refused(EntryError::TooMany { limit: self.limits.files });
        }
        if self.found.files.get(path).is_some() {
            return refused(EntryError::Twice);
        }
        match self.found.files.obstacle(path) {
            Some((other, _)) => refused(EntryError::FileAndFolder { other: other.to_string() }),
            None => Ok(()),
        }
    }
}

/// Counts `bytes` before they are kept.
fn count(given: &Cell<u64>, bytes: u64, limit: u64) -> Result<(), EntryError> {
    given.set(given.get().saturating_add(bytes));
    if given.get() > limit { Err(EntryError::TooLarge { limit }) } else { Ok(()) }
}

impl NewFile {
    /// Appends to the file. On a volume in memory that is a copy, so there is nothing to await.
    pub(crate) fn write(&mut self, chunk: &[u8]) -> Result<(), SourceError> {
        let refused = |refused| SourceError::refused(EntryName::File, &self.path.to_string(), refused);
        count(&self.given, chunk.len() as u64, self.limit).map_err(refused)?;
        Ok(self.staged.write(chunk)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume() -> (tempfile::TempDir, Volume) {
        let root = tempfile::tempdir().unwrap();
        let volume = Volume::open(root.path(), "default").unwrap();
        (root, volume)
    }

    #[test]
    fn what_decides_which_code_runs_is_taken_only_where_the_profile_allows_it() {
        let (_root, volume) = volume();
        let allow = ["PATH".to_owned()];
        let mut sink = Sink::new(&volume, None).allowing(&allow);
        sink.env("PATH", b"/opt".to_vec()).unwrap();
        let error = sink.env("LD_PRELOAD", b"hunter2".to_vec()).unwrap_err().to_string();
        assert!(
            error.starts_with("variable \"LD_PRELOAD\": this variable decides which libraries"),
            "{error}"
        );
        assert!(
            error.contains("list it under env.allow of the BootProfile") && !error.contains("hunter2"),
            "{error}"
        );
    }

    #[test]
    fn a_file_counts_once_it_is_finished() {
        let (_root, volume) = volume();
        let mut sink = Sink::new(&volume, None);
        let mut whole = sink.create("whole").unwrap();
        let mut half = sink.create("half").unwrap();
        half.write(b"ha").unwrap();
        drop(half);
        whole.write(b"who").unwrap();
        whole.write(b"le").unwrap();
        sink.finish(whole).unwrap();
        let found = sink.into_found();
        assert_eq!(found.files.iter().map(|(path, _)| path.to_string()).collect::<Vec<_>>(), ["whole"]);
        assert_eq!(found.amount().bytes, 5);
    }

    #[test]
    fn one_source_cannot_give_the_same_twice() {
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
        assert!(error.contains(r#"file "a/b/c""#) && error.contains(r#"also provides the file "a/b""#), "{error}");
        let error = sink.create("a").err().unwrap().to_string();
        assert!(error.contains(r#"file "a""#) && error.contains(r#""a/b""#), "{error}");
    }

    #[test]
    fn what_was_given_since_a_mark_is_forgotten() {
        let (root, volume) = volume();
        let path = |path: &str| AssetPath::parse(path).unwrap();
        let mut sink = Sink::new(&volume, Some(SourceLimits { bytes: 10, files: 2 }));
        sink.file("a/b", b"12345").unwrap();
        let mark = sink.mark();
        sink.file("c", b"67890").unwrap();
        sink.note("c".to_owned());
        let covered =
            |sink: &Sink<'_>| ["a", "a/b", "a/b/c", "a/c", "c"].map(|at| sink.is_covered(&path(at), &mark));
        assert_eq!(covered(&sink), [true, true, true, false, false]);
        sink.rewind(&mark);
        assert_eq!(std::fs::read_dir(root.path().join(".staging")).unwrap().count(), 1);
        sink.file("c", b"67890").unwrap();
        let found = sink.into_found();
        assert_eq!((found.files.len(), found.notes.len()), (2, 0));
    }

    #[test]
    fn what_is_over_a_limit_is_not_written() {
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
