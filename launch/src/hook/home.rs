//! Puts the boot env at `$HOME/.env`, for an entrypoint that sources it.
//!
//! The home is the task's: the HOME of the container's first process, which the runtime takes from the image's
//! `/etc/passwd` where nobody sets it, and sets for the hook in the same way.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::hook::process::{Init, Proc};
use crate::hook::proof::Proof;
use crate::merge::Merged;

/// The file, below the home.
const FILE: &str = ".env";

/// Where it is written before it is renamed: whoever reads it finds all of it.
const FILE_NEW: &str = ".env.bootlace";

/// Writes what the process does not hold already. What an earlier start of the container left is replaced. That a
/// task holds it cannot be proven, only that it has not ended.
pub(super) fn write(proc: &Proc, merged: &Merged<'_>) -> Result<Proof, HomeError> {
    if let Ok(Init::Ended) = proc.container_init() {
        return Ok(Proof::Ended);
    }
    let home = home(proc, merged).ok_or(HomeError::None)?;
    let failed = |error| HomeError::Unwritable { path: home.join(FILE), error };
    let new = home.join(FILE_NEW);
    let written = create(&new).and_then(|mut file| file.write_all(&shell(merged)));
    written.and_then(|()| fs::rename(&new, home.join(FILE))).map_err(failed)?;
    Ok(Proof::Holds)
}

/// Anew, so that nothing that lies there decides who may read it, or where it is written to.
fn create(path: &Path) -> io::Result<fs::File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn home(proc: &Proc, merged: &Merged<'_>) -> Option<PathBuf> {
    let of_task = match proc.container_init() {
        Ok(Init::Runs(process)) => process.environ().ok().flatten().and_then(|environ| {
            let home = environ.split(|&byte| byte == 0).find_map(|record| record.strip_prefix(b"HOME="))?;
            Some(OsString::from_vec(home.to_vec()))
        }),
        _ => None,
    };
    let home = of_task.or_else(|| merged.get("HOME".as_ref()).map(ToOwned::to_owned)).map(PathBuf::from)?;
    home.is_absolute().then_some(home)
}

/// As POSIX shells read it: in single quotes every byte is itself, but for the single quote.
fn shell(merged: &Merged<'_>) -> Vec<u8> {
    let mut text = Vec::new();
    for (name, value) in merged.given.iter() {
        text.extend_from_slice(b"export ");
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b"='");
        for (number, part) in value.as_bytes().split(|&byte| byte == b'\'').enumerate() {
            if number > 0 {
                text.extend_from_slice(b"'\\''");
            }
            text.extend_from_slice(part);
        }
        text.extend_from_slice(b"'\n");
    }
    text
}

/// Why the file is not there.
#[derive(Debug)]
pub(crate) enum HomeError {
    None,
    Unwritable { path: PathBuf, error: io::Error },
}

impl fmt::Display for HomeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str(
                "the boot env cannot be put at $HOME/.env, because its process has no HOME: set HOME in the \
                 container's env",
            ),
            Self::Unwritable { path, error } => write!(
                f,
                "the boot env cannot be put at {}: {error}. Set HOME to a folder that its user can write, an \
                 emptyDir for one",
                path.display()
            ),
        }
    }
}

impl Error for HomeError {}
