//! The `bootlace` program.

use std::process::ExitCode;

use bootlace::cli::Cli;
use clap::Parser as _;

// The allocator of musl returns memory to the kernel after each use. With it, a review needs more than three
// times the CPU time (238 µs instead of 76 µs). This allocator needs 1 MB more memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    Cli::parse().run()
}
