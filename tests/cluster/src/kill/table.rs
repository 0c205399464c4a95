//! What came of the runs.

use std::collections::BTreeMap;
use std::fmt;

use super::victim::Victim;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The task succeeded, and its outputs are stored, byte for byte.
    Stored,
    /// The task failed, as schedulers see it.
    Failed,
    /// The task succeeded, and its outputs are not stored: which, and how.
    Lost(String),
    /// The pod did not end: which.
    Hung(String),
    /// The test itself did not get on: why.
    Broken(String),
}

/// The runs, by what was killed.
#[derive(Debug, Default)]
pub struct Table {
    rows: BTreeMap<Victim, Row>,
    broken: Vec<String>,
}

#[derive(Debug, Default)]
struct Row {
    runs: u32,
    /// Runs in which it was there to be killed.
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
            End::Lost(what) => {
                row.lost += 1;
                self.broken.push(format!("{what} is lost"));
            }
            End::Hung(what) => {
                row.hung += 1;
                self.broken.push(format!("{what} hangs"));
            }
            End::Broken(why) => self.broken.push(why),
        }
    }

    /// Whether nothing was lost and nothing hung, and something was killed of everything that was to be killed.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.broken.is_empty() && self.rows.values().all(|row| row.killed > 0)
    }

    /// A victim that was there to be killed in none of its runs.
    pub(super) fn never_met(&self) -> Option<Victim> {
        self.rows.iter().find(|(_, row)| row.killed == 0).map(|(victim, _)| *victim)
    }

    /// What was not as it should be.
    #[must_use]
    pub fn broken(&self) -> String {
        let never = self.rows.iter().filter(|(_, row)| row.killed == 0);
        let never = never.map(|(victim, _)| format!("{victim} was never there to be killed"));
        self.broken.iter().cloned().chain(never).collect::<Vec<_>>().join("; ")
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| killed                 | runs | met | succeeded, all stored | failed | outputs lost | hung |"
        )?;
        writeln!(
            f,
            "|------------------------|-----:|----:|----------------------:|-------:|-------------:|-----:|"
        )?;
        for (victim, Row { runs, killed, stored, failed, lost, hung }) in &self.rows {
            writeln!(
                f,
                "| {victim:<22} | {runs:>4} | {killed:>3} | {stored:>21} | {failed:>6} | {lost:>12} | {hung:>4} |"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_lost_output_or_a_victim_that_was_never_there_breaks_it() {
        let mut table = Table::default();
        table.add(Victim::Launcher, true, End::Failed);
        table.add(Victim::Launcher, false, End::Stored);
        assert!(table.is_kept(), "{}", table.broken());
        table.add(Victim::Store, false, End::Stored);
        assert_eq!(table.broken(), "a replica of the store was never there to be killed");
        assert_eq!(table.never_met(), Some(Victim::Store));
        assert!(!table.is_kept());
        table.add(Victim::Store, true, End::Lost("pod a".to_owned()));
        assert_eq!(table.never_met(), None);
        assert_eq!(table.broken(), "pod a is lost");
        assert!(!table.is_kept());
        let row =
            "| a replica of the store |    2 |   1 |                     1 |      0 |            1 |    0 |";
        assert!(table.to_string().contains(row), "{table}");
    }
}
