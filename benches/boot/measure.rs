//! Measures time and memory of a process. The kernel reports the peak memory of all children that a process
//! has waited for, so each measured process has a separate parent.

use std::ffi::OsString;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

/// The measurements of a process.
pub(crate) struct Measured {
    /// The time from start to exit.
    pub(crate) wall: Duration,
    /// The peak memory in kibibytes, of the largest process if it has started others.
    kibibytes: f64,
}

impl Measured {
    pub(crate) fn megabytes(&self) -> f64 {
        self.kibibytes * 1024.0 / 1e6
    }

    /// The medians of both values.
    pub(crate) fn median(all: &[Self]) -> Self {
        let (mut walls, mut sizes): (Vec<_>, Vec<_>) =
            all.iter().map(|one| (one.wall, one.kibibytes)).unzip();
        walls.sort_unstable();
        sizes.sort_by(f64::total_cmp);
        Self { wall: walls[walls.len() / 2], kibibytes: sizes[sizes.len() / 2] }
    }
}

/// A command to measure.
pub(crate) fn command(words: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("measure").args(words);
    command
}

/// Runs and measures a command.
pub(crate) fn measured(command: &mut Command) -> Measured {
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{command:?} failed");
    let stdout = String::from_utf8(output.stdout).unwrap();
    let (nanos, kibibytes) = stdout.trim().split_once(' ').unwrap();
    Measured { wall: Duration::from_nanos(nanos.parse().unwrap()), kibibytes: kibibytes.parse().unwrap() }
}

/// The parent process: runs the command, and prints the measurements.
pub(crate) fn run(command: &[OsString]) {
    let (program, arguments) = command.split_first().unwrap();
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let started = Instant::now();
    let output = command.output().unwrap();
    let wall = started.elapsed();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    println!("{} {}", wall.as_nanos(), getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss());
}
