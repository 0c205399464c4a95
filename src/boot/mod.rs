//! What the injected init container runs: `bootlace boot`.
//!
//! ```text
//! BOOTLACE_SPEC → sources, all at once → merged in their order → the volume
//! ```
//!
//! | step | module | what it answers |
//! |---|---|---|
//! | fetch | `fetch` | what does each source give, within the profile's time |
//! | | `source` | where does it come from: one file a kind |
//! | | `http`, `archive`, `json` | what sources have in common: requests, unpacking, objects |
//! | | `sink`, `reserved` | may a source give that: names, paths, sizes |
//! | merge | `merge` | who wins where two sources give the same |
//! | hand on | `container`, `env_file` | what does each task container need beside the env itself |
//! | lay out | `layout` | which env files do the task's images expect among the assets |
//! | write | `volume` | how it gets onto the volume whole, also over what an earlier run left |
//! | tell | `event` | what is there to tell, and in which words |
//! | | `report` | how it gets to the log and to the termination message |
//!
//! Boot has no right in the API server, and it runs on one thread: what it writes goes to a volume in memory,
//! where a write is a copy, and what it waits for is the network. A value never goes to the log, to an error
//! or to an argument: the types that hold one (`env::EnvValue`) cannot show it.

mod archive;
mod container;
mod env;
mod env_file;
mod error;
mod event;
mod fetch;
pub(crate) mod http;
mod json;
mod layout;
mod merge;
mod path;
mod report;
mod reserved;
mod sink;
mod source;
mod volume;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

pub use error::BootError;

use crate::names;
use crate::plan::BootSpec;
use event::Event;
use report::Report;
use volume::Volume;

/// Where the kubelet takes the boot container's termination message from: Kubernetes' own default, which the
/// injected container does not change.
const TERMINATION_LOG: &str = "/dev/termination-log";

/// The command line of `bootlace boot`. What to boot comes in the env (`BOOTLACE_SPEC`), and the flags are
/// there to try a boot without a pod.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Where the boot volume is mounted.
    #[arg(long, default_value = names::MOUNT, value_name = "DIR")]
    pub root: PathBuf,
    /// The launcher that is copied onto the volume.
    #[arg(long, default_value = names::IMAGE_LAUNCHER, value_name = "FILE")]
    pub launcher: PathBuf,
    /// The container's termination message; it is not created.
    #[arg(long, default_value = TERMINATION_LOG, value_name = "FILE")]
    pub termination_log: PathBuf,
}

/// Boots as the process's env says, and tells on standard error how it went. The exit codes are those of
/// [`BootError::exit_code`].
#[must_use]
pub fn run(args: &Args) -> ExitCode {
    // Everything goes to one stream: the runtime collects two of them separately, and the sentence that says
    // what failed must be the last line.
    let env: Vec<_> = std::env::vars_os().collect();
    match run_to(args, &env, &mut io::stderr()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.exit_code().into(),
    }
}

/// Boots as `env` says, which are the process's variables, and tells on `log` how it went. Where it fails, the
/// same sentence is the log's last line and the termination message.
///
/// # Errors
/// Where the task cannot be booted: the error says why and what to change, and holds no value of a source.
pub fn run_to(args: &Args, env: &[(OsString, OsString)], log: &mut dyn Write) -> Result<(), BootError> {
    let report = Report::new(log);
    let result = boot(args, env, &report);
    if let Err(error) = &result {
        report.failure(error, &args.termination_log);
    }
    result
}

fn boot(args: &Args, env: &[(OsString, OsString)], report: &Report<'_>) -> Result<(), BootError> {
    let begun = Instant::now();
    let spec = read_spec(env)?;
    report.set_format(spec.log_format);
    let version = env!("CARGO_PKG_VERSION");
    report.tell(&Event::Begun { version, task: &spec.task, profile: &spec.profile });

    let volume = Volume::open(&args.root, &spec.profile.name)?;
    let sources = source::all(&spec);
    let runtime = fetch::runtime()?;
    let fetched = runtime.block_on(fetch::all(&sources, &spec, &volume, report));
    // The system looks names up on a thread that cannot be stopped: boot does not wait for its answer.
    runtime.shutdown_background();
    let fetched = fetched?;
    let content = merge::merge(fetched, report)?;
    let containers = container::all(&spec, &content, env, report)?;
    let env_files = layout::env_files(&content, &spec, &containers)?;
    volume.write(&content, &env_files, &spec, &containers, &args.launcher)?;
    for named in &sources {
        named.source.written();
    }

    report.tell(&Event::Booted { amount: content.amount(), milliseconds: begun.elapsed().into() });
    Ok(())
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
