//! The results of scenarios with real clients, which `make test-schedulers` prints as a table.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// The variable with the file of the results.
pub const FILE: &str = "BOOTLACE_SCHEDULER_RESULTS";

/// The result of a workflow that ran with and without Bootlace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The scheduler and its version (`Argo Workflows 4.0.5`).
    pub scheduler: String,
    /// The workflow (`a script that is retried`).
    pub workflow: String,
    /// How it ended, which is the same with and without Bootlace (`Succeeded`).
    pub state: String,
    /// Its seconds with Bootlace.
    pub with: f64,
    /// Its seconds without.
    pub without: f64,
}

impl Row {
    /// A row. The state is the same in both runs.
    #[must_use]
    pub fn new(scheduler: &str, workflow: &str, state: &str, with: Duration, without: Duration) -> Self {
        Self {
            scheduler: scheduler.to_owned(),
            workflow: workflow.to_owned(),
            state: state.to_owned(),
            with: with.as_secs_f64(),
            without: without.as_secs_f64(),
        }
    }

    /// Adds the row to the file in [`FILE`], if it is set.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn record(&self) -> Result<()> {
        let Some(file) = std::env::var_os(FILE).map(PathBuf::from) else { return Ok(()) };
        let line = serde_json::to_string(self)? + "\n";
        let mut out = OpenOptions::new().create(true).append(true).open(&file);
        let out = out.as_mut().map_err(|error| anyhow::anyhow!("open {}: {error}", file.display()))?;
        // One write, so that the lines of concurrent scenarios are not mixed.
        out.write_all(line.as_bytes()).with_context(|| format!("write {}", file.display()))
    }
}

/// The rows in `file` as a Markdown table. Empty if no scenario has recorded one.
///
/// # Errors
/// If the file contains something else.
pub fn table(file: &Path) -> Result<String> {
    let Ok(text) = std::fs::read_to_string(file) else { return Ok(String::new()) };
    let rows: Result<Vec<Row>, _> = text.lines().map(serde_json::from_str).collect();
    let mut rows = rows.with_context(|| format!("read {}", file.display()))?;
    rows.sort_by(|a, b| (&a.scheduler, &a.workflow).cmp(&(&b.scheduler, &b.workflow)));
    let mut table =
        String::from("| scheduler | workflow | ends | with Bootlace | without |\n|---|---|---|---:|---:|\n");
    for Row { scheduler, workflow, state, with, without } in rows {
        writeln!(table, "| {scheduler} | {workflow} | {state} | {with:.1} s | {without:.1} s |")?;
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_by_scheduler_and_workflow() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let seconds = Duration::from_secs;
        let rows = [
            Row::new("Tekton 1.6.0", "two steps", "Succeeded", seconds(3), seconds(2)),
            Row::new("Argo Workflows 4.0.5", "a script", "Failed", seconds(11), seconds(10)),
        ];
        let lines: String = rows.iter().map(|row| serde_json::to_string(row).unwrap() + "\n").collect();
        std::fs::write(file.path(), lines).unwrap();
        assert_eq!(
            table(file.path()).unwrap(),
            "| scheduler | workflow | ends | with Bootlace | without |\n|---|---|---|---:|---:|\n\
             | Argo Workflows 4.0.5 | a script | Failed | 11.0 s | 10.0 s |\n\
             | Tekton 1.6.0 | two steps | Succeeded | 3.0 s | 2.0 s |\n"
        );
    }
}
