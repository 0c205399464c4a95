//! Finds the first process of the container in `/proc`.
//!
//! It is process 1, except in a pod with `shareProcessNamespace`: there, process 1 belongs to the pause
//! container, and the first process of this container is the oldest one in its mount namespace.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::mark;

/// `ESRCH`, for which std has no name: the process exited while it was read.
const ESRCH: i32 = 3;

/// A mounted proc filesystem.
pub(crate) struct Proc {
    root: PathBuf,
}

/// The first process of the container.
#[derive(Debug, PartialEq)]
pub(crate) enum Init {
    /// It runs.
    Runs(Process),
    /// It cannot be read, because it runs as another user or is not dumpable. Container runtimes are not
    /// dumpable until they execute the command of the container, so this can be temporary.
    Unreadable(Process),
    /// It has exited.
    Ended,
}

/// A process, by its directory in [`Proc`].
#[derive(Debug, PartialEq)]
pub(crate) struct Process {
    dir: PathBuf,
}

/// Whether a process belongs to the container of this process.
#[derive(PartialEq)]
enum Membership {
    Same,
    /// Its namespaces cannot be read, but it is in the cgroup of the container, which any user can read.
    SameUnreadable,
    Other,
    OtherUnreadable,
    Ended,
}

impl Proc {
    /// The proc filesystem at `/proc`.
    pub(crate) fn mounted() -> Self {
        Self { root: PathBuf::from("/proc") }
    }

    /// Finds the first process of the container.
    ///
    /// # Errors
    /// `/proc` cannot be read at all.
    pub(crate) fn container_init(&self) -> io::Result<Init> {
        let own = fs::read_link(self.root.join("self/ns/mnt"))?;
        let first = self.process("1");
        match self.membership(&first, &own) {
            Membership::Same => return Ok(Init::Runs(first)),
            Membership::SameUnreadable => return Ok(Init::Unreadable(first)),
            // A process namespace always has a process 1.
            Membership::Ended => return Ok(Init::Ended),
            Membership::Other | Membership::OtherUnreadable => {}
        }

        let hook = fs::read_link(self.root.join("self"))?;
        let mut oldest: Option<(u64, Init)> = None;
        for entry in fs::read_dir(&self.root)? {
            let name = entry?.file_name();
            if !name.as_bytes().iter().all(u8::is_ascii_digit) || name == hook.as_os_str() {
                continue;
            }
            let process = self.process(&name);
            let Some(start) = process.start_time() else { continue };
            let init = match self.membership(&process, &own) {
                Membership::Same => Init::Runs(process),
                Membership::SameUnreadable => Init::Unreadable(process),
                Membership::Other | Membership::OtherUnreadable | Membership::Ended => continue,
            };
            if oldest.as_ref().is_none_or(|(age, _)| start < *age) {
                oldest = Some((start, init));
            }
        }
        Ok(match oldest {
            Some((_, init)) => init,
            // Process 1 can belong to the container nevertheless, if it moved itself to another cgroup.
            None if self.membership(&first, &own) == Membership::OtherUnreadable => Init::Unreadable(first),
            None => Init::Ended,
        })
    }

    /// Whether the process still runs this program, so that the launcher has not executed the task yet.
    pub(crate) fn runs_this_program(&self, process: &Process) -> bool {
        match (fs::read_link(process.dir.join("exe")), fs::read_link(self.root.join("self/exe"))) {
            (Ok(theirs), Ok(own)) => theirs.as_os_str() == own.as_os_str(),
            _ => false,
        }
    }

    /// Whether the launcher started the process. `None` if that is unknown.
    pub(crate) fn was_launched(&self, process: &Process) -> Option<bool> {
        let marked = mark::is_at(&process.dir).ok()?;
        (marked || mark::is_supported(&self.root)).then_some(marked)
    }

    fn process(&self, pid: impl AsRef<Path>) -> Process {
        Process { dir: self.root.join(pid) }
    }

    fn membership(&self, process: &Process, own_mount_namespace: &Path) -> Membership {
        if process.has_ended() {
            return Membership::Ended;
        }
        match fs::read_link(process.dir.join("ns/mnt")) {
            Ok(namespace) if namespace.as_os_str() == own_mount_namespace.as_os_str() => Membership::Same,
            Ok(_) => Membership::Other,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let cgroup = |dir: &Path| fs::read(dir.join("cgroup")).ok();
                match (cgroup(&process.dir), cgroup(&self.root.join("self"))) {
                    (Some(theirs), Some(own)) if theirs == own => Membership::SameUnreadable,
                    _ => Membership::OtherUnreadable,
                }
            }
            Err(_) => Membership::Ended,
        }
    }
}

