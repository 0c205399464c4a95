//! Finds and starts the program of a command.
//!
//! The rules are those of execvpe(3), with the PATH from the env of the program, as in a container runtime.
//! There is no fallback to a shell, because runtimes have none.

use std::convert::Infallible;
use std::error::Error;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use crate::code::{Code, Coded};
use crate::environ;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Pid, execv, execve};

use crate::exit;
use crate::merge::Merged;

/// The PATH if the env has none: what containerd and CRI-O set for an image without one.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// `ENOEXEC`, for which std has no name: another architecture, or a script without `#!`.
const ENOEXEC: i32 = 8;

/// The maximum of the kernel for one argument or variable, including its NUL byte (`MAX_ARG_STRLEN`).
const STRING_LIMIT: usize = 128 * 1024;

/// Calls `start` with each possible path of the program of `argv`, until one starts.
fn start<T>(
    argv: &[OsString],
    merged: &Merged<'_>,
    start: impl Fn(&CStr, &[CString]) -> nix::Result<T>,
) -> Result<T, StartError> {
    let Some((name, arguments)) = argv.split_first() else {
        return Err(StartError::not_found(OsStr::new("")));
    };
    let words: Result<Vec<_>, _> = argv.iter().map(|word| c_string(word)).collect();
    let words = words.map_err(|error| StartError::new(name.into(), Cause::Other(error)))?;
    let mut failed = StartError::not_found(name);
    for path in candidates(name, merged) {
        let started = c_string(path.as_os_str()).and_then(|path| Ok(start(&path, &words)?));
        match started {
            Ok(started) => return Ok(started),
            Err(error) => match Cause::of(error, &path, arguments, merged) {
                Cause::NotFound => {}
                // A later directory of PATH can contain an executable file of the same name.
                cause @ (Cause::Directory | Cause::Denied) => failed = StartError::new(path, cause),
                cause => return Err(StartError::new(path, cause)),
            },
        }
    }
    Err(failed)
}

/// Replaces this process with the command. Returns only if that fails.
///
/// Does not use `Command` of std, which copies each variable three times and sorts them twice: with 1,000
/// variables, that took longer than the rest of the launcher.
pub(crate) fn exec(argv: &[OsString], merged: &Merged<'_>) -> Result<Infallible, StartError> {
    // std ignores SIGPIPE in this process, and exec keeps that. Runtimes start processes with the default.
    sigpipe::reset();
    // An empty boot env leaves the environ as it is, byte for byte and in its order.
    if merged.given.is_empty() {
        return start(argv, merged, execv);
    }
    let environ = environ(merged);
    let variables = c_strings(&environ);
    start(argv, merged, |path, words| execve(path, words, &variables))
}

/// Starts the command as a child process that blocks and ignores no signal, unlike this process.
///
/// Does not use std, whose child processes inherit blocked signals: this process could block them only after
/// the start, and signals sent before that would be lost.
pub(crate) fn spawn(argv: &[OsString], merged: &Merged<'_>, role: ChildRole<'_>) -> Result<Pid, StartError> {
    let environ = environ(merged);
    let variables = c_strings(&environ);
    start(argv, merged, |path, words| {
        let mut attributes = PosixSpawnAttr::init()?;
        let mut flags = PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF;
        attributes.set_sigmask(&SigSet::empty())?;
        // std ignores it in this process.
        attributes.set_sigdefault(&SigSet::from(Signal::SIGPIPE))?;
        let mut files = PosixSpawnFileActions::init()?;
        if let ChildRole::Hook { output } = role {
            flags |= PosixSpawnFlags::POSIX_SPAWN_SETPGROUP;
            attributes.set_pgroup(Pid::from_raw(0))?;
            for standard in [io::stdout().as_raw_fd(), io::stderr().as_raw_fd()] {
                files.add_dup2(output.as_raw_fd(), standard)?;
            }
        }
        attributes.set_flags(flags)?;
        posix_spawn(path, &files, &attributes, words, &variables)
    })
}

/// What a child process is for.
#[derive(Clone, Copy)]
pub(crate) enum ChildRole<'f> {
    /// A handler of the pod, or the command of a boot image: it has the files of this process.
    Handler,
    /// A hook of the BootProfile: it leads a process group, so that it can be killed with the processes that
    /// it starts, and all its output goes to one file, so that it is not mixed with the result of the task.
    Hook {
        /// The file.
        output: BorrowedFd<'f>,
    },
}

