//! The process of the sidecar: `bootlace pipe`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::time::timeout;

use super::hooks::{self, PodHooks, RemoteServices};
use super::remote_store::RemoteStore;
use super::{SidecarError, progress, serve, shared_volume};
use crate::process::logs::{self, LogArgs};
use crate::process::{self, Termination};
use crate::store_client::{StoreClient, token_file};
use bootlace_core::abort::{HookEvent, HooksConfig};
use bootlace_core::code::{Code, Coded};
use bootlace_core::output::SidecarConfig;
use bootlace_core::{json_error, names};

/// The command line of `bootlace pipe`. The configuration is in the env (`BOOTLACE_PIPES`); the flags are for
/// use outside of a pod.
#[derive(clap::Args, Clone, Debug)]
pub struct SidecarArgs {
    /// Folder of the volume with the handover folders of the launchers.
    #[arg(long, default_value = names::MOUNT_RUN, value_name = "DIR")]
    root: PathBuf,
    /// Folder with the volumes of the pod, for tasks that are not started by a launcher.
    #[arg(long, default_value = names::MOUNT_SHARED, value_name = "DIR")]
    shared: PathBuf,
    /// Folder with the Secrets and ConfigMaps of hooks.
    #[arg(long, default_value = names::MOUNT_HOOKS, value_name = "DIR")]
    hooks: PathBuf,
    /// Tell the running sidecar that the pod is being stopped, and exit. The preStop handler of the sidecar.
    #[arg(long)]
    stopping: bool,
    /// File with the token that identifies the pod to the store.
    #[arg(long, default_value_os_t = token_file(), value_name = "FILE")]
    store_token: PathBuf,
    #[command(flatten)]
    logs: LogArgs,
}

/// Stores the outputs and the progress of the pod and runs its hooks until SIGTERM, or until no more can
/// follow. The exit code is always 0, because schedulers evaluate exit codes of sidecars like those of tasks.
/// The launcher and an Event report errors.
#[must_use]
pub fn run(args: &SidecarArgs) -> ExitCode {
    logs::start(&args.logs);
    if args.stopping {
        return tell_stopping(args);
    }
    let config = parse_config(std::env::var(names::ENV_PIPES).ok().as_deref());
    if let Err(error) = process::runtime().and_then(|runtime| runtime.block_on(sidecar(args, config))) {
        log_error(&StartError::Process(error));
    }
    ExitCode::SUCCESS
}

/// Tells the running sidecar that the pod is being stopped, by a file outside of the folders of the tasks. It
/// returns at once: waiting for the hooks here would not give them more time, because the kubelet does not
/// stop the sidecar before the tasks have ended.
fn tell_stopping(args: &SidecarArgs) -> ExitCode {
    match std::fs::write(args.root.join(names::FILE_STOPPING), "") {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log_error(&SidecarError { path: args.root.join(names::FILE_STOPPING), error });
            ExitCode::FAILURE
        }
    }
}

async fn sidecar(
    args: &SidecarArgs,
    config: Result<SidecarConfig<'static>, StartError>,
) -> anyhow::Result<()> {
    // First, because the kernel ignores signals without a handler for the first process of a container.
    let mut termination = Termination::new()?;
    let termination = async {
        termination.recv().await;
    };
    let termination = termination.shared();
    let has_ended = match config {
        // Large, because it contains the futures of outputs, hooks and progress.
        Ok(config) => Box::pin(store(args, &config, termination.clone())).await,
        Err(error) => {
            log_error(&error);
            false
        }
    };
    // The kubelet would restart a sidecar that exits early again and again, and that would not help.
    if !has_ended {
        termination.await;
    }
    Ok(())
}

