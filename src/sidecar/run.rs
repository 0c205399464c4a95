//! The process of the sidecar: `bootlace pipe`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::time::timeout;

use super::remote_store::RemoteStore;
use super::{serve, shared_volume};
use crate::process::logs::{self, LogArgs};
use crate::process::{self, Termination};
use crate::store_client::token_file;
use bootlace_core::names;
use bootlace_core::output::SidecarConfig;

/// The command line of `bootlace pipe`. What to store comes in the env (`BOOTLACE_PIPES`), and the flags are there to
/// try it without a pod.
#[derive(clap::Args, Clone, Debug)]
pub struct SidecarArgs {
    /// Where the volume is mounted that launchers hand over on.
    #[arg(long, default_value = names::MOUNT_RUN, value_name = "DIR")]
    root: PathBuf,
    /// Where the pod's own volumes are mounted, for tasks that no launcher starts.
    #[arg(long, default_value = names::MOUNT_SHARED, value_name = "DIR")]
    shared: PathBuf,
    /// The token by which the store knows the pod.
    #[arg(long, default_value_os_t = token_file(), value_name = "FILE")]
    store_token: PathBuf,
    #[command(flatten)]
    logs: LogArgs,
}

/// Has the pod's outputs stored until SIGTERM, or until there can be none any more. The exit code is 0 whatever happens:
/// schedulers read those of sidecars as if they were the task's, and what went wrong is told to the launcher and in an
/// Event.
#[must_use]
pub fn run(args: &SidecarArgs) -> ExitCode {
    logs::start(&args.logs);
    let told = parse_config(std::env::var(names::ENV_PIPES).ok().as_deref());
    if let Err(error) = process::runtime().and_then(|runtime| runtime.block_on(sidecar(args, told))) {
        tracing::error!("{error:#}");
    }
    ExitCode::SUCCESS
}

async fn sidecar(args: &SidecarArgs, told: Result<SidecarConfig<'static>, SpecError>) -> anyhow::Result<()> {
    // Before anything else: a process that is the first of its container does not end by a signal that it does not await.
    let mut end = Termination::new()?;
    let told_to_end = async {
        end.recv().await;
    };
    let told_to_end = told_to_end.shared();
    let over = match told {
        Ok(told) => store(args, &told, told_to_end.clone()).await,
        Err(error) => {
            tracing::error!("{error}");
            false
        }
    };
    // One that ended before its time would be started again and again, and none of it would help.
    if !over {
        told_to_end.await;
    }
    Ok(())
}

/// Gives whether there is nothing more to come.
async fn store(
    args: &SidecarArgs,
    told: &SidecarConfig<'_>,
    told_to_end: impl Future<Output = ()> + Clone,
) -> bool {
    let store = RemoteStore::new(told, &args.store_token);
    let grace = Duration::from_secs(told.grace_seconds.into());
    let launched = told.outputs.iter().filter(|output| output.shared_file.is_none());
    let launched: BTreeSet<_> = launched.map(|output| output.container.clone()).collect();
    let launched: Vec<_> = launched.into_iter().collect();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        outputs = told.outputs.len(),
        "waiting for the outputs of {}",
        told.task.describe()
    );

    let handed_over = async {
        if launched.is_empty() {
            return false;
        }
        let served = serve(&args.root, &launched, told.ends, &store, told_to_end.clone(), grace).await;
        served.inspect_err(|error| tracing::error!("{error}")).unwrap_or_default()
    };
    let left_behind = async {
        if told.outputs.iter().all(|output| output.shared_file.is_none()) {
            return;
        }
        told_to_end.clone().await;
        if timeout(grace, shared_volume::store(&args.shared, &told.outputs, &store)).await.is_err() {
            let seconds = grace.as_secs();
            tracing::warn!(seconds, "outputs on shared volumes were not stored within the pod's grace");
        }
    };
    let (over, ()) = tokio::join!(handed_over, left_behind);
    over
}

fn parse_config(told: Option<&str>) -> Result<SidecarConfig<'static>, SpecError> {
    serde_json::from_str(told.ok_or(SpecError::None)?)
        .map_err(|error| SpecError::Unreadable(error.to_string()))
}

/// What the webhook says cannot be used.
#[derive(Debug, thiserror::Error)]
enum SpecError {
    #[error("{name} is not set: the webhook sets it in the sidecar that it injects", name = names::ENV_PIPES)]
    None,
    #[error("{name} cannot be read: {0}; use an image of the webhook's own version", name = names::ENV_PIPES)]
    Unreadable(String),
}