/// The variables in one buffer: the format of an environ file is also that of the kernel.
fn environ(merged: &Merged<'_>) -> Vec<u8> {
    let size = merged.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    let mut bytes = Vec::with_capacity(size);
    for (name, value) in merged.iter() {
        environ::write(&mut bytes, name, value);
    }
    bytes
}

/// The NUL-terminated strings in a buffer.
fn c_strings(bytes: &[u8]) -> Vec<&CStr> {
    let mut rest = bytes;
    std::iter::from_fn(|| {
        let string = CStr::from_bytes_until_nul(rest).ok()?;
        rest = rest.get(string.count_bytes() + 1..)?;
        Some(string)
    })
    .collect()
}

/// Never fails for words from the kernel, which contain no NUL byte.
fn c_string(word: &OsStr) -> io::Result<CString> {
    Ok(CString::new(word.as_bytes())?)
}

/// The paths to try. Each contains a slash, so that it is not looked up in PATH again.
fn candidates(name: &OsStr, env: &Merged<'_>) -> Vec<PathBuf> {
    if name.is_empty() {
        return Vec::new();
    }
    if name.as_bytes().contains(&b'/') {
        return vec![PathBuf::from(name)];
    }
    let path = env.get(OsStr::new("PATH")).unwrap_or(OsStr::new(DEFAULT_PATH));
    let dirs = path.as_bytes().split(|&byte| byte == b':');
    // An empty entry is the working directory (POSIX, 8.3).
    dirs.map(|dir| {
        PathBuf::from(if dir.is_empty() { OsStr::new(".") } else { OsStr::from_bytes(dir) }).join(name)
    })
    .collect()
}

/// A command did not start. The message never contains the value of an argument or a variable.
#[derive(Debug)]
pub(crate) struct StartError {
    program: PathBuf,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    NotFound,
    /// The file exists, but its interpreter or dynamic loader does not.
    NoInterpreter,
    Directory,
    Denied,
    WrongFormat,
    TooLarge(Sizes),
    Other(io::Error),
}

impl StartError {
    fn new(program: PathBuf, cause: Cause) -> Self {
        Self { program, cause }
    }

    fn not_found(name: &OsStr) -> Self {
        Self::new(PathBuf::from(name), Cause::NotFound)
    }

