//! Time and memory of one process. The kernel tells the peak memory of all children that a process has waited for, so
//! each is started by a process that starts no other.

use std::ffi::OsString;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

/// What a process took.
pub(crate) struct Measured {
    /// From its start to its end.
    pub(crate) wall: Duration,
    /// Peak memory, in kibibytes: of the largest, where it started others.
    kibibytes: f64,
}

impl Measured {
    pub(crate) fn megabytes(&self) -> f64 {
        self.kibibytes * 1024.0 / 1e6
    }

    /// The median of each.
    pub(crate) fn median(all: &[Self]) -> Self {
        let (mut walls, mut sizes): (Vec<_>, Vec<_>) =
            all.iter().map(|one| (one.wall, one.kibibytes)).unzip();
        walls.sort_unstable();
        sizes.sort_by(f64::total_cmp);
        Self { wall: walls[walls.len() / 2], kibibytes: sizes[sizes.len() / 2] }
    }
}

/// A command to be measured.
pub(crate) fn command(words: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("measure").args(words);
    command
}

/// Measures it.
pub(crate) fn measured(command: &mut Command) -> Measured {
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{command:?} failed");
    let told = String::from_utf8(output.stdout).unwrap();
    let (nanos, kibibytes) = told.trim().split_once(' ').unwrap();
    Measured { wall: Duration::from_nanos(nanos.parse().unwrap()), kibibytes: kibibytes.parse().unwrap() }
}

/// What the process in between does.
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
