//! The command line of `bootlace monitor`. Every flag is also an env variable.

use std::net::SocketAddr;
use std::time::Duration;

use crate::process::logs::LogArgs;
use crate::process::seconds;

/// Fail task pods that do not start in time.
#[derive(Debug, Clone, clap::Args)]
pub struct MonitorArgs {
    /// Address that serves /healthz, /readyz and /metrics, over plain HTTP.
    #[arg(
        long,
        env = "BOOTLACE_METRICS_LISTEN",
        default_value = "0.0.0.0:8080",
        value_name = "ADDRESS:PORT"
    )]
    pub(super) metrics_listen: SocketAddr,
    /// Lease in the namespace of the monitor. The replica that has acquired it leads; the others wait.
    #[arg(long, env = "BOOTLACE_LEASE", default_value = "bootlace-monitor", value_name = "NAME")]
    pub(super) lease: String,
    /// Name of this replica in the Lease. Defaults to the name of the pod.
    #[arg(long, env = "HOSTNAME", value_name = "NAME", default_value = "bootlace-monitor")]
    pub(super) holder: String,
    /// Seconds for which the API server must have answered before a pod is failed. After it was away, nodes
    /// need this time to report the tasks that have started meanwhile.
    #[arg(long, env = "BOOTLACE_SETTLE_TIME", value_name = "SECONDS", value_parser = seconds, default_value = "30")]
    pub(super) settle_time: Duration,
    #[command(flatten)]
    pub(super) logs: LogArgs,
}
