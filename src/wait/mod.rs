//! `bootlace wait`, the program of the init containers that wait for an output of an earlier task.
//!
//! ```text
//! BOOTLACE_WAIT → the store, until the output is stored
//!               → (exit: the kubelet syncs the volumes) → the volumes
//! ```
//!
//! | step | module | responsibility |
//! |---|---|---|
//! | poll | `poll_store` | polls until the output is stored, and checks that it has the files that the pod names |
//! | volume | `wait_for_volume` | waits until the volumes contain the files (`--look`, in the second container) |
//! | report | `error` | why the task cannot start, and what to change |
//!
//! The content does not pass through this program: the pod spec names the object, and the kubelet mounts it.

mod error;
mod poll_store;
mod wait_for_volume;

use std::path::PathBuf;
use std::process::ExitCode;

use bootlace_launch::termination;
use futures::future::try_join_all;

pub use error::WaitError;

use crate::process::logs::{self, LogArgs};
use crate::process::{self, Termination};
use crate::store_client::protocol::{EventKind, MAX_NOTE_BYTES};
use crate::store_client::{EVENT_TIMEOUT, StoreClient, token_file};
use bootlace_core::code::Coded as _;
use bootlace_core::input::{AwaitedOutput, WaitSpec};
use bootlace_core::json_error;
use bootlace_core::names;

/// Arguments of `bootlace wait`. The configuration is in the env (`BOOTLACE_WAIT`); the flags exist to try it
/// without a pod.
#[derive(clap::Args, Clone, Debug)]
pub struct WaitArgs {
    /// Wait until the volumes of the pod contain the output; the container before this one has waited for the
    /// store.
    #[arg(long)]
    look: bool,
    /// Mount path of these volumes.
    #[arg(long, default_value = names::MOUNT_AWAITED, value_name = "DIR")]
    root: PathBuf,
    /// The token that identifies the pod to the store.
    #[arg(long, default_value_os_t = token_file(), value_name = "FILE")]
    store_token: PathBuf,
    /// The container's termination message. The file is not created.
    #[arg(long, default_value = termination::LOG, value_name = "FILE")]
    termination_log: PathBuf,
    #[command(flatten)]
    logs: LogArgs,
}

/// Waits with the env of the process. On failure, the error message is the last line of the log, the
/// termination message, and an Event on the pod. The exit codes are those of [`WaitError::exit_code`].
#[must_use]
pub fn run(args: &WaitArgs) -> ExitCode {
    logs::start(&args.logs);
    let waited = process::runtime()
        .map_err(WaitError::Start)
        .and_then(|runtime| runtime.block_on(wait(args, std::env::var(names::ENV_WAIT).ok().as_deref())));
    let Err(error) = waited else { return ExitCode::SUCCESS };
    let message = format!("bootlace: {error}");
    let code = error.code();
    // If the file does not exist, the log still contains the message.
    let _ = termination::write(&args.termination_log, &code.append_to(&message, termination::MAX_BYTES));
    eprintln!("{message} [{code}]");
    error.exit_code().into()
}

async fn wait(args: &WaitArgs, config: Option<&str>) -> Result<(), WaitError> {
    // Before anything else: the first process of a container ignores a signal without a handler.
    let mut end = Termination::new().map_err(WaitError::Start)?;
    let spec: WaitSpec<'_> = serde_json::from_str(config.ok_or(WaitError::NoSpec)?)
        .map_err(|error| WaitError::Spec(json_error::describe(&error)))?;
    let client = StoreClient::new(&spec.store, &args.store_token)?;
    let all = try_join_all(spec.awaits.iter().map(|awaits| wait_for(args, &client, awaits)));
    let waited = tokio::select! {
        waited = all => waited,
        _ = end.recv() => return Err(WaitError::Ended),
    };
    if let Err(error) = &waited {
        let note = error.code().append_to(&error.to_string(), MAX_NOTE_BYTES);
        if let Err(error) = client.report(EventKind::WaitFailed, note, EVENT_TIMEOUT).await {
            tracing::warn!(%error, "failed to record an Event");
        }
    }
    waited.map(drop)
}

async fn wait_for(
    args: &WaitArgs,
    client: &StoreClient<'_>,
    awaits: &AwaitedOutput,
) -> Result<(), WaitError> {
    let files = poll_store::wait_until_stored(client, awaits).await?;
    if args.look { wait_for_volume::wait_until_mounted(&args.root, awaits, &files).await } else { Ok(()) }
}
