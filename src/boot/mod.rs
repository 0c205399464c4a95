//! `bootlace boot`, the program of the injected init container.
//!
//! ```text
//! BOOTLACE_SPEC → sources, all at once → merged in their order → the store → the volume
//! ```
//!
//! | step | module | responsibility |
//! |---|---|---|
//! | fetch | `fetch` | fetches all sources within the time limit of the profile |
//! | | `source` | where content comes from: one file for each kind |
//! | | `archive`, `json` | common formats of sources: archives and JSON objects; requests are in [`http`](crate::http) |
//! | | `sink` | checks what a source provides: names and paths (by `entry`), sizes |
//! | | `exclude` | skips the keys that the profile excludes |
//! | merge | `merge` | decides which source wins if several provide the same entry |
//! | deliver | `per_container`, `env_file` | the files that each task container needs in addition to the env |
//! | | `memory` | checks the memory limit of the container, because the volume counts as its memory |
//! | | `layout` | the env files that the images of the task expect among the assets |
//! | store | `env_secret` | lets the store create the Secret with the env, for tasks that read it from there |
//! | write | `volume` | the volume, whose files appear atomically, also over those of an earlier run |
//! | | `write` | writes everything to it |
//! | report | `event`, `amount` | the events of a boot and their text |
//! | | `report` | writes them to the log and to the termination message |
//! | | `env_secret` | reports the result as an Event on the pod |
//!
//! Boot has no permissions in the API server: the store does what needs some. It runs on one thread, because
//! it writes to a volume in memory, where a write is a copy, and otherwise waits for the network. A value is
//! never written to the log, an error or an argument: the types that contain one (`entry::EnvValue`) cannot
//! print it.

mod amount;
mod archive;
mod env_file;
mod env_secret;
mod error;
mod event;
mod exclude;
mod fetch;
#[cfg(fuzzing)]
pub mod fuzzing;
mod json;
mod layout;
mod memory;
mod merge;
mod per_container;
mod report;
mod sink;
mod source;
mod volume;
mod write;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use bootlace_launch::termination;

pub use error::BootError;
pub(crate) use source::address;
#[cfg(test)]
pub(crate) use {
    env_file::NotInFile,
    error::{InvalidReason, LayoutError, SourceFailure},
    source::{EntryError, EntryName, ShortLease, SourceError},
    volume::VolumeError,
};

use crate::store_client::protocol::{EventKind, MAX_NOTE_BYTES};
use crate::store_client::{StoreClient, token_file};
use bootlace_core::code::{Coded as _, truncate};
use bootlace_core::injected_config::ProfileRef;
use bootlace_core::names;
use bootlace_core::plan::BootSpec;
pub(crate) use error::EnvSecretError;
use event::LogEvent;
use fetch::Fetched;
use memory::MemoryBudget;
use report::BootLog;
use tokio::runtime::Runtime;
use volume::Volume;

/// Arguments of `bootlace boot`. The configuration is in the env (`BOOTLACE_SPEC`); the flags exist to try a
/// boot without a pod.
#[derive(clap::Args, Clone, Debug)]
pub struct BootCommandArgs {
    /// Mount path of the boot volume.
    #[arg(long, default_value = names::MOUNT, value_name = "DIR")]
    pub root: PathBuf,
    /// The launcher that is copied to the volume.
    #[arg(long, default_value = names::IMAGE_LAUNCHER, value_name = "FILE")]
    pub launcher: PathBuf,
    /// The launcher that is copied to the volume if a hook sends an HTTP request.
    #[arg(long, default_value = names::IMAGE_LAUNCHER_HTTP, value_name = "FILE")]
    pub launcher_http: PathBuf,
    /// The token that identifies the pod to the store.
    #[arg(long, default_value_os_t = token_file(), value_name = "FILE")]
    pub store_token: PathBuf,
    /// Mount path of the container's cgroup, which contains the memory limit of boot.
    #[arg(long, default_value = memory::CGROUP, value_name = "DIR")]
    pub cgroup: PathBuf,
    /// The container's termination message. The file is not created.
    #[arg(long, default_value = termination::LOG, value_name = "FILE")]
    pub termination_log: PathBuf,
}

/// Boots with the env of the process, and logs to standard error. The exit codes are those of
/// [`BootError::exit_code`].
#[must_use]
pub fn run(args: &BootCommandArgs) -> ExitCode {
    // Everything is written to one stream, because the runtime collects two streams separately, and the error
    // message must be the last line.
    let env: Vec<_> = std::env::vars_os().collect();
    match run_to(args, &env, &mut io::stderr()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.exit_code().into(),
    }
}

