//! One program of the cluster: its log, and what happens when it ends.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

/// How much of a log tells why its program failed.
const TAIL_LINES: usize = 25;

/// The pause before a program is started again.
const PAUSE: Duration = Duration::from_millis(200);

/// The programs that run. None of them ends by itself while the cluster lives.
pub(super) struct Components {
    logs: PathBuf,
    at_end: AtEnd,
}

/// What the end of a program comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AtEnd {
    /// The cluster ends.
    End,
    /// It is started again, as a machine's service manager would: for tests that kill it.
    Revive,
}

impl Components {
    /// No programs yet; their logs go to the folder `logs`.
    pub(super) fn new(logs: PathBuf, at_end: AtEnd) -> Self {
        Self { logs, at_end }
    }

    /// Starts the program as `name`.
    ///
    /// # Errors
    /// When it or its log cannot be started.
    pub(super) fn start(&self, name: &'static str, mut command: Command) -> Result<()> {
        let log = self.log(name);
        let file = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let start = move |command: &mut Command| {
            command.spawn().with_context(|| format!("start {name}: {}", command.get_program().display()))
        };
        let mut child = start(&mut command)?;
        let at_end = self.at_end;
        std::thread::spawn(move || {
            loop {
                let how = child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
                if at_end == AtEnd::Revive {
                    std::thread::sleep(PAUSE);
                    if let Ok(again) = start(&mut command) {
                        child = again;
                        continue;
                    }
                }
                eprintln!("{name} ended ({how}). The end of its log:\n{}", tail(&log));
                // Whatever waits for this program would wait in vain.
                std::process::exit(1);
            }
        });
        Ok(())
    }

    /// Adds the end of `name`'s log to the error of something that waited for it.
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
