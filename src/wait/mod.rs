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
use std::time::Duration;

use bootlace_launch::termination;
use futures::future::try_join_all;

pub use error::WaitError;

use crate::server::logs::{self, LogArgs};
use crate::server::process::{self, Termination};
use crate::store::client::{Client, token_file};
use crate::store::protocol::{EventKind, MAX_NOTE_BYTES};
use bootlace_core::code::Coded as _;
use bootlace_core::input::{AwaitedOutput, WaitSpec};
use bootlace_core::json_error;
use bootlace_core::names;

/// How long an Event may take. The termination message says the same.
const EVENT_TIME: Duration = Duration::from_secs(5);

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
    let message = format!("bootlace: {error}");
    let code = error.code();
    // Without the file there is nobody else to tell; the log still says it.
    let _ = termination::write(&args.termination_log, &code.append_to(&message, termination::MAX_BYTES));
    eprintln!("{message} [{code}]");
    error.exit_code().into()
}

async fn wait(args: &WaitArgs, told: Option<&str>) -> Result<(), WaitError> {
    // Before anything else: a process that is the first of its container does not end by a signal that it does not await.
    let mut end = Termination::new().map_err(WaitError::Start)?;
    let spec: WaitSpec<'_> = serde_json::from_str(told.ok_or(WaitError::NoSpec)?)
        .map_err(|error| WaitError::Spec(json_error::describe(&error)))?;
    let client = Client::new(&spec.store, &args.store_token)?;
    let all = try_join_all(spec.awaits.iter().map(|awaits| one(args, &client, awaits)));
    let waited = tokio::select! {
        waited = all => waited,
        _ = end.recv() => return Err(WaitError::Ended),
    };
    if let Err(error) = &waited {
        let note = error.code().append_to(&error.to_string(), MAX_NOTE_BYTES);
        if let Err(error) = client.report(EventKind::WaitFailed, note, EVENT_TIME).await {
            tracing::warn!(%error, "failed to record an Event");
        }
    }
    waited.map(drop)
}

async fn one(args: &WaitArgs, client: &Client<'_>, awaits: &AwaitedOutput) -> Result<(), WaitError> {
    let files = poll_store::stored(client, awaits).await?;
    if args.look { wait_for_volume::arrived(&args.root, awaits, &files).await } else { Ok(()) }
}
