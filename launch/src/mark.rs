//! The mark of a process that the launcher started. The hook finds it even if the process has executed other
//! programs since.
//!
//! It is a bit of the core dump filter (core(5)). The kernel keeps the filter across execve(2), a process can
//! set its own filter without privileges, and every process in the container can read it. This bit only
//! controls whether a core dump contains private pages of DAX files. A variable cannot be the mark: the hook
//! has to distinguish a task that cleared its environment from another command that runs instead of the task.

use std::path::Path;
use std::{fs, io};

/// The file of the filter in the directory of a process in `/proc`.
const FILTER: &str = "coredump_filter";

/// "Dump DAX private mappings". Off by default.
const BIT: u32 = 1 << 7;

/// Marks this process. Errors are ignored, because the hook calls [`is_supported`].
pub(crate) fn set() {
    let _ = set_at(Path::new("/proc/self"));
}

/// Whether a process has the mark. `process` is its directory in `/proc`.
pub(crate) fn is_at(process: &Path) -> io::Result<bool> {
    Ok(read(process)? & BIT != 0)
}

/// Whether the mark is reliable in this container: this process, which the container runtime started as well,
/// has no mark and can set it. `proc` is the mount path of `/proc`.
pub(crate) fn is_supported(proc: &Path) -> bool {
    let own = proc.join("self");
    is_at(&own).is_ok_and(|marked| !marked) && set_at(&own).is_ok() && is_at(&own).is_ok_and(|marked| marked)
}

fn set_at(process: &Path) -> io::Result<()> {
    let filter = read(process)? | BIT;
    fs::write(process.join(FILTER), format!("{filter:#x}"))
}

fn read(process: &Path) -> io::Result<u32> {
    let text = fs::read_to_string(process.join(FILTER))?;
    u32::from_str_radix(text.trim_ascii(), 16).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marked_process_is_recognized_if_the_kernel_supports_the_filter() {
        let proc = tempfile::tempdir().unwrap();
        let (own, other) = (proc.path().join("self"), proc.path().join("1"));
        assert!(!is_supported(proc.path()), "there is no filter");
        for process in [&own, &other] {
            fs::create_dir(process).unwrap();
            fs::write(process.join(FILTER), "00000033\n").unwrap();
        }
        // The kernel accepts numbers of any base, and returns hexadecimal digits without a prefix.
        assert!(!is_supported(proc.path()), "the kernel does not keep the written value");
        assert!(!is_at(&other).unwrap());
        fs::write(other.join(FILTER), "000000b3\n").unwrap();
        assert!(is_at(&other).unwrap());
        fs::write(own.join(FILTER), "000001ff\n").unwrap();
        assert!(!is_supported(proc.path()), "this process has the mark from its parent");
    }
}
