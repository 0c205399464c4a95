//! The results of the runs.

use std::collections::BTreeMap;
use std::fmt;

use super::ending::Ending;

/// The result of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Whether the task had submitted its job.
    pub submitted: bool,
    /// Whether the task ended by itself.
    pub by_itself: bool,
    /// How often its job was cancelled.
    pub cancels: usize,
}

/// The results, by ending.
#[derive(Debug, Default)]
pub struct Table {
    rows: BTreeMap<Ending, Row>,
    problems: Vec<String>,
}

#[derive(Debug, Default)]
struct Row {
    runs: u32,
    by_itself: u32,
    aborted: u32,
    repeated: u32,
    lost: u32,
    too_many: u32,
}

impl Table {
    pub(super) fn add(&mut self, ending: Ending, pod: &str, outcome: Outcome) {
        let Outcome { submitted, by_itself, cancels } = outcome;
        let row = self.rows.entry(ending).or_default();
        row.runs += 1;
        row.by_itself += u32::from(by_itself);
        row.aborted += u32::from(cancels > 0);
        if submitted && !by_itself && cancels == 0 {
            row.lost += 1;
            self.problems.push(format!("the job of pod {pod} ({ending}) was not cancelled"));
        }
        row.repeated += u32::from(!by_itself && cancels == 2 && ending.max_cancels() == 2);
        let allowed = ending.max_cancels() - usize::from(by_itself);
        if cancels > allowed {
            row.too_many += 1;
            self.problems.push(format!("the job of pod {pod} ({ending}) was cancelled {cancels} times"));
        }
    }

    pub(super) fn fail(&mut self, error: String) {
        self.problems.push(error);
    }

    /// All problems, in one message. Empty if no problem was found.
    #[must_use]
    pub fn problems(&self) -> String {
        self.problems.join("; ")
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| task ended        | runs | by itself | aborted | repeated by the monitor | aborts lost | aborts too many |"
        )?;
        writeln!(
            f,
            "|-------------------|-----:|----------:|--------:|------------------------:|------------:|----------------:|"
        )?;
        for (ending, Row { runs, by_itself, aborted, repeated, lost, too_many }) in &self.rows {
            writeln!(
                f,
                "| {ending:<17} | {runs:>4} | {by_itself:>9} | {aborted:>7} | {repeated:>23} | {lost:>11} | {too_many:>15} |"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_aborts_and_those_that_are_too_many_are_problems() {
        let mut table = Table::default();
        let outcome = |submitted, by_itself, cancels| Outcome { submitted, by_itself, cancels };
        table.add(Ending::Deleted, "a", outcome(true, false, 1));
        table.add(Ending::Deleted, "b", outcome(false, false, 0));
        table.add(Ending::Itself, "c", outcome(true, true, 0));
        assert_eq!(table.problems(), "");
        table.add(Ending::Deleted, "d", outcome(true, false, 0));
        table.add(Ending::Itself, "e", outcome(true, true, 1));
        table.add(Ending::Deleted, "f", outcome(true, false, 2));
        assert_eq!(table.problems().split("; ").count(), 3, "{}", table.problems());
        table.add(Ending::Forced, "g", outcome(true, false, 2));
        assert_eq!(table.problems().split("; ").count(), 3, "{}", table.problems());
        // The task ended by itself after its pod was deleted, so the record could not be removed.
        table.add(Ending::Forced, "h", outcome(true, true, 1));
        assert_eq!(table.problems().split("; ").count(), 3, "{}", table.problems());
        let row = "| deleted           |    4 |         0 |       2 |                       0 |           1 |               1 |";
        assert!(table.to_string().contains(row), "{table}");
    }
}
