//! The launcher's own exit codes. Once the task runs, every code is the task's own.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// `hook`: the env did not arrive, or the pod's own postStart handler failed.
pub(crate) const HOOK_FAILED: u8 = 1;

/// The launcher's arguments are wrong (`EX_USAGE` of sysexits.h).
pub(crate) const USAGE: u8 = 64;

/// `run`: the kernel refused what the launcher itself needs (`EX_OSERR` of sysexits.h).
pub(crate) const REFUSED: u8 = 71;

/// `run`: the task ended with 0, but its outputs are not stored (`EX_IOERR` of sysexits.h).
pub(crate) const NOT_STORED: u8 = 74;

/// `init`: the folder that the image writes to cannot be prepared (`EX_IOERR` of sysexits.h).
pub(crate) const NO_OUT: u8 = 74;

/// `init`: the program had not ended in time (`EX_TEMPFAIL` of sysexits.h).
pub(crate) const TOO_SLOW: u8 = 75;

/// `exec`: the boot env is missing or damaged, so the task was not started (`EX_CONFIG` of sysexits.h).
pub(crate) const NO_BOOT_ENV: u8 = 78;

/// `exec`: the command was found, but could not be run (POSIX shell, 2.8.2). Also where the kernel does not know its
/// format, which runc finds out too late to say it that way: it ends with 1 or, since 1.2, with 255
/// (opencontainers/runc#4170).
pub(crate) const CANNOT_RUN: u8 = 126;

/// `exec`: the command was not found (POSIX shell, 2.8.2).
pub(crate) const NOT_FOUND: u8 = 127;

/// `run`: added to the number of the signal that ended the task, as container runtimes do (runc, `utils.ExitStatus`).
/// The launcher cannot die of that signal itself: as process 1 it is immune to its own.
pub(crate) const SIGNALED: u8 = 128;

/// What a container runtime reports of a first process that ended this way.
pub(crate) fn exit_code(status: ExitStatus) -> u8 {
    match (status.code(), status.signal()) {
        (Some(code), _) => low_byte(code),
        (None, Some(signal)) => SIGNALED | low_byte(signal),
        (None, None) => REFUSED,
    }
}

/// An exit code has eight bits and a signal's number seven.
pub(crate) fn low_byte(number: i32) -> u8 {
    number.to_le_bytes()[0]
}
