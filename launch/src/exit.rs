//! The launcher's own exit codes. Once the task runs, every code is the task's own.

/// `hook`: the env did not arrive, or the pod's own postStart handler failed.
pub(crate) const HOOK_FAILED: u8 = 1;

/// The launcher's arguments are wrong (`EX_USAGE` of sysexits.h).
pub(crate) const USAGE: u8 = 64;

/// `init`: the folder that the image writes to cannot be prepared (`EX_IOERR` of sysexits.h).
pub(crate) const NO_OUT: u8 = 74;

/// `init`: the program had not ended in time (`EX_TEMPFAIL` of sysexits.h).
pub(crate) const TOO_SLOW: u8 = 75;

/// `exec`: the boot env is missing or damaged, so the task was not started (`EX_CONFIG` of sysexits.h).
pub(crate) const NO_BOOT_ENV: u8 = 78;

/// `exec`: the command was found, but could not be run (POSIX shell, 2.8.2).
pub(crate) const CANNOT_RUN: u8 = 126;

/// `exec`: the command was not found (POSIX shell, 2.8.2).
pub(crate) const NOT_FOUND: u8 = 127;