impl Process {
    /// The memory with the environment at the start of the program. `None` if the process has exited.
    pub(crate) fn environ(&self) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.dir.join("environ")) {
            Ok(_) if self.has_ended() => Ok(None),
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if error.raw_os_error() == Some(ESRCH) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A zombie has exited, but its parent has not read the exit code yet.
    fn has_ended(&self) -> bool {
        matches!(self.stat_field(0).as_deref(), None | Some(b"Z" | b"X"))
    }

    /// The start time of the process, in clock ticks since boot (field 22 in proc(5)).
    fn start_time(&self) -> Option<u64> {
        str::from_utf8(&self.stat_field(19)?).ok()?.parse().ok()
    }

    /// A field of `stat`, counted from the state, the first field after the name of the program. The name is
    /// in parentheses and can itself contain spaces and parentheses.
    fn stat_field(&self, number: usize) -> Option<Vec<u8>> {
        let stat = fs::read(self.dir.join("stat")).ok()?;
        let name_end = stat.iter().rposition(|&byte| byte == b')')?;
        let fields = stat.get(name_end + 2..)?;
        fields.split(u8::is_ascii_whitespace).nth(number).map(<[u8]>::to_vec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A fake proc filesystem.
    struct FakeProc(tempfile::TempDir);

    impl FakeProc {
        /// Contains only the hook, as process 50 in the mount namespace `own`.
        fn new() -> Self {
            let proc = Self(tempfile::tempdir().unwrap()).process("50", "own", "R", 900);
            symlink("50", proc.0.path().join("self")).unwrap();
            proc
        }

        fn process(self, pid: &str, namespace: &str, state: &str, start: u64) -> Self {
            let dir = self.0.path().join(pid);
            fs::create_dir_all(dir.join("ns")).unwrap();
            if state != "Z" {
                symlink(namespace, dir.join("ns/mnt")).unwrap();
            }
            let zeros = "0 ".repeat(18);
            fs::write(dir.join("stat"), format!("{pid} (a) b) c) {state} {zeros}{start} 0 0\n")).unwrap();
            fs::write(dir.join("environ"), b"A=1\0").unwrap();
            self
        }

        fn init(&self) -> String {
            let root = self.0.path();
            match (Proc { root: root.to_owned() }).container_init().unwrap() {
                Init::Runs(process) => process.dir.strip_prefix(root).unwrap().display().to_string(),
                other => format!("{other:?}"),
            }
        }
    }

    #[test]
    fn process_1_if_the_container_has_its_own_process_namespace() {
        assert_eq!(FakeProc::new().process("1", "own", "S", 100).process("7", "own", "S", 50).init(), "1");
    }

    #[test]
    fn the_oldest_process_of_the_container_if_the_pod_shares_its_process_namespace() {
        let proc = FakeProc::new()
            .process("1", "pause", "S", 100)
            .process("9", "sidecar", "S", 110)
            .process("12", "own", "S", 130)
            .process("31", "own", "S", 120);
        assert_eq!(proc.init(), "31");
    }

    #[test]
    fn a_container_without_its_first_process_has_ended() {
        assert_eq!(FakeProc::new().process("1", "pause", "S", 100).init(), "Ended");
        assert_eq!(
            FakeProc::new().process("1", "pause", "S", 100).process("12", "own", "Z", 130).init(),
            "Ended"
        );
        assert_eq!(FakeProc::new().process("1", "own", "Z", 100).init(), "Ended");
        assert_eq!(FakeProc::new().init(), "Ended");
    }

    #[test]
    fn a_process_that_exited_has_no_environ() {
        let proc = FakeProc::new().process("1", "own", "S", 100).process("2", "own", "Z", 100);
        let environ = |pid: &str| Proc { root: proc.0.path().to_owned() }.process(pid).environ().unwrap();
        assert_eq!(environ("1").unwrap(), b"A=1\0");
        assert_eq!(environ("2"), None);
        assert_eq!(environ("3"), None);
    }
}
