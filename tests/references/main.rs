//! The generated reference pages in `docs/`: the custom resources, the metrics, the command line and the
//! schedulers; the guides for schedulers; and the links, imports, circles and sizes of the files of the
//! repository.
//!
//! Each page is rendered from the definitions that the programs use and compared with the file.
//! `make references` writes the files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod circles;
mod cli;
mod guides;
mod imports;
mod links;
mod markdown;
mod metrics;
mod names;
mod resources;
mod schedulers;
mod sources;

use std::fs;
use std::path::Path;

/// The variable that writes the pages instead of comparing them.
const UPDATE: &str = "UPDATE_REFERENCES";

/// Compares a page with `docs/NAME`, or writes it.
fn check(name: &str, page: &str) {
    let path = Path::new(env!("BOOTLACE_ROOT")).join("docs").join(name);
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, page).unwrap();
        return;
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    let differing = written.lines().zip(page.lines()).position(|(left, right)| left != right);
    assert!(
        written == page,
        "docs/{name} differs from line {}: run `make references` and commit the result",
        differing.unwrap_or_else(|| written.lines().count().min(page.lines().count())) + 1
    );
}

#[test]
fn bootprofile_page_matches_the_crd() {
    check("bootprofile.md", &resources::page("BootProfile", "bootprofiles"));
}

#[test]
fn pipe_page_matches_the_crd() {
    check("pipe.md", &resources::page("Pipe", "pipes"));
}

#[test]
fn abort_page_matches_the_crd() {
    check("abort.md", &resources::page("Abort", "aborts"));
}

#[test]
fn metrics_page_matches_the_registries() {
    check("metrics.md", &metrics::page());
}

#[test]
fn cli_page_matches_the_command_line() {
    check("cli.md", &cli::page());
}