/// Boots with the variables `env`, and writes the log to `log`. On failure, the error message is the last
/// line of the log, the termination message and, if there is a store, an Event on the pod.
///
/// # Errors
/// If the task cannot boot. The error contains the reason and what to change, and no value of a source.
pub fn run_to(
    args: &BootCommandArgs,
    env: &[(OsString, OsString)],
    log: &mut dyn Write,
) -> Result<(), BootError> {
    let report = BootLog::new(log);
    let report_failure = |error: &BootError| report.failure(error, &args.termination_log);
    let spec = read_spec(env).inspect_err(report_failure)?;
    report.set_format(spec.log_format);
    let runtime = fetch::runtime().inspect_err(report_failure)?;
    let result = boot(args, env, &spec, &runtime, &report).inspect_err(report_failure);
    runtime.block_on(record_event(args, &spec, &result, &report));
    // The system resolves names on a thread that cannot be stopped; boot does not wait for it.
    runtime.shutdown_background();
    result.map(drop)
}

/// Returns a summary of the boot, with its warnings.
fn boot(
    args: &BootCommandArgs,
    env: &[(OsString, OsString)],
    spec: &BootSpec<'_>,
    runtime: &Runtime,
    report: &BootLog<'_>,
) -> Result<String, BootError> {
    let start = Instant::now();
    let version = env!("CARGO_PKG_VERSION");
    report.log(&LogEvent::Begun { version, task: &spec.task, profile: &spec.profile });

    let volume = Volume::open(&args.root, &spec.profile.name)?.within(MemoryBudget::read(&args.cgroup));
    let sources = source::all(spec, env);
    let fetched = runtime.block_on(fetch::all(&sources, spec, &volume, report))?;
    let mut warnings = String::new();
    for Fetched { name, content } in &fetched {
        warnings.extend(content.warnings.iter().map(|warning| format!("; source {name:?}: {warning}")));
    }
    let content = merge::merge(fetched, report)?;
    let containers = per_container::all(spec, &content, env, report)?;
    let env_files = layout::env_files(&content, spec, &containers)?;
    if let Some(secret) = &spec.env_secret {
        let store = spec.store.as_deref().ok_or(BootError::NoStore)?;
        let env = env_secret::env(&content)?;
        let start = Instant::now();
        let client = StoreClient::new(store, &args.store_token).map_err(EnvSecretError::from)?;
        let result = runtime.block_on(env_secret::put_env(&client, secret, &env))?;
        report.log(&LogEvent::Stored { secret, result, milliseconds: start.elapsed().into() });
    }
    let launcher = if spec.http_get { &args.launcher_http } else { &args.launcher };
    volume.write(&content, &env_files, spec, &containers, launcher)?;
    for named in &sources {
        named.source.release();
    }

    let booted = LogEvent::Booted { amount: content.amount(), milliseconds: start.elapsed().into() };
    report.log(&booted);
    let ProfileRef { name, generation } = &spec.profile;
    Ok(format!("{booted}, with BootProfile {name:?}, generation {generation}{warnings}"))
}

/// Records the result as an Event on the pod. A boot does not fail if that is not possible.
async fn record_event(
    args: &BootCommandArgs,
    spec: &BootSpec<'_>,
    result: &Result<String, BootError>,
    report: &BootLog<'_>,
) {
    let Some(store) = spec.store.as_deref() else { return };
    let (outcome, note) = match result {
        Ok(done) => (EventKind::Booted, truncate(done, MAX_NOTE_BYTES).into_owned()),
        Err(error) => (EventKind::Failed, error.code().append_to(&error.to_string(), MAX_NOTE_BYTES)),
    };
    let reported = async {
        env_secret::report_outcome(&StoreClient::new(store, &args.store_token)?, outcome, note).await
    };
    // If the boot failed, the error message must stay the last line of the log.
    if let (Err(error), Ok(_)) = (reported.await, result) {
        report.log(&LogEvent::EventNotRecorded { reason: error.to_string() });
    }
}

fn read_spec(env: &[(OsString, OsString)]) -> Result<BootSpec<'static>, BootError> {
    let value = |name: &str| {
        let (_, value) = env.iter().find(|(key, _)| key == name)?;
        value.to_str().map(str::to_owned)
    };
    if value(names::ENV_BOOT_SPEC).is_none() {
        return Err(BootError::NoSpec);
    }
    BootSpec::from_env(value).map_err(|error| BootError::spec(&error))
}
