//! A program within the memory that the chart gives it: a group of the kernel's, and the peak.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

/// A memory limit in the chart's default values, in bytes.
pub(crate) fn memory_limit(pointer: &str) -> u64 {
    let values: Value = serde_saphyr::from_str(include_str!("../../charts/bootlace/values.yaml")).unwrap();
    let limit = values.pointer(pointer).and_then(Value::as_str).unwrap();
    bootlace_core::quantity::Quantity::parse(limit).unwrap().units()
}

/// A group of the kernel's that one process is put into, with a limit on its memory.
pub(crate) struct Group(PathBuf);

impl Group {
    /// `None` where this process may not make one: then only the peak is looked at.
    pub(crate) fn of(pid: u32, limit: u64) -> Option<Self> {
        let name = format!("bootlace-test-{pid}");
        let v1 = PathBuf::from("/sys/fs/cgroup/memory");
        let (folder, file) = if v1.exists() {
            (v1.join(name), "memory.limit_in_bytes")
        } else {
            (PathBuf::from("/sys/fs/cgroup").join(name), "memory.max")
        };
        fs::create_dir(&folder).ok()?;
        let group = Self(folder);
        fs::write(group.0.join(file), limit.to_string()).ok()?;
        fs::write(group.0.join("cgroup.procs"), pid.to_string()).ok()?;
        Some(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Empty only once the process has gone; a folder that stays costs nothing.
        let _ = fs::remove_dir(&self.0);
    }
}

/// The peak of what a process held, without the pages of its own file, which the kernel takes back at will; in bytes.
pub(crate) fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the program is alive");
    let kilobytes = |field: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(field)).expect(field);
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    kilobytes("VmHWM:").saturating_sub(kilobytes("RssFile:")) * 1024
}

/// Begins a new peak.
pub(crate) fn forget_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
}

/// What `hostile` did, as a row of the table.
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
