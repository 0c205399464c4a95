//! Writes tasks in the chosen format: a list, then changes.

use std::io::Write;

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use super::Format;
use super::document::{TaskDocument, TaskList};
use super::table::{Cells, Table};
use super::task::Task;
use crate::command_error::CommandError;

/// Writes tasks.
pub(super) struct Printer<'o> {
    format: Format,
    table: Table,
    out: &'o mut dyn Write,
}

impl<'o> Printer<'o> {
    /// A printer that writes to `out`. `has_namespaces` adds the namespace of each task to tables.
    pub(super) fn new(format: Format, has_namespaces: bool, out: &'o mut dyn Write) -> Self {
        Self { format, table: Table::new(format == Format::Wide, has_namespaces), out }
    }

    /// Writes a list.
    pub(super) fn list(&mut self, tasks: &[Task], now: Timestamp) -> Result<(), CommandError> {
        let text = match self.format {
            Format::Json => json(&TaskList::new(tasks, now), true)?,
            Format::Yaml => yaml(&TaskList::new(tasks, now))?,
            Format::Table | Format::Wide if tasks.is_empty() => return Ok(()),
            Format::Table | Format::Wide => self.lines(tasks, now),
        };
        self.write(&text)
    }

    /// Writes the tasks with which a watch begins: one after another, because changes follow.
    pub(super) fn begin(&mut self, tasks: &[&Task], now: Timestamp) -> Result<(), CommandError> {
        let text = match self.format {
            Format::Table | Format::Wide => self.lines(tasks.iter().copied(), now),
            Format::Json | Format::Yaml => {
                let changes = tasks.iter().map(|task| self.document(task, now));
                changes.collect::<Result<_, _>>()?
            }
        };
        self.write(&text)
    }

    /// Writes a task that has changed.
    pub(super) fn change(&mut self, task: &Task, now: Timestamp) -> Result<(), CommandError> {
        let text = match self.format {
            Format::Table | Format::Wide => self.table.line(&self.table.cells(task, now)),
            Format::Json | Format::Yaml => self.document(task, now)?,
        };
        self.write(&text)
    }

    /// What a reader would see of the task, apart from its age. A task for which it has not changed is not
    /// written again.
    pub(super) fn seen(&self, task: &Task, now: Timestamp) -> Cells {
        let mut cells = match self.format {
            Format::Table | Format::Wide => self.table.cells(task, now),
            Format::Json | Format::Yaml => return self.document(task, now).into_iter().collect(),
        };
        let age = self.table.age();
        if age < cells.len() {
            cells.remove(age);
        }
        cells
    }

    fn lines<'t>(&mut self, tasks: impl IntoIterator<Item = &'t Task>, now: Timestamp) -> String {
        let mut lines = vec![self.table.header()];
        lines.extend(tasks.into_iter().map(|task| self.table.cells(task, now)));
        for cells in &lines {
            self.table.fit(cells);
        }
        lines.iter().map(|cells| self.table.line(cells)).collect()
    }

    fn document(&self, task: &Task, now: Timestamp) -> Result<String, CommandError> {
        let document = TaskDocument::new(task, now);
        match self.format {
            Format::Yaml => Ok(format!("---\n{}", yaml(&document)?)),
            _ => json(&document, false),
        }
    }

    fn write(&mut self, text: &str) -> Result<(), CommandError> {
        let written = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
        written.map_err(CommandError::WriteOutput)
    }
}

fn json(document: &impl Serialize, is_pretty: bool) -> Result<String, CommandError> {
    let text =
        if is_pretty { serde_json::to_string_pretty(document) } else { serde_json::to_string(document) };
    text.map(|text| text + "\n").map_err(|error| CommandError::WriteOutput(error.into()))
}

fn yaml(document: &impl Serialize) -> Result<String, CommandError> {
    let text = serde_saphyr::to_string(document);
    text.map_err(|error| CommandError::WriteOutput(std::io::Error::other(error.to_string())))
}
