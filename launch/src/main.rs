//! The launcher that lies in every task's pod. It sends nothing over the network, and links nothing that could.

use std::process::ExitCode;

fn main() -> ExitCode {
    bootlace_launch::launcher::main(None)
}
