//! The `bootlace` binary: parses the command line and dispatches to a role.

use std::process::ExitCode;

use bootlace::cli::Cli;
use clap::Parser as _;

fn main() -> ExitCode {
    Cli::parse().run()
}
