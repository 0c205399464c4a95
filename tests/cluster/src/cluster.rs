//! A running cluster, held by the process that started it.

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

/// A cluster. It ends, and everything of it is removed, when this is dropped or when this process ends in any
/// other way.
pub struct Cluster {
    run: RunDir,
    tools: PathBuf,
    keeper: Child,
    /// The node ends when the kernel closes this.
    lifeline: Option<ChildStdin>,
    said: BufReader<ChildStdout>,
}

impl Cluster {
    /// Starts a cluster in the folder `run`, whose image archives it imports, from the programs in `tools`.
    /// Returns once pods can run. With `revive`, its programs may be killed: they are started again.
    ///
    /// # Errors
    /// When it does not become ready; the reason, with the end of the log concerned, is on standard error.
    pub async fn start(run: RunDir, tools: &Path, revive: bool) -> Result<Self> {
        keeper::sweep()?;
        let mut keeper = std::process::Command::new(this_program());
        keeper.args(["keeper", "--id", run.id(), "--tools"]).arg(tools).args(revive.then_some("--revive"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        // Debian keeps some of the node's programs where only root looks.
        keeper.env("PATH", [path.as_os_str(), OsStr::new("/usr/sbin:/sbin")].join(OsStr::new(":")));
        let mut keeper = keeper
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start the keeper")?;
        let lifeline = keeper.stdin.take();
        let said = keeper.stdout.take().context("the keeper's output is a pipe")?;
        let said = BufReader::new(ChildStdout::from_std(said)?);
        // Made before it is ready, so that an early return ends it too.
        let mut cluster = Self { run, tools: tools.to_owned(), keeper, lifeline, said };

        let mut line = String::new();
        cluster.said.read_line(&mut line).await.context("read from the node")?;
        let Some(node) = line.strip_prefix(READY).and_then(|rest| rest.trim().parse().ok()) else {
            bail!("the cluster did not start: see the reason above");
        };
        cluster.write_enter(node)?;
        Ok(cluster)
    }

    /// A script that runs its arguments as a command inside the cluster's network.
    #[must_use]
    pub fn enter(&self) -> PathBuf {
        self.run.path().join("enter")
    }

    /// Waits until the cluster ends by itself, which it does only when one of its programs does.
    ///
    /// # Errors
    /// When the keeper cannot be waited for.
    pub async fn ended(&mut self) -> Result<()> {
        let mut rest = String::new();
        self.said.read_line(&mut rest).await.context("read from the node")?;
        Ok(())
    }

    fn write_enter(&self, node: u32) -> Result<()> {
        let (file, kubeconfig, tools) = (self.enter(), self.run.kubeconfig(), &self.tools);
        let script = format!(
            "#!/bin/sh\n\
             export PATH='{}':\"$PATH\":/usr/sbin:/sbin KUBECONFIG='{}'\n\
             # The node's /run is not this machine's. ctr, nerdctl and CLUSTER=current find its containerd by this.\n\
             export CONTAINERD_ADDRESS='/proc/{node}/root{CONTAINERD_SOCKET}'\n\
             # Not in the home folder: nothing that kubectl and Helm keep may outlive the cluster.\n\
             export KUBECACHEDIR='{home}/kubectl' HELM_CACHE_HOME='{home}/helm' \
             HELM_CONFIG_HOME='{home}/helm' HELM_DATA_HOME='{home}/helm'\n\
             exec nsenter --net=/proc/{node}/ns/net -- \"$@\"\n",
            tools.display(),
            kubeconfig.display(),
            home = self.run.path().display(),
        );
        fs::write(&file, script).with_context(|| format!("write {}", file.display()))?;
        fs::set_permissions(&file, Permissions::from_mode(0o755)).context("make `enter` a program")
    }
}

/// A cluster that programs can be run on.
pub trait Reachable {
    /// A command that reaches the cluster by `KUBECONFIG`, with `kubectl` and `helm` on its `PATH`. It is killed when this
    /// process ends.
    fn command(&self, program: impl AsRef<OsStr>) -> Command;
}

impl Reachable for Cluster {
    /// It runs inside the cluster's network.
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
            // The keeper said why, unless it was killed: then what it would have removed is still there.
            _ => {
                if let Err(error) = cgroup::remove(self.run.id()) {
                    eprintln!("{error:#}");
                }
            }
        }
    }
}
