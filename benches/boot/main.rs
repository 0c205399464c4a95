//! The cost of a boot, compared with the commands that a user would write instead:
//! `cargo bench --bench boot`.
//!
//! Both are separate processes, fetch the same content from the same server, and write to a file system in
//! memory. They run in turns. The results are the medians of their wall times, the median of the ratios of
//! each pair, and the peak memory of the largest process.
//!
//! `BOOTLACE_BIN` names another binary to measure, such as that of the image.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark fails by panicking"
)]
#![allow(clippy::cast_precision_loss, reason = "times and sizes are far below 2^52")]

mod clients;
mod content;
mod hosts;
mod measure;
#[path = "../../tests/boot/http/server.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod server;
mod sources;
#[path = "../../tests/boot/support.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod support;

use std::path::PathBuf;
use std::time::Duration;

use measure::Measured;
use serde_json::{Value, json};
use sources::Row;
use support::Container;

/// The number of pairs of runs for each row. Some clients run for many seconds.
const ROUNDS: usize = 5;
/// The number of pairs of runs that last for milliseconds.
const SHORT_ROUNDS: usize = 31;
/// The approximate size of the launcher, which boot copies.
const LAUNCHER_BYTES: usize = 440_000;

fn main() {
    // This program also runs and measures a single command.
    if let [_, role, command @ ..] = std::env::args_os().collect::<Vec<_>>().as_slice()
        && role == "measure"
    {
        return measure::run(command);
    }
    // `cargo bench --bench boot -- S3` measures only the rows that contain the word.
    let only = std::env::args().skip(1).find(|word| !word.starts_with('-')).unwrap_or_default();
    let (servers, stores) = (hosts::Servers::start(), clients::Stores::install());
    let mounts = Container::new();
    println!("| fetched | boot | client | ratio | memory of boot | memory of the client |");
    println!("|---|---:|---:|---:|---:|---:|");
    for row in sources::rows(&servers, &stores, &mounts) {
        if !row.title.contains(&only) {
            continue;
        }
        let (boot, plain, ratio) = compare(&row, ROUNDS);
        println!(
            "| {} | {} | {} | {ratio:.2} | {:.1} MB | {:.1} MB |",
            row.title,
            millis(boot.wall),
            millis(plain.wall),
            boot.megabytes(),
            plain.megabytes()
        );
    }
    let inline = Row { title: "inline", source: sources::inline(), plain: "exec true".to_owned() };
    let (boot, plain, _) = compare(&inline, SHORT_ROUNDS);
    println!(
        "\nA boot from inline sources (10 variables, 10 files) needs {} and {:.1} MB. An empty process needs {}.",
        millis(boot.wall),
        boot.megabytes(),
        millis(plain.wall)
    );
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

/// The medians of both sides, and of the ratios of their wall times.
fn compare(row: &Row, rounds: usize) -> (Measured, Measured, f64) {
    // The first round is not counted: it fills the page cache.
    let pairs: Vec<_> = (0..=rounds).map(|_| (boot(&row.source), plain(&row.plain))).skip(1).collect();
    let mut ratios: Vec<_> =
        pairs.iter().map(|(boot, plain)| boot.wall.as_secs_f64() / plain.wall.as_secs_f64()).collect();
    ratios.sort_by(f64::total_cmp);
    let (boots, plains): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    (Measured::median(&boots), Measured::median(&plains), ratios[rounds / 2])
}

fn boot(source: &Value) -> Measured {
    let volume = Folder::new();
    let launcher = volume.beside("launcher");
    std::fs::write(&launcher, vec![0; LAUNCHER_BYTES]).unwrap();
    let spec = json!({
        "task": {}, "profile": {"name": "bench", "generation": 1}, "timeoutSeconds": 120,
        "sources": [source], "keep": {"base": []},
    });
    let binary = std::env::var("BOOTLACE_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_bootlace").to_owned());
    let mut command = measure::command(&[&binary, "boot"]);
    command.arg("--root").arg(volume.path()).arg("--launcher").arg(launcher);
    measure::measured(command.arg("--termination-log=/dev/null").env("BOOTLACE_SPEC", spec.to_string()))
}

/// Measures a command of the shell, in an empty folder.
fn plain(line: &str) -> Measured {
    let folder = Folder::new();
    let line = format!("set -o pipefail; cd '{}'; {line}", folder.path().display());
    measure::measured(&mut measure::command(&["bash", "-c", &line]))
}

/// A folder in memory, like the boot volume.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        std::fs::create_dir(folder.path().join("volume")).unwrap();
        Self(folder)
    }

    fn path(&self) -> PathBuf {
        self.beside("volume")
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}
