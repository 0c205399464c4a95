//! Finds a command's program and tells why one cannot be run.
//!
//! The rules are execvpe(3)'s, with the PATH of the env that the program gets: that is where the container
//! runtime would have looked. There is no fallback to a shell, as the runtime has none.

use std::convert::Infallible;
use std::error::Error;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use crate::environ;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Pid, execv, execve};

use crate::exit;
use crate::merge::Merged;

/// Where to look when the env holds no PATH: what containerd and CRI-O set for an image without one.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// `ENOEXEC`, which std has no name for: another architecture, or a script without `#!`.
const ENOEXEC: i32 = 8;

/// What the kernel takes for one argument or variable, its NUL byte included (`MAX_ARG_STRLEN`).
const STRING_LIMIT: usize = 128 * 1024;

/// Hands each place where the program of `argv` may lie to `start`, with the words as the kernel takes them, until one
/// starts.
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
                // The same name may lie, runnable, further down the PATH.
                cause @ (Cause::Directory | Cause::Denied) => failed = StartError::new(path, cause),
                cause => return Err(StartError::new(path, cause)),
            },
        }
    }
    Err(failed)
}

/// Replaces this process by the command. It only ever returns why that failed.
///
/// Not by std's `Command`, which copies each variable three times and sorts them twice: for 1,000 of them that took
/// longer than all else here together.
pub(crate) fn exec(argv: &[OsString], merged: &Merged<'_>) -> Result<Infallible, StartError> {
    // std ignores it for this process, and what is ignored stays so. Runtimes start processes with its default.
    sigpipe::reset();
    // Where boot gives nothing, the environ passes as it is, byte for byte and in its order.
    if merged.given.is_empty() {
        return start(argv, merged, execv);
    }
    let environ = environ(merged);
    let variables = c_strings(&environ);
    start(argv, merged, |path, words| execve(path, words, &variables))
}

/// Starts the command as a child that holds no signal back and ignores none, whatever this process does.
///
/// Not by std, whose children inherit what their parent holds back: it could hold back only afterwards, and what is sent in
/// between would be lost.
pub(crate) fn spawn(argv: &[OsString], merged: &Merged<'_>) -> Result<Pid, StartError> {
    let environ = environ(merged);
    let variables = c_strings(&environ);
    start(argv, merged, |path, words| {
        let mut attributes = PosixSpawnAttr::init()?;
        attributes
            .set_flags(PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF)?;
        attributes.set_sigmask(&SigSet::empty())?;
        // The one that std has this process ignore.
        attributes.set_sigdefault(&SigSet::from(Signal::SIGPIPE))?;
        let files = PosixSpawnFileActions::init()?;
        posix_spawn(path, &files, &attributes, words, &variables)
    })
}

/// The variables in one piece of memory: what an environ file looks like is also what the kernel takes.
fn environ(merged: &Merged<'_>) -> Vec<u8> {
    let size = merged.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    let mut bytes = Vec::with_capacity(size);
    for (name, value) in merged.iter() {
        environ::write(&mut bytes, name, value);
    }
    bytes
}

/// The strings that lie, each with its NUL byte, one after the other.
fn c_strings(bytes: &[u8]) -> Vec<&CStr> {
    let mut rest = bytes;
    std::iter::from_fn(|| {
        let string = CStr::from_bytes_until_nul(rest).ok()?;
        rest = rest.get(string.count_bytes() + 1..)?;
        Some(string)
    })
    .collect()
}

/// It holds no NUL byte, as it came from the kernel.
fn c_string(word: &OsStr) -> io::Result<CString> {
    Ok(CString::new(word.as_bytes())?)
}

/// The paths to try, each with a slash in it, so that nothing looks it up again.
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

/// Why a command did not start: its program and the cause. Neither holds an argument's or a variable's value.
#[derive(Debug)]
pub(crate) struct StartError {
    program: PathBuf,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    NotFound,
    /// The file is there; what it names as its interpreter or dynamic loader is not.
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

    /// What a shell, and a container runtime, exits with in the same case.
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
                write!(f, "command `{program}` was not found in the container")
            }
            Cause::NotFound => write!(f, "command `{program}` was not found in any folder of PATH"),
            Cause::NoInterpreter => write!(
                f,
                "command `{program}` is there, but the interpreter or dynamic loader that it names is not"
            ),
            Cause::Directory => write!(f, "command `{program}` is a directory"),
            Cause::Denied => write!(
                f,
                "command `{program}` may not be executed: permission denied. Check its mode, the user that \
                 the container runs as, and whether its volume is mounted noexec"
            ),
            Cause::WrongFormat => write!(
                f,
                "command `{program}` is no program for this node: it was built for another architecture, or \
                 it is a script that does not begin with `#!`"
            ),
            Cause::TooLarge(sizes) => write!(f, "command `{program}` cannot be started: {sizes}"),
            Cause::Other(error) => write!(f, "command `{program}` cannot be started: {error}"),
        }
    }
}

impl Error for StartError {}

impl Cause {
    fn of(error: io::Error, path: &Path, args: &[OsString], env: &Merged<'_>) -> Self {
        match error.kind() {
            // The kernel says ENOENT both for the file and for the interpreter that it names.
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

/// What is too large in a command: names and sizes.
#[derive(Debug, Default)]
struct Sizes {
    /// Strings over [`STRING_LIMIT`], as words for a reader.
    over: Vec<String>,
    args: usize,
    env: usize,
    /// The part of `env` that boot gave.
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
                let from = if by_boot { "a source of the boot env" } else { "the pod's spec or the image" };
                sizes.over.push(format!("env {} ({len} bytes, from {from})", name.display()));
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
                "its arguments ({} bytes) and its env ({} bytes, {} of them from the boot env) are more than the \
                 kernel takes together, a quarter of the stack limit, which is 2 MiB by default",
                self.args, self.env, self.boot
            )?;
        } else {
            write!(f, "the kernel takes at most 128 KiB in one string; larger: {}", list(&self.over))?;
        }
        f.write_str(". Hand large values over as a file")
    }
}

fn list(words: &[String]) -> String {
    words.iter().take(10).map(String::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Env;

    fn looked_up(name: &str, path: Option<&str>) -> Vec<String> {
        let own = path.map(|path| (OsStr::new("PATH"), OsStr::new(path))).into_iter().collect();
        let env = Merged::of(own, Env::default());
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
    fn names_what_is_too_large_but_not_its_value() {
        let value = "hunter2".repeat(20_000);
        let env = [(OsStr::new("BIG"), OsStr::new(&value)), (OsStr::new("SMALL"), OsStr::new("1"))]
            .into_iter()
            .collect();
        let env = Merged::of(Env::default(), env);
        let sentence = Sizes::of(&["x".into(), "y".repeat(200_000).into()], &env).to_string();
        assert_eq!(
            sentence,
            "the kernel takes at most 128 KiB in one string; larger: argument 2 (200000 bytes), env BIG \
             (140004 bytes, from a source of the boot env). Hand large values over as a file"
        );
    }
}
