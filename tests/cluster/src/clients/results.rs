//! The results of scenarios with real clients, which `make test-schedulers` prints as a table.

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

/// The page with the results of the newest run of each client.
pub const PAGE: &str = "docs/scheduler-results.md";
const HEAD: &str =
    "| scheduler | workflow | ends | with Bootlace | without | date |\n|---|---|---|---:|---:|---|\n";

/// The rows in `file` as lines of a Markdown table, sorted, with `date`. Empty if no scenario has recorded
/// one.
///
/// # Errors
/// If the file contains something else.
fn lines(file: &Path, date: &str) -> Result<Vec<String>> {
    let Ok(text) = std::fs::read_to_string(file) else { return Ok(Vec::new()) };
    let rows: Result<Vec<Row>, _> = text.lines().map(serde_json::from_str).collect();
    let mut rows = rows.with_context(|| format!("read {}", file.display()))?;
    rows.sort_by(|a, b| (&a.scheduler, &a.workflow).cmp(&(&b.scheduler, &b.workflow)));
    let line = |Row { scheduler, workflow, state, with, without }: Row| {
        format!("| {scheduler} | {workflow} | {state} | {with:.1} s | {without:.1} s | {date} |")
    };
    Ok(rows.into_iter().map(line).collect())
}

/// The rows in `file` as a Markdown table.
///
/// # Errors
/// If the file contains something else.
pub fn table(file: &Path, date: &str) -> Result<String> {
    Ok(format!("{HEAD}{}\n", lines(file, date)?.join("\n")))
}

/// Replaces the rows of `page` whose schedulers have rows in `file`, and keeps the others.
///
/// # Errors
/// If a file cannot be read or the page cannot be written.
pub fn update(page: &Path, file: &Path, date: &str) -> Result<()> {
    let text = std::fs::read_to_string(page).with_context(|| format!("read {}", page.display()))?;
    let (text, rows) =
        text.split_once(HEAD).with_context(|| format!("find the table in {}", page.display()))?;
    let mut new = lines(file, date)?;
    let is_kept = |row: &&str| !new.iter().any(|new| scheduler(new) == scheduler(row));
    let kept: Vec<_> = rows.lines().filter(is_kept).map(str::to_owned).collect();
    new.extend(kept);
    new.sort();
    let text = format!("{text}{HEAD}{}\n", new.join("\n"));
    std::fs::write(page, text).with_context(|| format!("write {}", page.display()))
}

/// The scheduler of a row, without its version.
fn scheduler(row: &str) -> &str {
    let cell = row.split('|').nth(1).unwrap_or_default().trim();
    cell.rsplit_once(' ').map_or(cell, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_replaces_the_rows_of_its_schedulers() {
        let (file, page) = (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
        let seconds = Duration::from_secs;
        let rows = [
            Row::new("Tekton 1.7.0", "two steps", "Succeeded", seconds(3), seconds(2)),
            Row::new("Argo Workflows 4.0.5", "a script", "Failed", seconds(11), seconds(10)),
        ];
        let lines: String = rows.iter().map(|row| serde_json::to_string(row).unwrap() + "\n").collect();
        std::fs::write(file.path(), lines).unwrap();
        let old = "| Job | a Job | Complete | 4.0 s | 3.0 s | 2026-01-01 |";
        let replaced = "| Tekton 1.6.0 | two steps | Failed | 4.0 s | 3.0 s | 2026-01-01 |";
        std::fs::write(page.path(), format!("# Results\n{HEAD}{old}\n{replaced}\n")).unwrap();
        update(page.path(), file.path(), "2026-02-02").unwrap();
        let argo = "| Argo Workflows 4.0.5 | a script | Failed | 11.0 s | 10.0 s | 2026-02-02 |";
        let tekton = "| Tekton 1.7.0 | two steps | Succeeded | 3.0 s | 2.0 s | 2026-02-02 |";
        let expected = format!("# Results\n{HEAD}{argo}\n{old}\n{tekton}\n");
        assert_eq!(std::fs::read_to_string(page.path()).unwrap(), expected);
        assert_eq!(table(file.path(), "2026-02-02").unwrap(), format!("{HEAD}{argo}\n{tekton}\n"));
    }
}
