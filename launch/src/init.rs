//! `init`: runs the command of a custom boot image, with a timeout.
//!
//! Kubernetes has no timeout for init containers, so a command that hangs would block the pod forever. This
//! process is process 1 of the container: all processes of the command end with it, and it forwards signals
//! to the command.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fmt, fs, io};

use crate::layout;

use crate::child::{self, ChildError, Ended};
use crate::code::{Code, Coded};
use crate::deadline::Deadline;
use crate::exit;
use crate::invocation::InitInvocation;
use crate::merge;
use crate::report;

/// Runs the command. Returns its exit code, or that of a shell if a signal killed it.
pub(crate) fn run(init: &InitInvocation) -> Result<u8, InitError> {
    let deadline = Deadline::after(init.timeout);
    let not_writable = |path: &Path| {
        let path = path.to_owned();
        move |error| InitError::NotWritable { path, error }
    };
    // An earlier run of this container can have left files.
    clear(&init.out).map_err(not_writable(&init.out))?;
    for directory in [layout::OUT_ENV, layout::OUT_FILES, layout::OUT_TMP] {
        let directory = init.out.join(directory);
        fs::create_dir(&directory).map_err(not_writable(&directory))?;
    }
    let process: Vec<_> = env::vars_os().collect();
    // There is no boot env yet.
    let ended = child::run(&init.argv, &merge::merge(&process, &[], &[]), deadline)
        .map_err(|error| InitError::NotEnded { error, limit: init.timeout })?;
    if ended.succeeded() {
        let done = init.out.join(layout::OUT_DONE);
        fs::write(&done, "").map_err(not_writable(&done))?;
        return Ok(0);
    }
    // Not in the termination message, which belongs to the command. Without one, the kubelet uses the end of
    // the log.
    report::log(&BootImageFailed(ended), Code::BootImageFailed, &init.place);
    Ok(ended.exit_code())
}

fn clear(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        // The type of the entry itself: a link is removed, and not its target.
        let remove = if entry.file_type()?.is_dir() { fs::remove_dir_all } else { fs::remove_file };
        remove(entry.path())?;
    }
    Ok(())
}

/// The command did not exit by itself.
#[derive(Debug)]
pub(crate) enum InitError {
    NotWritable { path: PathBuf, error: io::Error },
    NotEnded { error: ChildError, limit: Duration },
}

impl InitError {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::NotWritable { .. } | Self::NotEnded { error: ChildError::NotWaited(_), .. } => {
                exit::DIRECTORY_NOT_WRITABLE
            }
            Self::NotEnded { error: ChildError::NotStarted(error), .. } => error.exit_code(),
            Self::NotEnded { error: ChildError::TimedOut, .. } => exit::TIMED_OUT,
        }
    }
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotWritable { path, error } => write!(f, "failed to write \"{}\": {error}", path.display()),
            Self::NotEnded { error: ChildError::NotStarted(error), .. } => {
                write!(
                    f,
                    "failed to start the boot image: {error}: check boot.initImage.command of the BootProfile"
                )
            }
            Self::NotEnded { error: ChildError::NotWaited(error), .. } => {
                write!(f, "failed to wait for the boot image: {error}")
            }
            Self::NotEnded { error: ChildError::TimedOut, limit } => write!(
                f,
                "the boot image timed out after {} s and was killed: check the log of this container, or increase \
                 boot.timeoutSeconds of the BootProfile",
                limit.as_secs()
            ),
        }
    }
}

impl Error for InitError {}

impl Coded for InitError {
    fn code(&self) -> Code {
        match self {
            Self::NotWritable { .. } => Code::BootImageDirectory,
            Self::NotEnded { error: ChildError::NotStarted(_), .. } => Code::BootImageNotStarted,
            Self::NotEnded { error: ChildError::NotWaited(_), .. } => Code::LauncherSystemCall,
            Self::NotEnded { error: ChildError::TimedOut, .. } => Code::BootImageTimeout,
        }
    }
}

/// The message for a command that failed by itself.
pub(crate) struct BootImageFailed(pub(crate) Ended);

impl fmt::Display for BootImageFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the boot image failed: {}", self.0)
    }
}
