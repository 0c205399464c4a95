//! Tasks as lines of a table.

use k8s_openapi::jiff::Timestamp;

use super::task::Task;
use super::text::{abridge, duration};

/// Maximum characters of a state, unless all columns are shown.
const MAX_STATE_CHARS: usize = 120;
/// What an empty cell shows, so that columns stay countable for `awk`.
const EMPTY: &str = "-";
const GAP: &str = "   ";

/// A table, whose columns have the width of the first lines.
#[derive(Debug)]
pub(super) struct Table {
    is_wide: bool,
    has_namespaces: bool,
    widths: Vec<usize>,
}

/// The cells of a line.
pub(super) type Cells = Vec<String>;

impl Table {
    pub(super) fn new(is_wide: bool, has_namespaces: bool) -> Self {
        let mut table = Self { is_wide, has_namespaces, widths: Vec::new() };
        let header = table.header();
        table.fit(&header);
        table
    }

    /// The names of the columns.
    pub(super) fn header(&self) -> Cells {
        let first = self.has_namespaces.then_some("NAMESPACE");
        let main =
            ["SCHEDULER", "WORKFLOW", "RUN", "TASK", "ATTEMPT", "STATE", "BOOT", "AGE", "PROGRESS", "POD"];
        let wide = if self.is_wide { &["NODE", "PROFILE", "LINKS"][..] } else { &[] };
        first.into_iter().chain(main).chain(wide.iter().copied()).map(str::to_owned).collect()
    }

    /// The cells of a task. Its age is the only one that changes by itself.
    pub(super) fn cells(&self, task: &Task, now: Timestamp) -> Cells {
        let identity = &task.identity;
        let state = task.state.describe();
        let state = if self.is_wide { state } else { abridge(&state, MAX_STATE_CHARS) };
        let age = task.created.map(|created| duration(now.as_second() - created.as_second()));
        let boot = task.boot.filter(|boot| boot.end.is_some()).map(|boot| duration(boot.seconds(now)));
        let mut cells = vec![
            identity.scheduler.clone(),
            identity.workflow.clone(),
            identity.run.clone(),
            task.name(),
            identity.attempt.clone(),
            Some(state),
            boot,
            age,
            task.progress.clone(),
            Some(task.pod.clone()),
        ];
        if self.has_namespaces {
            cells.insert(0, Some(task.namespace.clone()));
        }
        if self.is_wide {
            let links: Vec<_> = task.links.iter().map(|(name, link)| format!("{name}={link}")).collect();
            let links = (!links.is_empty()).then(|| links.join(" "));
            cells.extend([task.node.clone(), Some(task.profile.clone()), links]);
        }
        let shown = |cell: Option<String>| cell.filter(|cell| !cell.is_empty());
        cells.into_iter().map(|cell| shown(cell).unwrap_or_else(|| EMPTY.to_owned())).collect()
    }

    /// The position of the age in a line.
    pub(super) fn age(&self) -> usize {
        7 + usize::from(self.has_namespaces)
    }

    /// Makes each column at least as wide as its cell.
    pub(super) fn fit(&mut self, cells: &[String]) {
        self.widths.resize(cells.len().max(self.widths.len()), 0);
        for (width, cell) in self.widths.iter_mut().zip(cells) {
            *width = (*width).max(cell.chars().count());
        }
    }

    /// A line of the table.
    pub(super) fn line(&self, cells: &[String]) -> String {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(&self.widths) {
            line.push_str(cell);
            let missing = width.saturating_sub(cell.chars().count());
            line.extend(std::iter::repeat_n(' ', missing));
            line.push_str(GAP);
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    }
}
