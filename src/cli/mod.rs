//! The command line: a subcommand for each role, the offline tools, and the list of tasks.

mod certs;
mod crds;
mod explain;
mod inject;
mod manifest;
mod offline;
mod tasks;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{boot, command_error, monitor, sidecar, store, wait, webhook};

/// Injects a boot process into task pods.
#[derive(Debug, Parser)]
#[command(version, about, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fetch the env and files of a task. Runs in the injected init container.
    Boot(boot::BootCommandArgs),
    /// Wait for outputs of earlier tasks. Runs in injected init containers before boot.
    Wait(wait::WaitArgs),
    /// Send the outputs of a task to the store. Runs in the injected sidecar.
    Pipe(sidecar::SidecarArgs),
    /// Run the admission webhook.
    Webhook(Box<webhook::WebhookArgs>),
    /// Run the store, which creates objects that task pods cannot create.
    Store(store::StoreArgs),
    /// Run the monitor, which fails task pods that do not start in time.
    Monitor(monitor::MonitorArgs),
    /// Inject manifests without a cluster, with the engine of the webhook.
    Inject(inject::InjectArgs),
    /// Explain why a pod is injected or not, and the purpose of each part.
    Explain(explain::ExplainArgs),
    /// Create, show and renew serving certificates.
    Certs(certs::CertsArgs),
    /// List the tasks of a cluster, and the state of each of them.
    Tasks(tasks::TasksArgs),
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
            Command::Monitor(args) => monitor::run(&args),
            Command::Certs(args) => certs::run(&args),
            Command::Inject(args) => inject::run(&args),
            Command::Explain(args) => explain::run(&args),
            Command::Tasks(args) => tasks::run(&args),
            Command::Crds(args) => crds::run(&args),
        };
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("bootlace: {error:#} [{}]", command_error::code(&error));
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
