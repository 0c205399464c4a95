//! Finds the container's first process in `/proc`.
//!
//! It is process 1, but for a pod with `shareProcessNamespace`: there process 1 is the pause container's, and
//! this container's first process is the oldest one in its mount namespace.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::mark;

/// `ESRCH`, which std has no name for: the process went away while it was looked at.
const ESRCH: i32 = 3;

/// A mounted proc filesystem.
pub(crate) struct Proc {
    root: PathBuf,
}

/// The container's first process.
#[derive(Debug, PartialEq)]
pub(crate) enum Init {
    /// It runs.
    Runs(Process),
    /// It cannot be looked into: it runs as another user or is not dumpable. Container runtimes are not
    /// dumpable until they exec the container's command, so this may pass.
    Unreadable(Process),
    /// It has ended.
    Ended,
}

/// A process, as its folder in [`Proc`].
#[derive(Debug, PartialEq)]
pub(crate) struct Process {
    dir: PathBuf,
}

/// How a process stands to the container that this process runs in.
#[derive(PartialEq)]
enum Kinship {
    Same,
    /// In the container as far as its cgroup tells, which anybody may read; its namespaces cannot be read.
    SameUnreadable,
    Other,
    OtherUnreadable,
    Ended,
}

impl Proc {
    /// The one at `/proc`.
    pub(crate) fn mounted() -> Self {
        Self { root: PathBuf::from("/proc") }
    }

    /// Looks for the container's first process.
    ///
    /// # Errors
    /// `/proc` cannot be read at all.
    pub(crate) fn container_init(&self) -> io::Result<Init> {
        let own = fs::read_link(self.root.join("self/ns/mnt"))?;
        let first = self.process("1");
        match self.kinship(&first, &own) {
            Kinship::Same => return Ok(Init::Runs(first)),
            Kinship::SameUnreadable => return Ok(Init::Unreadable(first)),
            // Without a process 1 there would be no process namespace.
            Kinship::Ended => return Ok(Init::Ended),
            Kinship::Other | Kinship::OtherUnreadable => {}
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
            let init = match self.kinship(&process, &own) {
                Kinship::Same => Init::Runs(process),
                Kinship::SameUnreadable => Init::Unreadable(process),
                Kinship::Other | Kinship::OtherUnreadable | Kinship::Ended => continue,
            };
            if oldest.as_ref().is_none_or(|(age, _)| start < *age) {
                oldest = Some((start, init));
            }
        }
        Ok(match oldest {
            Some((_, init)) => init,
            // It may be the container's own after all, in a cgroup that it moved itself to.
            None if self.kinship(&first, &own) == Kinship::OtherUnreadable => Init::Unreadable(first),
            None => Init::Ended,
        })
    }

    /// Whether the process still runs this program: the launcher has not exec'ed the task yet.
    pub(crate) fn runs_this_program(&self, process: &Process) -> bool {
        match (fs::read_link(process.dir.join("exe")), fs::read_link(self.root.join("self/exe"))) {
            (Ok(theirs), Ok(own)) => theirs.as_os_str() == own.as_os_str(),
            _ => false,
        }
    }

    /// Whether the launcher started the process; `None` where that cannot be told here.
    pub(crate) fn was_launched(&self, process: &Process) -> Option<bool> {
        let marked = mark::is_at(&process.dir).ok()?;
        (marked || mark::works_below(&self.root)).then_some(marked)
    }

    fn process(&self, pid: impl AsRef<Path>) -> Process {
        Process { dir: self.root.join(pid) }
    }

    fn kinship(&self, process: &Process, own_mount_namespace: &Path) -> Kinship {
        if process.has_ended() {
            return Kinship::Ended;
        }
        match fs::read_link(process.dir.join("ns/mnt")) {
            Ok(namespace) if namespace.as_os_str() == own_mount_namespace.as_os_str() => Kinship::Same,
            Ok(_) => Kinship::Other,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let cgroup = |dir: &Path| fs::read(dir.join("cgroup")).ok();
                match (cgroup(&process.dir), cgroup(&self.root.join("self"))) {
                    (Some(theirs), Some(own)) if theirs == own => Kinship::SameUnreadable,
                    _ => Kinship::OtherUnreadable,
                }
            }
            Err(_) => Kinship::Ended,
        }
    }
}

impl Process {
    /// The memory that held the environment when the process's program was started; `None` once the process
    /// has ended.
    pub(crate) fn environ(&self) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.dir.join("environ")) {
            Ok(_) if self.has_ended() => Ok(None),
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if error.raw_os_error() == Some(ESRCH) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A zombie has ended: its parent has just not asked for its exit code yet.
    fn has_ended(&self) -> bool {
        matches!(self.stat_field(0).as_deref(), None | Some(b"Z" | b"X"))
    }

    /// When the process was started, in clock ticks since the machine's start (field 22 of proc(5)).
    fn start_time(&self) -> Option<u64> {
        str::from_utf8(&self.stat_field(19)?).ok()?.parse().ok()
    }

    /// A field of `stat`, counted from the state, which is the first one after the program's name: that is in
    /// parentheses and may itself hold spaces and parentheses.
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

    /// A made-up proc filesystem, of one process a call.
    struct Made(tempfile::TempDir);

    impl Made {
        /// With the hook itself as process 50 in the mount namespace `own`.
        fn new() -> Self {
            let made = Self(tempfile::tempdir().unwrap()).process("50", "own", "R", 900);
            symlink("50", made.0.path().join("self")).unwrap();
            made
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
    fn process_1_where_the_container_has_its_own_process_namespace() {
        assert_eq!(Made::new().process("1", "own", "S", 100).process("7", "own", "S", 50).init(), "1");
    }

    #[test]
    fn the_oldest_of_the_container_where_the_pod_shares_its_process_namespace() {
        let made = Made::new()
            .process("1", "pause", "S", 100)
            .process("9", "sidecar", "S", 110)
            .process("12", "own", "S", 130)
            .process("31", "own", "S", 120);
        assert_eq!(made.init(), "31");
    }

    #[test]
    fn a_container_whose_first_process_is_gone_has_ended() {
        assert_eq!(Made::new().process("1", "pause", "S", 100).init(), "Ended");
        assert_eq!(
            Made::new().process("1", "pause", "S", 100).process("12", "own", "Z", 130).init(),
            "Ended"
        );
        assert_eq!(Made::new().process("1", "own", "Z", 100).init(), "Ended");
        assert_eq!(Made::new().init(), "Ended");
    }

    #[test]
    fn the_environ_of_a_process_that_ended_is_none() {
        let made = Made::new().process("1", "own", "S", 100).process("2", "own", "Z", 100);
        let environ = |pid: &str| Proc { root: made.0.path().to_owned() }.process(pid).environ().unwrap();
        assert_eq!(environ("1").unwrap(), b"A=1\0");
        assert_eq!(environ("2"), None);
        assert_eq!(environ("3"), None);
    }
}
