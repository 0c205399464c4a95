//! What the injected init container runs: `bootlace boot`.
//!
//! ```text
//! BOOTLACE_SPEC → sources, all at once → merged in their order → the store → the volume
//! ```
//!
//! | step | module | what it answers |
//! |---|---|---|
//! | fetch | `fetch` | what does each source give, within the profile's time |
//! | | `source` | where does it come from: one file a kind |
//! | | `archive`, `json` | what sources have in common: unpacking, objects; requests are [`http`](crate::http)'s |
//! | | `sink` | may a source give that: names and paths by `entry`, sizes |
//! | | `exclude` | which of a source's keys the profile leaves out |
//! | merge | `merge` | who wins where two sources give the same |
//! | hand on | `container`, `env_file` | what does each task container need beside the env itself |
//! | | `memory` | does the container's memory limit hold it, which the volume counts against |
//! | lay out | `layout` | which env files do the task's images expect among the assets |
//! | store | `store` | has the env put into a Secret, where the task takes it from there |
//! | write | `volume` | how it gets onto the volume whole, also over what an earlier run left |
//! | tell | `event` | what is there to tell, and in which words |
//! | | `report` | how it gets to the log and to the termination message |
//! | | `store` | the end of it as an Event on the pod |
//!
//! Boot has no right in the API server (what it needs there, the store does for it), and it runs on one thread: what it
//! writes goes to a volume in memory, where a write is a copy, and what it waits for is the network. A value never goes
//! to the log, to an error or to an argument: the types that hold one (`entry::EnvValue`) cannot show it.

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

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use bootlace_launch::termination;

pub use error::BootError;
pub(crate) use source::address;

use crate::store_client::protocol::EventKind;
use crate::store_client::{StoreClient, token_file};
use bootlace_core::injected_config::ProfileRef;
use bootlace_core::names;
use bootlace_core::plan::BootSpec;
use env_secret::EnvSecretError;
use event::LogEvent;
use memory::MemoryBudget;
use report::BootLog;
use tokio::runtime::Runtime;
use volume::Volume;

/// The command line of `bootlace boot`. What to boot comes in the env (`BOOTLACE_SPEC`), and the flags are
/// there to try a boot without a pod.
#[derive(clap::Args, Clone, Debug)]
pub struct BootCommandArgs {
    /// Where the boot volume is mounted.
    #[arg(long, default_value = names::MOUNT, value_name = "DIR")]
    pub root: PathBuf,
    /// The launcher that is copied onto the volume.
    #[arg(long, default_value = names::IMAGE_LAUNCHER, value_name = "FILE")]
    pub launcher: PathBuf,
    /// The launcher that is copied instead where a hook sends a request.
    #[arg(long, default_value = names::IMAGE_LAUNCHER_HTTP, value_name = "FILE")]
    pub launcher_http: PathBuf,
    /// The token by which the store knows the pod.
    #[arg(long, default_value_os_t = token_file(), value_name = "FILE")]
    pub store_token: PathBuf,
    /// Where the container's own cgroup is mounted, whose memory limit boot keeps.
    #[arg(long, default_value = memory::CGROUP, value_name = "DIR")]
    pub cgroup: PathBuf,
    /// The container's termination message; it is not created.
    #[arg(long, default_value = termination::LOG, value_name = "FILE")]
    pub termination_log: PathBuf,
}

/// Boots as the process's env says, and tells on standard error how it went. The exit codes are those of
/// [`BootError::exit_code`].
#[must_use]
pub fn run(args: &BootCommandArgs) -> ExitCode {
    // Everything goes to one stream: the runtime collects two of them separately, and the sentence that says
    // what failed must be the last line.
    let env: Vec<_> = std::env::vars_os().collect();
    match run_to(args, &env, &mut io::stderr()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.exit_code().into(),
    }
}

