//! The launcher of pods with an `httpGet` postStart handler: [`bootlace_launch::launcher`] with TLS.

mod tls;

use std::process::ExitCode;

fn main() -> ExitCode {
    bootlace_launch::launcher::main(Some(tls::connect))
}
