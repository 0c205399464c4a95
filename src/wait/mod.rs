//! What the init containers of a pod run that takes what no earlier task has handed over yet: `bootlace wait`.
//!
//! ```text
//! BOOTLACE_WAIT → the store, until it is stored → (container's end: the kubelet looks at the volumes again) → the volumes
//! ```
//!
//! | step | module | what it answers |
//! |---|---|---|
//! | ask | `ask` | is it stored, and has it the files that the pod names |
//! | look | `look` | does the pod's volume hold it (`--look`: the second container) |
//! | tell | `error` | why the task cannot start, and what to change |
//!
//! Nothing of the content passes through here: the pod's spec names the object, and the kubelet brings it.

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
use crate::store_client::protocol::EventKind;
use crate::store_client::{EVENT_TIMEOUT, StoreClient, token_file};
use bootlace_core::input::{AwaitedOutput, WaitSpec};
use bootlace_core::json_error;
use bootlace_core::names;

/// The command line of `bootlace wait`. What to wait for comes in the env (`BOOTLACE_WAIT`), and the flags are there to
/// try it without a pod.
#[derive(clap::Args, Clone, Debug)]
pub struct WaitArgs {
    /// Look whether the pod's volumes hold what is waited for: the container before this one has waited.
    #[arg(long)]
    look: bool,
    /// Where these volumes are mounted.
    #[arg(long, default_value = names::MOUNT_AWAITED, value_name = "DIR")]
    root: PathBuf,
    /// The token by which the store knows the pod.
    #[arg(long, default_value_os_t = token_file(), value_name = "FILE")]
    store_token: PathBuf,
    /// The container's termination message; it is not created.
    #[arg(long, default_value = termination::LOG, value_name = "FILE")]
    termination_log: PathBuf,
    #[command(flatten)]
    logs: LogArgs,
}

/// Waits as the process's env says. Where it does not come, the same sentence is the log's last line, the termination
/// message, and an Event on the pod. The exit codes are those of [`WaitError::exit_code`].
#[must_use]
pub fn run(args: &WaitArgs) -> ExitCode {
    logs::start(&args.logs);
    let waited = process::runtime()
        .map_err(WaitError::Start)
        .and_then(|runtime| runtime.block_on(wait(args, std::env::var(names::ENV_WAIT).ok().as_deref())));
    let Err(error) = waited else { return ExitCode::SUCCESS };
    let sentence = format!("bootlace: {error}");
    // Without the file there is nobody else to tell; the log still says it.
    let _ = termination::write(&args.termination_log, &sentence);
    eprintln!("{sentence}");
    error.exit_code().into()
}

async fn wait(args: &WaitArgs, told: Option<&str>) -> Result<(), WaitError> {
    // Before anything else: a process that is the first of its container does not end by a signal that it does not await.
    let mut end = Termination::new().map_err(WaitError::Start)?;
    let spec: WaitSpec<'_> = serde_json::from_str(told.ok_or(WaitError::NoSpec)?)
        .map_err(|error| WaitError::Spec(json_error::describe(&error)))?;
    let client = StoreClient::new(&spec.store, &args.store_token)?;
    let all = try_join_all(spec.awaits.iter().map(|awaits| one(args, &client, awaits)));
    let waited = tokio::select! {
        waited = all => waited,
        _ = end.recv() => return Err(WaitError::Ended),
    };
    if let Err(error) = &waited
        && let Err(untold) = client.report(EventKind::WaitFailed, error.to_string(), EVENT_TIMEOUT).await
    {
        tracing::warn!(%untold, "no Event tells of it");
    }
    waited.map(drop)
}

async fn one(args: &WaitArgs, client: &StoreClient<'_>, awaits: &AwaitedOutput) -> Result<(), WaitError> {
    let files = poll_store::stored(client, awaits).await?;
    if args.look { wait_for_volume::arrived(&args.root, awaits, &files).await } else { Ok(()) }
}
