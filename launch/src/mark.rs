//! The mark by which the hook tells a process that the launcher started from one that it did not, whatever the process
//! has executed since.
//!
//! It is a bit of the core dump filter (core(5)). The kernel keeps the filter over execve(2), a process may set its own
//! without a privilege, and anybody in the container may read it. This bit only decides whether a core dump holds private
//! pages of DAX files. The environment cannot carry the mark: a task may drop its environment, and the hook has to tell
//! that task, which lost its boot env, from one that another command has taken the place of.

use std::path::Path;
use std::{fs, io};

/// The filter, in the folder of a process in `/proc`.
const FILTER: &str = "coredump_filter";

/// "Dump DAX private mappings": off unless somebody sets it.
const BIT: u32 = 1 << 7;

/// Marks this process. Where that does not work, [`works_below`] tells the hook so.
pub(crate) fn set() {
    let _ = set_at(Path::new("/proc/self"));
}

/// Whether the process at `process`, a folder in `/proc`, has the mark.
pub(crate) fn is_at(process: &Path) -> io::Result<bool> {
    Ok(read(process)? & BIT != 0)
}

/// Whether a process of this container can be told by the mark: this one, which the container's runtime started as well,
/// came without it and can set it. `proc` is where `/proc` is mounted.
pub(crate) fn works_below(proc: &Path) -> bool {
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
    fn a_marked_process_is_told_from_others_where_the_kernel_keeps_the_filter() {
        let proc = tempfile::tempdir().unwrap();
        let (own, other) = (proc.path().join("self"), proc.path().join("1"));
        assert!(!works_below(proc.path()), "there is no filter");
        for process in [&own, &other] {
            fs::create_dir(process).unwrap();
            fs::write(process.join(FILTER), "00000033\n").unwrap();
        }
        // The kernel reads what is written in any base and shows it as hexadecimal digits alone.
        assert!(!works_below(proc.path()), "what was written is not read back");
        assert!(!is_at(&other).unwrap());
        fs::write(other.join(FILTER), "000000b3\n").unwrap();
        assert!(is_at(&other).unwrap());
        fs::write(own.join(FILTER), "000001ff\n").unwrap();
        assert!(!works_below(proc.path()), "it came with the mark, so the mark says nothing");
    }
}
