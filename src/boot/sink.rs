//! What a source puts its findings into. Every name, path and byte of every source goes through here, so
//! what is refused is refused for all of them, while it streams.

use std::collections::BTreeMap;

use super::env::{EnvName, EnvValue};
use super::path::{AssetPath, FileTree};
use super::source::{Entry, Refused, SourceError};
use super::volume::{Staged, StagedFile, Volume};

/// What one source may give: env variables and files.
pub(crate) struct Sink<'v> {
    volume: &'v Volume,
    found: Found,
}

/// What one source gave. Its files lie in the volume's staging folder.
pub(crate) struct Found {
    /// Env by name.
    pub(crate) env: BTreeMap<EnvName, EnvValue>,
    /// Files by path.
    pub(crate) files: FileTree<Staged>,
    /// What a reader of the log should know beside the sizes.
    pub(crate) notes: Vec<String>,
}

impl Found {
    /// The size of all values and files in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        let env: u64 = self.env.values().map(EnvValue::len).sum();
        let files: u64 = self.files.iter().map(|(_, file)| file.size()).sum();
        env + files
    }
}

/// A file that a source is writing. It counts once it is given to [`Sink::finish`]; dropped before, it never
/// existed.
pub(crate) struct NewFile {
    path: AssetPath,
    staged: StagedFile,
}

impl<'v> Sink<'v> {
    /// An empty sink whose files are staged on `volume`.
    pub(crate) fn new(volume: &'v Volume) -> Self {
        Self { volume, found: Found { env: BTreeMap::new(), files: FileTree::new(), notes: Vec::new() } }
    }

    /// Gives an env variable.
    pub(crate) fn env(&mut self, name: &str, value: Vec<u8>) -> Result<(), SourceError> {
        let refused = |refused: Refused| SourceError::refused(Entry::Variable, name, refused);
        let name = EnvName::parse(name).map_err(|error| refused(error.into()))?;
        let value = EnvValue::parse(&name, value).map_err(|error| refused(error.into()))?;
        match self.found.env.insert(name, value) {
            None => Ok(()),
            Some(_) => Err(refused(Refused::Twice)),
        }
    }

    /// Begins a file. Several may be open at a time.
    pub(crate) fn create(&mut self, path: &str) -> Result<NewFile, SourceError> {
        let path = AssetPath::parse(path)
            .map_err(|error| SourceError::refused(Entry::File, path, Refused::Path(error)))?;
        self.check(&path)?;
        Ok(NewFile { path, staged: self.volume.stage()? })
    }

    /// Gives a file that is written in full.
    pub(crate) fn finish(&mut self, file: NewFile) -> Result<(), SourceError> {
        // Again, because another one may have been finished since this one began.
        self.check(&file.path)?;
        self.found.files.insert(file.path, file.staged.seal()?);
        Ok(())
    }

    /// Leaves a line for the log. Name things in it, never values.
    pub(crate) fn note(&mut self, line: String) {
        self.found.notes.push(line);
    }

    /// What was given.
    pub(crate) fn into_found(self) -> Found {
        self.found
    }

    fn check(&self, path: &AssetPath) -> Result<(), SourceError> {
        let refused = |refused| Err(SourceError::refused(Entry::File, &path.to_string(), refused));
        if self.found.files.get(path).is_some() {
            return refused(Refused::Twice);
        }
        match self.found.files.obstacle(path) {
            Some((other, _)) => refused(Refused::FileAndFolder { other: other.to_string() }),
            None => Ok(()),
        }
    }
}

impl NewFile {
    /// Appends to the file. On a volume in memory that is a copy, so there is nothing to await.
    pub(crate) fn write(&mut self, chunk: &[u8]) -> Result<(), SourceError> {
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
    fn a_file_counts_once_it_is_finished() {
        let (_root, volume) = volume();
        let mut sink = Sink::new(&volume);
        let mut whole = sink.create("whole").unwrap();
        let mut half = sink.create("half").unwrap();
        half.write(b"ha").unwrap();
        drop(half);
        whole.write(b"who").unwrap();
        whole.write(b"le").unwrap();
        sink.finish(whole).unwrap();
        let found = sink.into_found();
        assert_eq!(found.files.iter().map(|(path, _)| path.to_string()).collect::<Vec<_>>(), ["whole"]);
        assert_eq!(found.bytes(), 5);
    }

    #[test]
    fn one_source_cannot_give_the_same_twice() {
        let (_root, volume) = volume();
        let mut sink = Sink::new(&volume);
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
        assert!(error.contains(r#"file "a/b/c""#) && error.contains(r#"gives the file "a/b""#), "{error}");
        let error = sink.create("a").err().unwrap().to_string();
        assert!(error.contains(r#"file "a""#) && error.contains(r#""a/b""#), "{error}");
    }
}
