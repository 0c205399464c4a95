//! The results of the runs.

use std::collections::BTreeMap;
use std::fmt;

use super::victim::Victim;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The task succeeded, and its outputs are stored, byte for byte.
    Stored,
    /// The task failed.
    Failed,
    /// The task succeeded, but an output is not stored: which one, and the error.
    Lost(String),
    /// The pod did not end: its name.
    Hung(String),
    /// The test failed, not Bootlace: the error.
    TestFailed(String),
}

/// The results, by victim.
#[derive(Debug, Default)]
pub struct Table {
    rows: BTreeMap<Victim, Row>,
    problems: Vec<String>,
}

#[derive(Debug, Default)]
struct Row {
    runs: u32,
    /// The number of runs in which the process was killed.
    killed: u32,
    stored: u32,
    failed: u32,
    lost: u32,
    hung: u32,
}

impl Table {
    pub(super) fn add(&mut self, victim: Victim, killed: bool, end: End) {
        let row = self.rows.entry(victim).or_default();
        row.runs += 1;
        row.killed += u32::from(killed);
        match end {
            End::Stored => row.stored += 1,
            End::Failed => row.failed += 1,
            End::Lost(output) => {
                row.lost += 1;
                self.problems.push(format!("output not stored: {output}"));
            }
            End::Hung(pod) => {
                row.hung += 1;
                self.problems.push(format!("{pod} did not end"));
            }
            End::TestFailed(error) => self.problems.push(error),
        }
    }

    /// Whether no output was lost, no pod hung, and each victim was killed at least once.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.problems.is_empty() && self.rows.values().all(|row| row.killed > 0)
    }

    /// A victim that was not killed in any run.
    pub(super) fn never_killed(&self) -> Option<Victim> {
        self.rows.iter().find(|(_, row)| row.killed == 0).map(|(victim, _)| *victim)
    }

    /// All problems, in one message.
    #[must_use]
    pub fn problems(&self) -> String {
        let never_killed = self.rows.iter().filter(|(_, row)| row.killed == 0);
        let never_killed =
            never_killed.map(|(victim, _)| format!("{victim} was never killed: it had always exited"));
        self.problems.iter().cloned().chain(never_killed).collect::<Vec<_>>().join("; ")
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| process                | runs | killed | succeeded, all stored | failed | outputs lost | hung |"
        )?;
        writeln!(
            f,
            "|------------------------|-----:|-------:|----------------------:|-------:|-------------:|-----:|"
        )?;
        for (victim, Row { runs, killed, stored, failed, lost, hung }) in &self.rows {
            writeln!(
                f,
                "| {victim:<22} | {runs:>4} | {killed:>6} | {stored:>21} | {failed:>6} | {lost:>12} | {hung:>4} |"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_output_and_a_victim_that_was_never_killed_are_problems() {
        let mut table = Table::default();
        table.add(Victim::Launcher, true, End::Failed);
        table.add(Victim::Launcher, false, End::Stored);
        assert!(table.is_success(), "{}", table.problems());
        table.add(Victim::Store, false, End::Stored);
        assert_eq!(table.problems(), "a replica of the store was never killed: it had always exited");
        assert_eq!(table.never_killed(), Some(Victim::Store));
        assert!(!table.is_success());
        table.add(Victim::Store, true, End::Lost("Report of pod a".to_owned()));
        assert_eq!(table.never_killed(), None);
        assert_eq!(table.problems(), "output not stored: Report of pod a");
        assert!(!table.is_success());
        let row = "| a replica of the store |    2 |      1 |                     1 |      0 |            1 |    0 |";
        assert!(table.to_string().contains(row), "{table}");
    }
}
