//! The launcher of most pods. It sends nothing over the network, and links no code for that.

use std::process::ExitCode;

fn main() -> ExitCode {
    bootlace_launch::launcher::main(None)
}
