//! The command line: one subcommand a role, and the offline tools.

mod certs;
mod crds;
mod explain;
mod inject;
mod manifest;
mod offline;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{boot, sidecar, store, wait, webhook};

/// Gives every task pod its boot process.
#[derive(Debug, Parser)]
#[command(version, about, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fetch a task's env and files: what the injected init container runs.
    Boot(boot::BootCommandArgs),
    /// Wait for what earlier tasks hand over: what the init containers in front of boot run.
    Wait(wait::WaitArgs),
    /// Have a pod's outputs stored: what the injected sidecar runs.
    Pipe(sidecar::SidecarArgs),
    /// Serve admission reviews to an API server.
    Webhook(Box<webhook::WebhookArgs>),
    /// Create for task pods what they may not create themselves.
    Store(store::StoreArgs),
    /// Inject manifests offline, with the webhook's own engine.
    Inject(inject::InjectArgs),
    /// Tell in words why a pod is or is not injected, and what each part is for.
    Explain(explain::ExplainArgs),
    /// Make, show and renew serving certificates.
    Certs(certs::CertsArgs),
    /// Print the custom resource definitions.
    Crds(crds::CrdsArgs),
}

impl Cli {
    /// Runs the chosen subcommand.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let result = match self.command {
            Command::Boot(args) => return boot::run(&args),
            Command::Wait(args) => return wait::run(&args),
            Command::Pipe(args) => return sidecar::run(&args),
            Command::Webhook(args) => webhook::run(&args),
            Command::Store(args) => store::run(&args),
            Command::Certs(args) => certs::run(&args),
            Command::Inject(args) => inject::run(&args),
            Command::Explain(args) => explain::run(&args),
            Command::Crds(args) => crds::run(&args),
        };
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("bootlace: {error:#}");
                ExitCode::FAILURE
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
