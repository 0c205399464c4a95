//! Reads what boot left for this container: the boot env and the container's keep list.

use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;
use std::{fmt, fs, io};

use crate::environ::{self, ParseError};
use crate::{layout, pod_env, references};

use crate::args::Place;
use crate::merge::{self, Merged};
use crate::resolve::{self, Resolved};

/// The bytes of the files; [`BootEnv::over`] and [`BootEnv::resolve`] give them meaning.
pub(crate) struct BootEnv {
    environ: File,
    keep: File,
    /// Most pods refer to nothing that boot gives.
    references: Option<File>,
}

struct File {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl BootEnv {
    pub(crate) fn load(place: &Place) -> Result<Self, LoadError> {
        let of_container = |folder| place.root.join(folder).join(&place.container);
        Ok(Self {
            environ: File::read(place.root.join(layout::FILE_ENVIRON))?,
            keep: File::read(of_container(layout::DIR_KEEP))?,
            references: File::read_if_there(of_container(layout::DIR_REFERENCES))?,
        })
    }

    /// The env that a process gets which would have started with `process`.
    pub(crate) fn over<'a>(&'a self, process: &'a [(OsString, OsString)]) -> Result<Merged<'a>, LoadError> {
        let boot = environ::parse(&self.environ.bytes).map_err(|error| self.environ.damaged(error))?;
        let keep = pod_env::parse(&self.keep.bytes).map_err(|error| self.keep.damaged(error))?;
        Ok(merge::merge(process, &boot, &keep))
    }

    /// What refers to the boot env in the spec of a process that gets `merged`: its variables, and its arguments, which
    /// are those in `argv` behind the launcher's `own`.
    pub(crate) fn resolve<'a>(
        &self,
        merged: &Merged<'_>,
        argv: &'a [OsString],
        own: usize,
    ) -> Result<Resolved<'a>, LoadError> {
        let Some(file) = &self.references else { return Ok(Resolved::of(argv)) };
        let texts = references::parse(&file.bytes).map_err(|error| file.damaged(error))?;
        let boot = environ::parse(&self.environ.bytes).map_err(|error| self.environ.damaged(error))?;
        Ok(resolve::resolve(&texts, &boot, merged, argv, own))
    }
}

impl File {
    fn read(path: PathBuf) -> Result<Self, LoadError> {
        match fs::read(&path) {
            Ok(bytes) => Ok(Self { path, bytes }),
            Err(error) => Err(LoadError::Unreadable { path, error }),
        }
    }

    fn read_if_there(path: PathBuf) -> Result<Option<Self>, LoadError> {
        match Self::read(path) {
            Err(LoadError::Unreadable { error, .. }) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    fn damaged(&self, error: ParseError) -> LoadError {
        LoadError::Damaged { path: self.path.clone(), error }
    }
}

/// Why there is no boot env. It never holds a value.
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
                "{} cannot be read: {error}. The init container `bootlace-boot` writes it: check that it \
                 completed, and that this container still mounts the volume `bootlace`",
                path.display()
            ),
            Self::Damaged { path, error } => write!(
                f,
                "{} is damaged: {error}. Start the pod anew, so that the init container `bootlace-boot` \
                 writes it again",
                path.display()
            ),
        }
    }
}

impl Error for LoadError {}
