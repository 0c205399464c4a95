//! A running client or controller.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// The number of lines of its output that a failed scenario prints.
const LINES: usize = 60;
/// How often a process that was asked to exit is checked.
const EXIT_INTERVAL: Duration = Duration::from_millis(50);

/// A client or controller that runs until this value is dropped. Its output is in a file.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`, with its output in a file in `folder`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(name: &str, mut command: Command, folder: &Path) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        let copy = file.try_clone().with_context(|| format!("open {}", log.display()))?;
        command.stdout(file).stderr(copy).kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("start {name}"))?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its output until now.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn output(&self) -> Result<String> {
        let bytes = std::fs::read(&self.log).with_context(|| format!("read {}", self.log.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Waits until it exits, and returns its output and whether its exit code was 0.
    ///
    /// # Errors
    /// If its exit code is unknown, or its output cannot be read.
    pub async fn ended(&mut self) -> Result<(bool, String)> {
        let status = self.child.wait().await.with_context(|| format!("wait for {}", self.name))?;
        Ok((status.success(), self.output()?))
    }

    /// As [`ended`](Self::ended), with a timeout.
    ///
    /// # Errors
    /// Also if it does not exit in time. The message contains the end of its output.
    pub async fn ended_within(&mut self, limit: Duration) -> Result<(bool, String)> {
        let ended = timeout(limit, self.ended()).await;
        ended.with_context(|| {
            let output = self.output().unwrap_or_default();
            format!("timed out after {} s: {} has not exited:\n{}", limit.as_secs(), self.name, end(&output))
        })?
    }

    /// Asks it to exit, so that it also ends the processes that it has started. See [`exited`](Self::exited).
    pub fn terminate(&self) {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok());
        // An error means that it has exited.
        let _ = pid.map(|pid| kill(Pid::from_raw(pid), Signal::SIGTERM));
    }

    /// Blocks until it has exited or `limit` has passed. Afterwards, it is killed when it is dropped.
    pub fn exited(&mut self, limit: Duration) {
        let deadline = Instant::now() + limit;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(EXIT_INTERVAL);
        }
    }

    /// Checks that it still runs.
    ///
    /// # Errors
    /// If it has exited. The message contains the end of its output.
    pub fn is_running(&mut self) -> Result<()> {
        match self.child.try_wait().with_context(|| format!("check {}", self.name))? {
            None => Ok(()),
            Some(status) => bail!("{} has exited: {status}:\n{}", self.name, end(&self.output()?)),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(output) = self.output()
        {
            eprintln!("---- the end of the output of {}:\n{}\n----", self.name, end(&output));
        }
    }
}

/// The last lines of an output.
#[must_use]
pub fn end(output: &str) -> String {
    let lines: Vec<_> = output.lines().collect();
    lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default().join("\n")
}