/// Returns whether no more outputs can follow.
async fn store(
    args: &SidecarArgs,
    config: &SidecarConfig<'_>,
    termination: impl Future<Output = ()> + Clone,
) -> bool {
    let store = RemoteStore::new(config, &args.store_token);
    let grace_period = Duration::from_secs(config.grace_seconds.into());
    let launched = config.outputs.iter().filter(|output| output.shared_file.is_none());
    let launched: BTreeSet<_> = launched.map(|output| output.container.clone()).collect();
    let launched: Vec<_> = launched.into_iter().collect();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        outputs = config.outputs.len(),
        "waiting for the outputs of {}",
        config.task.describe()
    );

    let from_launchers = async {
        if launched.is_empty() {
            return true;
        }
        let served =
            serve(&args.root, &launched, config.ends, &store, termination.clone(), grace_period).await;
        served.inspect_err(log_error).unwrap_or_default()
    };
    let hooks = async {
        if config.supervised.is_empty() {
            return true;
        }
        run_hooks(args, config, termination.clone()).await
    };
    let from_shared_volumes = async {
        if config.outputs.iter().all(|output| output.shared_file.is_none()) {
            return;
        }
        termination.clone().await;
        let stored = timeout(grace_period, shared_volume::store(&args.shared, &config.outputs, &store)).await;
        if stored.is_err() {
            tracing::warn!("{}", not_stored_in_time(grace_period));
        }
    };
    let work = async {
        if config.outputs.is_empty() && config.supervised.is_empty() {
            // Only progress, until the kubelet has stopped the tasks.
            termination.clone().await;
            return false;
        }
        let (outputs, hooks, ()) = tokio::join!(from_launchers, hooks, from_shared_volumes);
        let is_supervisor = !launched.is_empty() || !config.supervised.is_empty();
        is_supervisor && outputs && hooks
    };
    progress::report_during(config, &args.store_token, work).await
}

/// Runs the hooks of the pod. Returns whether no more can follow.
async fn run_hooks(
    args: &SidecarArgs,
    config: &SidecarConfig<'_>,
    termination: impl Future<Output = ()>,
) -> bool {
    let hooks = match parse_hooks(|name| std::env::var(name).ok()) {
        Ok(hooks) => hooks,
        Err(error) => {
            log_error(&error);
            return false;
        }
    };
    let HooksEnv { config: hooks_config, namespace, pod, pod_uid } = hooks;
    let hooks = PodHooks {
        config: &hooks_config,
        event: HookEvent { task: config.task.clone(), namespace, pod, pod_uid, ..HookEvent::default() },
        grace_period: Duration::from_secs(config.grace_seconds.into()),
    };
    let services = RemoteServices::new(StoreClient::new(&config.store, &args.store_token), &args.hooks);
    let served =
        hooks::serve(&args.root, &config.supervised, config.ends, &hooks, &services, termination).await;
    served.inspect_err(log_error).unwrap_or_default()
}

/// The hooks in the env, and the pod.
struct HooksEnv {
    config: HooksConfig<'static>,
    namespace: String,
    pod: String,
    pod_uid: String,
}

fn parse_hooks(env: impl Fn(&str) -> Option<String>) -> Result<HooksEnv, StartError> {
    let variable = |name: &'static str| env(name).ok_or(StartError::NoHooks(name));
    Ok(HooksEnv {
        config: serde_json::from_str(&variable(names::ENV_HOOKS)?)
            .map_err(|error| StartError::InvalidHooks(json_error::describe(&error)))?,
        namespace: variable(names::ENV_NAMESPACE)?,
        pod: variable(names::ENV_POD)?,
        pod_uid: variable(names::ENV_POD_UID)?,
    })
}

fn log_error(error: &(impl std::fmt::Display + Coded)) {
    tracing::error!("{error} [{}]", error.code());
}

/// The log line about outputs that the end of the grace period interrupted.
pub(crate) fn not_stored_in_time(grace_period: Duration) -> String {
    let message = format!(
        "timed out storing outputs {} s after the tasks ended: increase terminationGracePeriodSeconds of the pod",
        grace_period.as_secs()
    );
    format!("{message} [{}]", Code::OutputsNotStoredInTime)
}

fn parse_config(config: Option<&str>) -> Result<SidecarConfig<'static>, StartError> {
    serde_json::from_str(config.ok_or(StartError::NoConfig)?)
        .map_err(|error| StartError::InvalidConfig(json_error::describe(&error)))
}

/// The sidecar cannot store outputs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("{name} is not set: run the sidecar that the webhook injects", name = names::ENV_PIPES)]
    NoConfig,
    #[error(
        "{name} is invalid: {0}; use an image of the same version as the webhook",
        name = names::ENV_PIPES
    )]
    InvalidConfig(String),
    #[error("{0} is not set: run the sidecar that the webhook injects")]
    NoHooks(&'static str),
    #[error(
        "{name} is invalid: {0}; use an image of the same version as the webhook",
        name = names::ENV_HOOKS
    )]
    InvalidHooks(String),
    #[error("failed to start the sidecar: {0:#}")]
    Process(anyhow::Error),
}

impl Coded for StartError {
    fn code(&self) -> Code {
        match self {
            Self::NoConfig | Self::InvalidConfig(_) | Self::NoHooks(_) | Self::InvalidHooks(_) => {
                Code::SidecarConfigInvalid
            }
            Self::Process(_) => Code::SidecarNotStarted,
        }
    }
}
