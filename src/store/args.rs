//! The command line of `bootlace store`. Every flag is also an env variable.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::process::logs::LogArgs;
use crate::process::seconds;

/// Create objects that task pods may not create themselves.
#[derive(Debug, Clone, clap::Args)]
pub struct StoreArgs {
    /// Address that serves pods, over TLS.
    #[arg(long, env = "BOOTLACE_LISTEN", default_value = "0.0.0.0:8443", value_name = "ADDRESS:PORT")]
    pub(super) listen: SocketAddr,
    /// Address that serves /healthz, /readyz and /metrics, over plain HTTP.
    #[arg(
        long,
        env = "BOOTLACE_METRICS_LISTEN",
        default_value = "0.0.0.0:8080",
        value_name = "ADDRESS:PORT"
    )]
    pub(super) metrics_listen: SocketAddr,
    /// Folder with tls.crt and tls.key, which are reloaded when they change. The CA that the webhook gives to
    /// pods must have issued them.
    #[arg(long, env = "BOOTLACE_TLS_DIR", value_name = "DIR")]
    pub(super) tls_dir: PathBuf,
    /// Folder with the keys that verify the configuration of pods, which are reloaded when they change. The
    /// webhook manages them in the Secret of its --signing-secret.
    #[arg(long, env = "BOOTLACE_SIGNING_DIR", value_name = "DIR")]
    pub(super) signing_dir: PathBuf,
    /// Seconds to continue serving after SIGTERM, while the cluster removes this replica from its endpoints.
    #[arg(long, env = "BOOTLACE_DRAIN_DELAY", value_name = "SECONDS", value_parser = seconds, default_value = "5")]
    pub(super) drain_delay: Duration,
    /// Seconds after that in which requests that were already received are completed. Both together must be
    /// less than the terminationGracePeriodSeconds of the pod.
    #[arg(long, env = "BOOTLACE_DRAIN_TIMEOUT", value_name = "SECONDS", value_parser = seconds, default_value = "20")]
    pub(super) drain_timeout: Duration,
    /// Lease in the namespace of the store. The replica that has acquired it removes expired Pipes.
    #[arg(long, env = "BOOTLACE_LEASE", default_value = "bootlace-store", value_name = "NAME")]
    pub(super) lease: String,
    /// Name of this replica in the Lease. Defaults to the name of the pod.
    #[arg(long, env = "HOSTNAME", value_name = "NAME", default_value = "bootlace-store")]
    pub(super) holder: String,
    /// Seconds between two searches for expired Pipes.
    #[arg(long, env = "BOOTLACE_EXPIRY_INTERVAL", value_name = "SECONDS", value_parser = seconds, default_value = "60")]
    pub(super) expiry_interval: Duration,
    /// Seconds after which an incomplete Pipe is removed, whose object was never created because the replica
    /// was killed.
    #[arg(long, env = "BOOTLACE_PATIENCE", value_name = "SECONDS", value_parser = seconds, default_value = "300")]
    pub(super) patience: Duration,
    /// Write the progress that tasks report to their pods. Requires the verb patch for pods/status.
    #[arg(long, env = "BOOTLACE_ALLOW_PROGRESS")]
    pub(super) allow_progress: bool,
    #[command(flatten)]
    pub(super) logs: LogArgs,
}
