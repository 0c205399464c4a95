//! The exit codes of the launcher. After the task has started, the exit code is that of the task.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// `hook`: the task does not have the boot env, or the postStart handler of the pod failed.
pub(crate) const HOOK_FAILED: u8 = 1;

/// The arguments of the launcher are invalid (`EX_USAGE` in sysexits.h).
pub(crate) const USAGE: u8 = 64;

/// `exec` and `run`: a `preLaunch` hook failed, so the task was not started (`EX_UNAVAILABLE` in sysexits.h:
/// a program that supports this one failed).
pub(crate) const PRE_LAUNCH_FAILED: u8 = 69;

/// `run`: the kernel refused a system call of the launcher (`EX_OSERR` in sysexits.h).
pub(crate) const SYSTEM_CALL: u8 = 71;

/// `run`: the task exited with 0, but its outputs are not stored (`EX_IOERR` in sysexits.h).
pub(crate) const NOT_STORED: u8 = 74;

/// `init`: the output directory of the image cannot be written (`EX_IOERR` in sysexits.h).
pub(crate) const DIRECTORY_NOT_WRITABLE: u8 = 74;

/// `init`: the command timed out (`EX_TEMPFAIL` in sysexits.h).
pub(crate) const TIMED_OUT: u8 = 75;

/// `exec`: the boot env is missing or damaged, so the task was not started (`EX_CONFIG` in sysexits.h).
pub(crate) const NO_BOOT_ENV: u8 = 78;

/// `exec`: the command was found, but could not be executed (POSIX shell, 2.8.2). Also for an unknown
/// executable format, for which runc exits with 1 or, since 1.2, with 255 (opencontainers/runc#4170).
pub(crate) const CANNOT_RUN: u8 = 126;

/// `exec`: the command was not found (POSIX shell, 2.8.2).
pub(crate) const NOT_FOUND: u8 = 127;

/// `run`: added to the number of the signal that killed the task, as in container runtimes (runc,
/// `utils.ExitStatus`). The launcher cannot kill itself with that signal: process 1 is immune to its own
/// signals.
pub(crate) const SIGNALED: u8 = 128;

/// `prestop`: a hook or the preStop handler of the pod failed.
pub(crate) const PRESTOP_FAILED: u8 = 1;

/// The exit code that a container runtime reports for a first process with this status.
pub(crate) fn exit_code(status: ExitStatus) -> u8 {
    match (status.code(), status.signal()) {
        (Some(code), _) => low_byte(code),
        (None, Some(signal)) => SIGNALED | low_byte(signal),
        (None, None) => SYSTEM_CALL,
    }
}

/// An exit code has eight bits, the number of a signal seven.
pub(crate) fn low_byte(number: i32) -> u8 {
    number.to_le_bytes()[0]
}
