//! The launcher that lies in pods with a postStart `httpGet`: it has the TLS that the hook takes for one, and is all else
//! that [`bootlace_launch::launcher`] is.

mod tls;

use std::process::ExitCode;

fn main() -> ExitCode {
    bootlace_launch::launcher::main(Some(tls::speak))
}
