//! The memory that boot may use. Files on a volume in memory count as memory of boot, and the kernel kills a
//! container that exceeds its limit without a message. So boot checks its cgroup before it writes, and fails
//! with a message.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

/// Mount path of the container's cgroup.
pub(crate) const CGROUP: &str = "/sys/fs/cgroup";

/// Margin for the kernel's accounting, whose counters lag by some pages for each CPU.
const MARGIN: u64 = 1 << 20;

/// The memory that is left in the cgroup of this process.
#[derive(Debug, Default)]
pub(crate) struct MemoryBudget {
    group: Option<Group>,
    /// Bytes that can be used before the cgroup is read again.
    reserved: Cell<u64>,
}

/// A memory cgroup with a limit, and the file names of its cgroup version.
#[derive(Debug)]
struct Group {
    folder: PathBuf,
    usage: &'static str,
    /// The page cache, which the kernel drops when it needs memory.
    files: [&'static str; 2],
    limit: u64,
}

/// The limit does not leave enough memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemoryExhausted {
    /// The limit.
    pub(crate) limit: u64,
    /// The memory in use.
    pub(crate) used: u64,
    /// The additional memory that is needed.
    pub(crate) wanted: u64,
}

impl MemoryBudget {
    /// Reads the cgroup mounted at `root`. There is no limit if the cgroup has none or cannot be read.
    pub(crate) fn read(root: &Path) -> Self {
        Self { group: version_2(root).or_else(|| version_1(&root.join("memory"))), reserved: Cell::new(0) }
    }

    /// Reserves `bytes`, if so much memory is left.
    pub(crate) fn reserve(&self, bytes: u64) -> Result<(), MemoryExhausted> {
        let reserved = self.reserved.get();
        if self.group.is_none() || bytes <= reserved {
            self.reserved.set(reserved.saturating_sub(bytes));
            return Ok(());
        }
        let left = self.left_for(bytes)?;
        // The process itself may grow meanwhile.
        self.reserved.set((left / 4).saturating_sub(bytes));
        Ok(())
    }

    /// Checks whether `bytes` could be reserved.
    pub(crate) fn check(&self, bytes: u64) -> Result<(), MemoryExhausted> {
        self.left_for(bytes).map(drop)
    }

    fn left_for(&self, bytes: u64) -> Result<u64, MemoryExhausted> {
        let Some(group) = &self.group else { return Ok(u64::MAX) };
        // A cgroup that can no longer be read does not fail the boot.
        let Some(used) = group.used() else { return Ok(u64::MAX) };
        let left = group.limit.saturating_sub(MARGIN).saturating_sub(used);
        if bytes > left { Err(MemoryExhausted { limit: group.limit, used, wanted: bytes }) } else { Ok(left) }
    }
}

impl Group {
    fn used(&self) -> Option<u64> {
        let usage = number(&self.folder.join(self.usage))?;
        let stat = fs::read_to_string(self.folder.join("memory.stat")).ok()?;
        let files = self.files.iter().filter_map(|name| field(&stat, name)).sum();
        Some(usage.saturating_sub(files))
    }
}

fn version_2(folder: &Path) -> Option<Group> {
    let limit = number(&folder.join("memory.max"))?;
    let folder = folder.to_owned();
    Some(Group { folder, usage: "memory.current", files: ["inactive_file", "active_file"], limit })
}

fn version_1(folder: &Path) -> Option<Group> {
    /// Without a limit, the file contains the largest multiple of the page size.
    const UNLIMITED: u64 = 1 << 62;
    let stat = fs::read_to_string(folder.join("memory.stat")).ok()?;
    // The lowest limit in the hierarchy, which includes that of the pod.
    let limit = field(&stat, "hierarchical_memory_limit").filter(|limit| *limit < UNLIMITED)?;
    let folder = folder.to_owned();
    let files = ["total_inactive_file", "total_active_file"];
    Some(Group { folder, usage: "memory.usage_in_bytes", files, limit })
}

/// Parses a file with a number. `max`, which means no limit, is not a number.
fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn field(stat: &str, name: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn write(folder: &Path, files: &[(&str, String)]) {
        fs::create_dir_all(folder).unwrap();
        for (name, content) in files {
            fs::write(folder.join(name), format!("{content}\n")).unwrap();
        }
    }

    fn version_2_with(limit: &str, used: u64, files: u64) -> (tempfile::TempDir, MemoryBudget) {
        let root = tempfile::tempdir().unwrap();
        write(
            root.path(),
            &[
                ("memory.max", limit.to_owned()),
                ("memory.current", used.to_string()),
                ("memory.stat", format!("anon 1\ninactive_file {}\nactive_file {}", files / 2, files / 2)),
            ],
        );
        let memory = MemoryBudget::read(root.path());
        (root, memory)
    }

    #[test]
    fn memory_beyond_the_limit_is_not_reserved() {
        let (_root, memory) = version_2_with(&(64 * MIB).to_string(), 40 * MIB, 10 * MIB);
        assert_eq!(memory.reserve(20 * MIB), Ok(()));
        let (limit, used, wanted) = (64 * MIB, 30 * MIB, 34 * MIB);
        assert_eq!(memory.reserve(wanted), Err(MemoryExhausted { limit, used, wanted }));
        assert_eq!(memory.check(33 * MIB), Ok(()));
        assert_eq!(memory.check(wanted), Err(MemoryExhausted { limit, used, wanted }));
    }

    #[test]
    fn small_reservations_are_counted_between_two_reads_of_the_cgroup() {
        let (root, memory) = version_2_with(&(64 * MIB).to_string(), 30 * MIB, 0);
        let mut taken = 0;
        while memory.reserve(16 * 1024).is_ok() {
            taken += 16 * 1024;
            // As the kernel would count them.
            fs::write(root.path().join("memory.current"), (30 * MIB + taken).to_string()).unwrap();
        }
        assert!((32 * MIB..=33 * MIB).contains(&taken), "{taken}");
    }

    #[test]
    fn the_lower_limit_of_the_pod_applies_if_it_is_visible() {
        let root = tempfile::tempdir().unwrap();
        let limit = format!("hierarchical_memory_limit {}", 32 * MIB);
        write(
            &root.path().join("memory"),
            &[
                ("memory.limit_in_bytes", (96 * MIB).to_string()),
                ("memory.usage_in_bytes", (20 * MIB).to_string()),
                ("memory.stat", format!("{limit}\ntotal_inactive_file {MIB}\ntotal_active_file 0")),
            ],
        );
        let memory = MemoryBudget::read(root.path());
        let exhausted = memory.reserve(13 * MIB).unwrap_err();
        assert_eq!((exhausted.limit, exhausted.used), (32 * MIB, 19 * MIB));
        assert_eq!(memory.reserve(12 * MIB), Ok(()));
    }

    #[test]
    fn without_a_limit_or_a_cgroup_any_amount_is_reserved() {
        let (_root, memory) = version_2_with("max", MIB, 0);
        assert_eq!(memory.reserve(u64::MAX), Ok(()));
        assert_eq!(MemoryBudget::read(Path::new("/nowhere")).reserve(u64::MAX), Ok(()));
        let root = tempfile::tempdir().unwrap();
        write(
            &root.path().join("memory"),
            &[
                ("memory.usage_in_bytes", MIB.to_string()),
                ("memory.stat", "hierarchical_memory_limit 9223372036854771712".to_owned()),
            ],
        );
        assert_eq!(MemoryBudget::read(root.path()).reserve(u64::MAX), Ok(()));
    }
}
