//! From start to exec: what the launcher adds to the start of a task.
//!
//! The task is the smallest there is: the launcher's own `--version`. It is started alone with the env that it ends up with,
//! and with the launcher in front of it, which makes that env, in turns; the difference of the medians is the launcher's.
//! The goal is under 1 ms.
//!
//! `cargo bench -p bootlace-launch` builds the binary as the image ships it and measures that one. std's clock
//! and a median are enough here: a harness measures its own process, and this is about others'.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bootlace_launch::environ::{self, Record};
use bootlace_launch::layout;

#[path = "../tests/process/shipped.rs"]
mod shipped;

const ROUNDS: usize = 500;

/// Variables that the container has without the boot env.
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
            // From start to end, with an output that there is nothing to wait for.
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
