//! `init`: runs a boot image of the pod's own, and ends it at its time.
//!
//! Kubernetes gives an init container no deadline: without this a program that hangs would hold its pod for ever.
//! This process is process 1 of the container, so everything that the program has started ends with it, and what the
//! runtime sends is handed on to the program.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fmt, fs, io};

use crate::layout;

use crate::args::InitInvocation;
use crate::child::{self, ChildError};
use crate::deadline::Deadline;
use crate::exit;
use crate::merge;
use crate::report;

/// Runs the program and gives its exit code; one that was ended by a signal gives what a shell would.
pub(crate) fn run(init: &InitInvocation) -> Result<u8, InitError> {
    let deadline = Deadline::after(init.timeout);
    let unwritable = |path: &Path| {
        let path = path.to_owned();
        move |error| InitError::NoOut { path, error }
    };
    // An earlier run of this container may have left a part.
    clear(&init.out).map_err(unwritable(&init.out))?;
    for folder in [layout::OUT_ENV, layout::OUT_FILES, layout::OUT_TMP] {
        let folder = init.out.join(folder);
        fs::create_dir(&folder).map_err(unwritable(&folder))?;
    }
    let process: Vec<_> = env::vars_os().collect();
    // There is no boot env yet.
    let ended = child::run(&init.argv, &merge::merge(&process, &[], &[]), deadline)
        .map_err(|error| InitError::NotEnded { error, limit: init.timeout })?;
    if ended.succeeded() {
        let done = init.out.join(layout::OUT_DONE);
        fs::write(&done, "").map_err(unwritable(&done))?;
        return Ok(0);
    }
    // Not the termination message: that stays the program's own, or the end of its log, which this line is.
    report::line(&format!("its boot image failed: {ended}"), &init.place);
    Ok(ended.exit_code())
}

fn clear(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // Of the entry itself: a link is removed, not what it leads to.
        let remove = if entry.file_type()?.is_dir() { fs::remove_dir_all } else { fs::remove_file };
        remove(entry.path())?;
    }
    Ok(())
}

/// Why the program has no result of its own.
#[derive(Debug)]
pub(crate) enum InitError {
    NoOut { path: PathBuf, error: io::Error },
    NotEnded { error: ChildError, limit: Duration },
}

impl InitError {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::NoOut { .. } | Self::NotEnded { error: ChildError::NotWaited(_), .. } => exit::NO_OUT,
            Self::NotEnded { error: ChildError::NotStarted(error), .. } => error.exit_code(),
            Self::NotEnded { error: ChildError::TookTooLong, .. } => exit::TOO_SLOW,
        }
    }
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoOut { path, error } => write!(f, "{} cannot be written: {error}", path.display()),
            Self::NotEnded { error: ChildError::NotStarted(error), .. } => write!(
                f,
                "its boot image has not the program that `boot.initImage.command` of the BootProfile names: {error}"
            ),
            Self::NotEnded { error: ChildError::NotWaited(error), .. } => {
                write!(f, "its boot image cannot be waited for: {error}")
            }
            Self::NotEnded { error: ChildError::TookTooLong, limit } => write!(
                f,
                "its boot image had not ended after {} s and was killed: raise `boot.timeoutSeconds` of the \
                 BootProfile, or find out in this container's log why it is slow",
                limit.as_secs()
            ),
        }
    }
}

impl Error for InitError {}
