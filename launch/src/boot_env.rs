//! Loads the files that boot wrote for this container: the boot env, its keep list, and its references.

use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;
use std::{fmt, fs, io};

use crate::environ::{self, ParseError};
use crate::{layout, pod_env, references};

use crate::code::{Code, Coded};
use crate::invocation::Place;
use crate::merge::{self, Merged};
use crate::resolve::{self, Resolved};

/// The bytes of the files. [`BootEnv::merge_over`] and [`BootEnv::resolve`] parse them.
pub(crate) struct BootEnv {
    environ: BootFile,
    keep: BootFile,
    /// Missing if the container refers to no variable of the boot env, as in most pods.
    references: Option<BootFile>,
}

struct BootFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl BootEnv {
    pub(crate) fn load(place: &Place) -> Result<Self, LoadError> {
        let of_container = |folder| place.root.join(folder).join(&place.container);
        Ok(Self {
            environ: BootFile::read(place.root.join(layout::FILE_ENVIRON))?,
            keep: BootFile::read(of_container(layout::DIR_KEEP))?,
            references: BootFile::read_if_exists(of_container(layout::DIR_REFERENCES))?,
        })
    }

    /// The env of a process that would start with the env `process` without the boot env.
    pub(crate) fn merge_over<'a>(
        &'a self,
        process: &'a [(OsString, OsString)],
    ) -> Result<Merged<'a>, LoadError> {
        let boot = environ::parse(&self.environ.bytes).map_err(|error| self.environ.damaged(error))?;
        let keep = pod_env::parse(&self.keep.bytes).map_err(|error| self.keep.damaged(error))?;
        Ok(merge::merge(process, &boot, &keep))
    }

    /// Resolves references to the boot env in the variables and arguments of a process with the env `merged`.
    /// The first `own` words of `argv` belong to the launcher.
    pub(crate) fn resolve<'a>(
        &self,
        merged: &Merged<'_>,
        argv: &'a [OsString],
        own: usize,
    ) -> Result<Resolved<'a>, LoadError> {
        let Some(file) = &self.references else { return Ok(Resolved::unchanged(argv)) };
        let texts = references::parse(&file.bytes).map_err(|error| file.damaged(error))?;
        let boot = environ::parse(&self.environ.bytes).map_err(|error| self.environ.damaged(error))?;
        Ok(resolve::resolve(&texts, &boot, merged, argv, own))
    }
}

impl BootFile {
    fn read(path: PathBuf) -> Result<Self, LoadError> {
        match fs::read(&path) {
            Ok(bytes) => Ok(Self { path, bytes }),
            Err(error) => Err(LoadError::Unreadable { path, error }),
        }
    }

    fn read_if_exists(path: PathBuf) -> Result<Option<Self>, LoadError> {
        match Self::read(path) {
            Err(LoadError::Unreadable { error, .. }) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    fn damaged(&self, error: ParseError) -> LoadError {
        LoadError::Damaged { path: self.path.clone(), error }
    }
}

/// The boot env cannot be loaded. The message never contains a value.
#[derive(Debug)]
pub(crate) enum LoadError {
    Unreadable { path: PathBuf, error: io::Error },
    Damaged { path: PathBuf, error: ParseError },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, error } => write!(
                f,
                "failed to read \"{}\": {error}: check that the init container \"bootlace-boot\" completed, and that this \
                 container mounts the volume \"bootlace\"",
                path.display()
            ),
            Self::Damaged { path, error } => {
                write!(f, "\"{}\" is damaged: {error}: recreate the pod", path.display())
            }
        }
    }
}

impl Error for LoadError {}

impl Coded for LoadError {
    fn code(&self) -> Code {
        match self {
            Self::Unreadable { .. } => Code::TaskEnvUnreadable,
            Self::Damaged { .. } => Code::TaskEnvDamaged,
        }
    }
}
