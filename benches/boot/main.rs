//! What a boot costs, against the plain client that a user would write instead: `cargo bench --bench boot`.
//!
//! Both are processes of their own, fetch the same from the same server, and write to a file system in memory. They
//! run in turns; told are the medians of their wall times, the median of the ratios pair by pair, and the largest
//! process's peak memory as the kernel counted it.
//!
//! `BOOTLACE_BIN` names another binary to measure, such as the image's.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench fails by panicking"
)]
#![allow(clippy::cast_precision_loss, reason = "times and sizes far below what a float holds exactly")]

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

/// Pairs of runs for each row: some plain clients take many seconds.
const ROUNDS: usize = 5;
/// And where both take milliseconds.
const SHORT_ROUNDS: usize = 31;
/// The launcher that boot copies is about as large.
const LAUNCHER_BYTES: usize = 440_000;

fn main() {
    // This program again, around one command.
    if let [_, role, command @ ..] = std::env::args_os().collect::<Vec<_>>().as_slice()
        && role == "measure"
    {
        return measure::run(command);
    }
    // `cargo bench --bench boot -- S3` measures the rows that hold the word.
    let only = std::env::args().skip(1).find(|word| !word.starts_with('-')).unwrap_or_default();
    let (servers, stores) = (hosts::Servers::start(), clients::Stores::install());
    let mounts = Container::new();
    println!("| fetched | boot | plain client | ratio | memory of boot | of the client |");
    println!("|---|---:|---:|---:|---:|---:|");
    for row in sources::rows(&servers, &stores, &mounts) {
        if !row.what.contains(&only) {
            continue;
        }
        let (boot, plain, ratio) = compare(&row, ROUNDS);
        println!(
            "| {} | {} | {} | {ratio:.2} | {:.1} MB | {:.1} MB |",
            row.what,
            millis(boot.wall),
            millis(plain.wall),
            boot.megabytes(),
            plain.megabytes()
        );
    }
    let nothing = Row { what: "inline", source: sources::inline(), plain: "exec true".to_owned() };
    let (boot, plain, _) = compare(&nothing, SHORT_ROUNDS);
    println!(
        "\nFrom inline sources (10 variables, 10 files) to exit: {} and {:.1} MB; an empty process {}.",
        millis(boot.wall),
        boot.megabytes(),
        millis(plain.wall)
    );
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

/// Medians of both, and of the ratios of their wall times.
fn compare(row: &Row, rounds: usize) -> (Measured, Measured, f64) {
    // One more than is counted, so that both find what they need in the page cache.
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

/// A shell's command line, in an empty folder.
fn plain(line: &str) -> Measured {
    let folder = Folder::new();
    let line = format!("set -o pipefail; cd '{}'; {line}", folder.path().display());
    measure::measured(&mut measure::command(&["bash", "-c", &line]))
}

/// A folder in memory, as the boot volume is.
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
