//! Writes the boot env to `$HOME/.env`, for an entrypoint that sources it.
//!
//! This is the HOME of the first process of the container. If the env does not set it, the runtime reads it
//! from `/etc/passwd` of the image, for the hook as well.

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

/// The file in the home directory.
const FILE: &str = ".env";

/// Its name before it is complete, so that readers never see a part of it.
const FILE_NEW: &str = ".env.bootlace";

/// Writes the variables that the process does not have. Replaces the file of an earlier start of the
/// container. Whether the task reads the file cannot be verified, only whether it still runs.
pub(super) fn write(proc: &Proc, merged: &Merged<'_>) -> Result<Proof, HomeError> {
    if let Ok(Init::Ended) = proc.container_init() {
        return Ok(Proof::Ended);
    }
    let home = home(proc, merged).ok_or(HomeError::NotSet)?;
    let failed = |error| HomeError::Unwritable { path: home.join(FILE), error };
    let new = home.join(FILE_NEW);
    let written = create(&new).and_then(|mut file| file.write_all(&shell(merged)));
    written.and_then(|()| fs::rename(&new, home.join(FILE))).map_err(failed)?;
    Ok(Proof::Verified)
}

/// Creates the file. An existing one is removed first, because it could be a link or have another mode.
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

/// The variables as POSIX shell code: in single quotes, every byte except the single quote is literal.
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

/// The file cannot be written.
#[derive(Debug)]
pub(crate) enum HomeError {
    NotSet,
    Unwritable { path: PathBuf, error: io::Error },
}

impl fmt::Display for HomeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSet => f.write_str(
                "failed to write the boot env to $HOME/.env: HOME is not set: set it in the env of the container",
            ),
            Self::Unwritable { path, error } => write!(
                f,
                "failed to write the boot env to \"{}\": {error}: set HOME to a directory that the user of the container can write, \
                 for example an emptyDir",
                path.display()
            ),
        }
    }
}

impl Error for HomeError {}
