//! A running cluster, which belongs to the process that started it.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{ChildStdout, Command};

use crate::cgroup;
use crate::command::{command, this_program};
use crate::keeper;
use crate::node::{CONTAINERD_SOCKET, READY};
use crate::run::RunDir;

/// A cluster. It is stopped and removed when this value is dropped, or when this process ends in any other
/// way.
pub struct Cluster {
    run: RunDir,
    tools: PathBuf,
    keeper: Child,
    /// The node exits when this pipe is closed.
    lifeline: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Cluster {
    /// Starts a cluster in the folder `run`, whose image archives it imports, with the programs in `tools`.
    /// Returns when pods can run. With `revive`, the programs of the cluster are restarted when they exit.
    ///
    /// # Errors
    /// If it does not become ready. The reason, with the end of the relevant log, is on standard error.
    pub async fn start(run: RunDir, tools: &Path, revive: bool) -> Result<Self> {
        keeper::sweep()?;
        let mut keeper = std::process::Command::new(this_program());
        keeper.args(["keeper", "--id", run.id(), "--tools"]).arg(tools).args(revive.then_some("--revive"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        // Debian installs some of the node's programs in folders that are only in the PATH of root.
        keeper.env("PATH", [path.as_os_str(), OsStr::new("/usr/sbin:/sbin")].join(OsStr::new(":")));
        let mut keeper = keeper
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start the keeper")?;
        let lifeline = keeper.stdin.take();
        let output = keeper.stdout.take().context("stdout of the keeper is not a pipe")?;
        let output = BufReader::new(ChildStdout::from_std(output)?);
        // Created before the cluster is ready, so that an early return stops it.
        let mut cluster = Self { run, tools: tools.to_owned(), keeper, lifeline, output };

        let mut line = String::new();
        cluster.output.read_line(&mut line).await.context("read the output of the node")?;
        let Some(node) = line.strip_prefix(READY).and_then(|rest| rest.trim().parse().ok()) else {
            bail!("failed to start the cluster: see the reason above");
        };
        cluster.write_enter(node)?;
        Ok(cluster)
    }

    /// The path of a script that runs its arguments as a command inside the network of the cluster.
    #[must_use]
    pub fn enter(&self) -> PathBuf {
        self.run.path().join("enter")
    }

    /// Waits until the cluster stops by itself, which it does only if one of its programs exits.
    ///
    /// # Errors
    /// If the output of the node cannot be read.
    pub async fn ended(&mut self) -> Result<()> {
        let mut rest = String::new();
        self.output.read_line(&mut rest).await.context("read the output of the node")?;
        Ok(())
    }

    fn write_enter(&self, node: u32) -> Result<()> {
        let (file, kubeconfig, tools) = (self.enter(), self.run.kubeconfig(), &self.tools);
        let script = format!(
            "#!/bin/sh\n\
             export PATH='{}':\"$PATH\":/usr/sbin:/sbin KUBECONFIG='{}'\n\
             # The node has its own /run. With this variable, ctr, nerdctl and CLUSTER=current find its containerd.\n\
             export CONTAINERD_ADDRESS='/proc/{node}/root{CONTAINERD_SOCKET}'\n\
             # Not in the home folder, so that the caches of kubectl and Helm are removed with the cluster.\n\
             export KUBECACHEDIR='{home}/kubectl' HELM_CACHE_HOME='{home}/helm' \
             HELM_CONFIG_HOME='{home}/helm' HELM_DATA_HOME='{home}/helm'\n\
             exec nsenter --net=/proc/{node}/ns/net -- \"$@\"\n",
            tools.display(),
            kubeconfig.display(),
            home = self.run.path().display(),
        );
        fs::write(&file, script).with_context(|| format!("write {}", file.display()))?;
        fs::set_permissions(&file, Permissions::from_mode(0o755)).context("make `enter` executable")
    }
}

/// A cluster that commands can use.
pub trait Reachable {
    /// A command with `KUBECONFIG` set, and with `kubectl` and `helm` in its `PATH`. It is killed when this
    /// process ends.
    fn command(&self, program: impl AsRef<OsStr>) -> Command;
}

impl Reachable for Cluster {
    /// The command runs inside the network of the cluster.
    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = command("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(self.enter()).arg(program);
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.lifeline = None;
        match self.keeper.wait() {
            Ok(status) if status.success() => {}
            // The keeper has printed the reason, unless it was killed. In that case it has not cleaned up.
            _ => {
                if let Err(error) = cgroup::remove(self.run.id()) {
                    eprintln!("{error:#}");
                }
            }
        }
    }
}
