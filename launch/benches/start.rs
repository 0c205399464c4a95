//! The time that the launcher adds to the start of a task.
//!
//! The task is minimal: `--version` of the launcher. It is started alternately without the launcher, with the
//! complete env, and with the launcher, which creates that env. The difference of the medians is the time of
//! the launcher. The goal is less than 1 ms.
//!
//! `cargo bench -p bootlace-launch` builds and measures the binary of the image. The clock of std and a
//! median suffice: a benchmark harness measures its own process, and this benchmark measures other processes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bootlace_launch::environ::{self, Record};
use bootlace_launch::layout;

#[path = "../tests/process/shipped.rs"]
mod shipped;

const ROUNDS: usize = 500;

/// The number of variables that the container has without the boot env.
const OWN_VARIABLES: usize = 30;

/// An output that the task does not write.
const OUTPUT: &str = "--optional-output=Report:ConfigMap:no/such/file";

fn main() {
    let launcher = shipped::launcher();
    println!("launcher: {} bytes", fs::metadata(&launcher).unwrap().len());
    println!(
        "boot variables  fork+exec alone  with the launcher  added  supervised, added (median of {ROUNDS}, µs)"
    );
    for variables in [0, 10, 100, 1000] {
        let root = boot_volume(variables);
        let handover = tempfile::tempdir().unwrap();
        let mut alone = Vec::with_capacity(ROUNDS);
        let mut behind = Vec::with_capacity(ROUNDS);
        let mut below = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            alone.push(time(task(&launcher).envs(boot_env(variables)).arg("--version")));
            let root = format!("--root={}", root.path().display());
            let exec = ["exec", "--container=base", &root, "--"];
            behind.push(time(task(&launcher).args(exec).arg(&launcher).arg("--version")));
            // From start to exit, with an output that does not exist, so that there is nothing to store.
            let handover = format!("--handover={}", handover.path().display());
            let run = ["run", "--container=base", &root, &handover, "--deadline=60", OUTPUT, "--"];
            below.push(time(task(&launcher).args(run).arg(&launcher).arg("--version").stdin(Stdio::null())));
        }
        let (alone, behind, below) = (median(alone), median(behind), median(below));
        println!(
            "{variables:>14}  {:>15}  {:>17}  {:>5}  {:>17}",
            alone.as_micros(),
            behind.as_micros(),
            behind.saturating_sub(alone).as_micros(),
            below.saturating_sub(alone).as_micros()
        );
    }
}

fn boot_env(variables: usize) -> impl Iterator<Item = (String, &'static str)> {
    (0..variables).map(|number| (format!("BOOT_VARIABLE_{number:04}"), "a value of some thirty characters"))
}

fn boot_volume(variables: usize) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let variables: Vec<_> = boot_env(variables).collect();
    let records = variables.iter().map(|(name, value)| Record::new(name.as_ref(), value.as_ref()).unwrap());
    let bytes = environ::encode(records);
    fs::create_dir_all(root.path().join(layout::DIR_KEEP)).unwrap();
    fs::write(root.path().join(layout::FILE_ENVIRON), bytes).unwrap();
    fs::write(root.path().join(layout::DIR_KEEP).join("base"), "").unwrap();
    root
}

fn task(launcher: &Path) -> Command {
    let mut command = Command::new(launcher);
    command.env_clear().env("PATH", "/usr/bin:/bin").stdout(Stdio::null());
    command.envs((0..OWN_VARIABLES).map(|number| (format!("OWN_VARIABLE_{number}"), "a value")));
    command
}

fn time(command: &mut Command) -> Duration {
    let start = Instant::now();
    assert!(command.status().expect("the launcher runs").success());
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
