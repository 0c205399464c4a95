//! The command line of `bootlace store`. Every flag is also an env variable.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::process::logs::LogArgs;
use crate::process::seconds;

/// Create for task pods what they may not create themselves.
#[derive(Debug, Clone, clap::Args)]
pub struct StoreArgs {
    /// Where pods are served, over TLS.
    #[arg(long, env = "BOOTLACE_LISTEN", default_value = "0.0.0.0:8443", value_name = "ADDRESS:PORT")]
    pub(super) listen: SocketAddr,
    /// Where /healthz, /readyz and /metrics are served, over plain HTTP.
    #[arg(
        long,
        env = "BOOTLACE_METRICS_LISTEN",
        default_value = "0.0.0.0:8080",
        value_name = "ADDRESS:PORT"
    )]
    pub(super) metrics_listen: SocketAddr,
    /// Serve with tls.crt and tls.key of this folder, and keep up with their changes. They are under the CA that the
    /// webhook gives to pods.
    #[arg(long, env = "BOOTLACE_TLS_DIR", value_name = "DIR")]
    pub(super) tls_dir: PathBuf,
    /// Take the keys of this folder to verify what the webhook gave a pod, and keep up with their changes. The webhook keeps
    /// them in the Secret of its --signing-secret.
    #[arg(long, env = "BOOTLACE_SIGNING_DIR", value_name = "DIR")]
    pub(super) signing_dir: PathBuf,
    /// Seconds to serve on after SIGTERM while the cluster forgets this replica.
    #[arg(long, env = "BOOTLACE_DRAIN_DELAY", value_name = "SECONDS", value_parser = seconds, default_value = "5")]
    pub(super) drain_delay: Duration,
    /// Seconds after that in which requests already received are answered. Both together have to stay below the pod's
    /// terminationGracePeriodSeconds.
    #[arg(long, env = "BOOTLACE_DRAIN_TIMEOUT", value_name = "SECONDS", value_parser = seconds, default_value = "20")]
    pub(super) drain_timeout: Duration,
    /// The Lease, in the store's own namespace, under which one replica removes the Pipes whose time is over.
    #[arg(long, env = "BOOTLACE_LEASE", default_value = "bootlace-store", value_name = "NAME")]
    pub(super) lease: String,
    /// What this replica is called in it. Without it: the pod's name.
    #[arg(long, env = "HOSTNAME", value_name = "NAME", default_value = "bootlace-store")]
    pub(super) holder: String,
    /// Seconds between two looks at which Pipes have expired.
    #[arg(long, env = "BOOTLACE_EXPIRY_INTERVAL", value_name = "SECONDS", value_parser = seconds, default_value = "60")]
    pub(super) expiry_interval: Duration,
    /// Seconds after which a Pipe is removed whose object was never made, as its replica was killed.
    #[arg(long, env = "BOOTLACE_PATIENCE", value_name = "SECONDS", value_parser = seconds, default_value = "300")]
    pub(super) patience: Duration,
    #[command(flatten)]
    pub(super) logs: LogArgs,
}
