//! A program of the cluster: its log, and what happens when it exits.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

/// The number of lines of a log that an error shows.
const TAIL_LINES: usize = 25;

/// The pause before a program is restarted.
const PAUSE: Duration = Duration::from_millis(200);

/// The running programs. They run as long as the cluster.
pub(super) struct Components {
    logs: PathBuf,
    on_exit: OnExit,
}

/// The reaction to the exit of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnExit {
    /// Stop the cluster.
    Stop,
    /// Restart the program, as the service manager of a machine would. For tests that kill it.
    Restart,
}

impl Components {
    /// No programs yet. Their logs are written to the folder `logs`.
    pub(super) fn new(logs: PathBuf, on_exit: OnExit) -> Self {
        Self { logs, on_exit }
    }

    /// Starts a program with the log `name`.
    ///
    /// # Errors
    /// If the program cannot be started or its log cannot be created.
    pub(super) fn start(&self, name: &'static str, mut command: Command) -> Result<()> {
        let log = self.log(name);
        let file = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let start = move |command: &mut Command| {
            command.spawn().with_context(|| format!("start {name}: {}", command.get_program().display()))
        };
        let mut child = start(&mut command)?;
        let on_exit = self.on_exit;
        std::thread::spawn(move || {
            loop {
                let status = child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
                if on_exit == OnExit::Restart {
                    std::thread::sleep(PAUSE);
                    if let Ok(restarted) = start(&mut command) {
                        child = restarted;
                        continue;
                    }
                }
                eprintln!("{name} exited ({status}). The end of its log:\n{}", tail(&log));
                // Without this program, the cluster is not usable.
                std::process::exit(1);
            }
        });
        Ok(())
    }

    /// Adds the end of the log `name` to an error.
    pub(super) fn explain<T>(&self, name: &str, result: Result<T>) -> Result<T> {
        result.with_context(|| format!("{name} is not ready. The end of its log:\n{}", tail(&self.log(name))))
    }

    fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }
}

fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(TAIL_LINES);
    lines.get(from..).unwrap_or_default().join("\n")
}