/// Boots as `env` says, which are the process's variables, and tells on `log` how it went. Where it fails, the
/// same sentence is the log's last line and the termination message, and an Event on the pod where there is a store.
///
/// # Errors
/// Where the task cannot be booted: the error says why and what to change, and holds no value of a source.
pub fn run_to(
    args: &BootCommandArgs,
    env: &[(OsString, OsString)],
    log: &mut dyn Write,
) -> Result<(), BootError> {
    let report = BootLog::new(log);
    let failed = |error: &BootError| report.failure(error, &args.termination_log);
    let spec = read_spec(env).inspect_err(failed)?;
    report.set_format(spec.log_format);
    let runtime = fetch::runtime().inspect_err(failed)?;
    let result = boot(args, env, &spec, &runtime, &report).inspect_err(failed);
    runtime.block_on(tell(args, &spec, &result, &report));
    // The system looks names up on a thread that cannot be stopped: boot does not wait for its answer.
    runtime.shutdown_background();
    result.map(drop)
}

/// Returns what was done, in words.
fn boot(
    args: &BootCommandArgs,
    env: &[(OsString, OsString)],
    spec: &BootSpec<'_>,
    runtime: &Runtime,
    report: &BootLog<'_>,
) -> Result<String, BootError> {
    let begun = Instant::now();
    let version = env!("CARGO_PKG_VERSION");
    report.log(&LogEvent::Begun { version, task: &spec.task, profile: &spec.profile });

    let volume = Volume::open(&args.root, &spec.profile.name)?.within(MemoryBudget::of(&args.cgroup));
    let sources = source::all(spec);
    let fetched = runtime.block_on(fetch::all(&sources, spec, &volume, report))?;
    let content = merge::merge(fetched, report)?;
    let containers = per_container::all(spec, &content, env, report)?;
    let env_files = layout::env_files(&content, spec, &containers)?;
    if let Some(secret) = &spec.env_secret {
        let store = spec.store.as_deref().ok_or(BootError::NoStore)?;
        let env = env_secret::env(&content)?;
        let begun = Instant::now();
        let client = StoreClient::new(store, &args.store_token).map_err(EnvSecretError::from)?;
        let how = runtime.block_on(env_secret::put_env(&client, secret, &env))?;
        report.log(&LogEvent::Stored { secret, how, milliseconds: begun.elapsed().into() });
    }
    let launcher = if spec.http_get { &args.launcher_http } else { &args.launcher };
    volume.write(&content, &env_files, spec, &containers, launcher)?;
    for named in &sources {
        named.source.written();
    }

    let booted = LogEvent::Booted { amount: content.amount(), milliseconds: begun.elapsed().into() };
    report.log(&booted);
    Ok(booted.to_string())
}

/// Has an Event written on the pod. A boot does not fail because nobody could be told of it.
async fn tell(
    args: &BootCommandArgs,
    spec: &BootSpec<'_>,
    result: &Result<String, BootError>,
    report: &BootLog<'_>,
) {
    let Some(store) = spec.store.as_deref() else { return };
    let ProfileRef { name, generation } = &spec.profile;
    let (outcome, note) = match result {
        Ok(done) => {
            (EventKind::Booted, format!("{done}, with BootProfile {name:?}, generation {generation}"))
        }
        Err(error) => (EventKind::Failed, error.to_string()),
    };
    let told = async {
        env_secret::report_outcome(&StoreClient::new(store, &args.store_token)?, outcome, note).await
    };
    // Where the boot failed, the log ends with the sentence that says why.
    if let (Err(error), Ok(_)) = (told.await, result) {
        report.log(&LogEvent::EventNotRecorded { why: error.to_string() });
    }
}

fn read_spec(env: &[(OsString, OsString)]) -> Result<BootSpec<'static>, BootError> {
    let value = |name: &str| {
        let (_, value) = env.iter().find(|(of, _)| of == name)?;
        value.to_str().map(str::to_owned)
    };
    if value(names::ENV_BOOT_SPEC).is_none() {
        return Err(BootError::NoSpec);
    }
    BootSpec::from_env(value).map_err(|error| BootError::spec(&error))
}