    /// The exit code of a shell or a container runtime in the same case.
    pub(crate) fn exit_code(&self) -> u8 {
        match self.cause {
            Cause::NotFound | Cause::NoInterpreter => exit::NOT_FOUND,
            _ => exit::CANNOT_RUN,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = self.program.display();
        match &self.cause {
            Cause::NotFound if self.program.as_os_str().as_bytes().contains(&b'/') => {
                write!(f, "command \"{program}\" not found in the container")
            }
            Cause::NotFound => write!(f, "command \"{program}\" not found in any directory of PATH"),
            Cause::NoInterpreter => write!(
                f,
                "failed to execute \"{program}\": its interpreter or dynamic loader was not found in the container: check the first \
                 line of a script, and whether the program was built for the C library of the image"
            ),
            Cause::Directory => write!(f, "failed to execute \"{program}\": it is a directory"),
            Cause::Denied => write!(
                f,
                "failed to execute \"{program}\": permission denied: check the mode of the file, the user of the container, and \
                 whether its volume is mounted with noexec"
            ),
            Cause::WrongFormat => write!(
                f,
                "failed to execute \"{program}\": exec format error: it was built for another architecture, or is a script without \
                 `#!` in its first line"
            ),
            Cause::TooLarge(sizes) => write!(f, "failed to execute \"{program}\": {sizes}"),
            Cause::Other(error) => write!(f, "failed to execute \"{program}\": {error}"),
        }
    }
}

impl Error for StartError {}

impl Coded for StartError {
    fn code(&self) -> Code {
        match self.cause {
            Cause::NotFound => Code::TaskCommandNotFound,
            Cause::NoInterpreter => Code::TaskInterpreterNotFound,
            Cause::Directory | Cause::Denied | Cause::Other(_) => Code::TaskCommandNotExecutable,
            Cause::WrongFormat => Code::TaskCommandFormat,
            Cause::TooLarge(_) => Code::TaskArgumentsTooLarge,
        }
    }
}

impl Cause {
    fn of(error: io::Error, path: &Path, args: &[OsString], env: &Merged<'_>) -> Self {
        match error.kind() {
            // The kernel returns ENOENT both for the file and for its interpreter.
            io::ErrorKind::NotFound if fs::metadata(path).is_ok() => Self::NoInterpreter,
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::NotFound,
            io::ErrorKind::PermissionDenied if path.is_dir() => Self::Directory,
            io::ErrorKind::PermissionDenied => Self::Denied,
            io::ErrorKind::ArgumentListTooLong => Self::TooLarge(Sizes::of(args, env)),
            _ if error.raw_os_error() == Some(ENOEXEC) => Self::WrongFormat,
            _ => Self::Other(error),
        }
    }
}

/// The sizes of arguments and variables that are too large, by name.
#[derive(Debug, Default)]
struct Sizes {
    /// Descriptions of the strings over [`STRING_LIMIT`].
    over: Vec<String>,
    args: usize,
    env: usize,
    /// The part of `env` from the boot env.
    boot: usize,
}

impl Sizes {
    fn of(args: &[OsString], env: &Merged<'_>) -> Self {
        let mut sizes = Self::default();
        for (number, arg) in (1..).zip(args) {
            sizes.args += arg.len() + 1;
            if arg.len() + 1 > STRING_LIMIT {
                sizes.over.push(format!("argument {number} ({} bytes)", arg.len()));
            }
        }
        for (name, value) in env.iter() {
            let len = name.len() + 1 + value.len();
            let by_boot = env.given.get(name).is_some();
            sizes.env += len + 1;
            sizes.boot += if by_boot { len + 1 } else { 0 };
            if len + 1 > STRING_LIMIT {
                let origin =
                    if by_boot { "a source of the boot env" } else { "the spec of the pod or the image" };
                sizes.over.push(format!("env {} ({len} bytes, from {origin})", name.display()));
            }
        }
        sizes
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.over.is_empty() {
            write!(
                f,
                "its arguments ({} bytes) and its env ({} bytes, {} of them from the boot env) exceed the limit of the kernel, \
                 which is a quarter of the stack limit, 2 MiB by default",
                self.args, self.env, self.boot
            )?;
        } else {
            write!(
                f,
                "the kernel limits each argument and variable to 128 KiB, exceeded by {}",
                list(&self.over)
            )?;
        }
        f.write_str(": pass large values in a file")
    }
}

fn list(words: &[String]) -> String {
    words.iter().take(10).map(String::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
impl StartError {
    /// An error of each kind.
    pub(crate) fn examples() -> Vec<Self> {
        let over = vec!["env SETTINGS (140000 bytes, from a source of the boot env)".to_owned()];
        let error = |cause| Self::new(PathBuf::from("/app/run"), cause);
        vec![
            Self::not_found(OsStr::new("run")),
            error(Cause::NotFound),
            error(Cause::NoInterpreter),
            error(Cause::Directory),
            error(Cause::Denied),
            error(Cause::WrongFormat),
            error(Cause::TooLarge(Sizes { over, ..Sizes::default() })),
            error(Cause::TooLarge(Sizes { over: vec![], args: 20, env: 3_000_000, boot: 2_900_000 })),
            error(Cause::Other(io::Error::from_raw_os_error(5))),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Env;

    fn looked_up(name: &str, path: Option<&str>) -> Vec<String> {
        let own = path.map(|path| (OsStr::new("PATH"), OsStr::new(path))).into_iter().collect();
        let env = Merged::new(own, Env::default());
        candidates(name.as_ref(), &env).into_iter().map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn a_name_with_a_slash_is_a_path() {
        assert_eq!(looked_up("/bin/sh", Some("/x")), ["/bin/sh"]);
        assert_eq!(looked_up("./run", Some("/x")), ["./run"]);
        assert_eq!(looked_up("bin/run", Some("/x")), ["bin/run"]);
    }

    #[test]
    fn a_bare_name_is_looked_up_in_path() {
        assert_eq!(looked_up("sh", Some("/a:/b/")), ["/a/sh", "/b/sh"]);
        assert_eq!(looked_up("sh", Some("bin")), ["bin/sh"]);
        assert_eq!(looked_up("sh", Some(":/a:")), ["./sh", "/a/sh", "./sh"]);
        assert_eq!(looked_up("sh", None).len(), 6);
        assert!(looked_up("", Some("/a")).is_empty());
    }

    #[test]
    fn names_the_large_variable_without_its_value() {
        let value = "hunter2".repeat(20_000);
        let env = [(OsStr::new("BIG"), OsStr::new(&value)), (OsStr::new("SMALL"), OsStr::new("1"))]
            .into_iter()
            .collect();
        let env = Merged::new(Env::default(), env);
        let message = Sizes::of(&["x".into(), "y".repeat(200_000).into()], &env).to_string();
        assert_eq!(
            message,
            "the kernel limits each argument and variable to 128 KiB, exceeded by argument 2 (200000 bytes), env BIG (140004 \
             bytes, from a source of the boot env): pass large values in a file"
        );
    }
}
