//! Limits and measures the memory of a program, with the limits in the chart.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

/// A memory limit in the default values of the chart, in bytes.
pub(crate) fn memory_limit(pointer: &str) -> u64 {
    let values: Value = serde_saphyr::from_str(include_str!("../../charts/bootlace/values.yaml")).unwrap();
    let limit = values.pointer(pointer).and_then(Value::as_str).unwrap();
    bootlace_core::quantity::Quantity::parse(limit).unwrap().units()
}

/// A cgroup with a memory limit for one process.
pub(crate) struct Group(PathBuf);

impl Group {
    /// Returns `None` if this process is not allowed to create cgroups. Then only the peak is checked.
    pub(crate) fn of(pid: u32, limit: u64) -> Option<Self> {
        let name = format!("bootlace-test-{pid}");
        let v1 = PathBuf::from("/sys/fs/cgroup/memory");
        let (directory, file) = if v1.exists() {
            (v1.join(name), "memory.limit_in_bytes")
        } else {
            (PathBuf::from("/sys/fs/cgroup").join(name), "memory.max")
        };
        fs::create_dir(&directory).ok()?;
        let group = Self(directory);
        fs::write(group.0.join(file), limit.to_string()).ok()?;
        fs::write(group.0.join("cgroup.procs"), pid.to_string()).ok()?;
        Some(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Fails while the process runs. A cgroup that stays does no harm.
        let _ = fs::remove_dir(&self.0);
    }
}

/// The peak memory of a process in bytes, without the pages of its executable, which the kernel can reclaim.
pub(crate) fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the program is alive");
    let kilobytes = |field: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(field)).expect(field);
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    kilobytes("VmHWM:").saturating_sub(kilobytes("RssFile:")) * 1024
}

/// Resets the peak.
pub(crate) fn forget_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
}

/// Prints a row of the table of measurements.
#[allow(clippy::cast_precision_loss, reason = "bytes and milliseconds are far below 2^52")]
pub(crate) fn row(name: &str, bytes: usize, peak: u64, hostile: Duration, honest: Duration) {
    println!(
        "| {name} | {:.1} KB | {:.1} MB | {:.0} ms | {:.0} ms |",
        bytes as f64 / 1e3,
        peak as f64 / 1e6,
        hostile.as_secs_f64() * 1e3,
        honest.as_secs_f64() * 1e3
    );
}
