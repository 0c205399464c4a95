//! The table of results in `docs/corpus.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::row::{Outcome, Row};
use super::rules::Rules;

/// The lines before and after the table on the page.
const MARKERS: [&str; 2] = ["<!-- table: begin -->\n", "<!-- table: end -->\n"];

#[derive(Debug, Default)]
pub(super) struct Table {
    by_rules: BTreeMap<Rules, Counts>,
    by_theme: BTreeMap<String, Counts>,
    /// The fields that pods set, and those that the API server stores, by type.
    fields: [BTreeSet<String>; 2],
}

#[derive(Debug, Default)]
struct Counts {
    pods: u32,
    accepted: u32,
    injected: u32,
    unchanged: u32,
    refused: u32,
    same_class: u32,
}

impl Table {
    pub(super) fn add(&mut self, rules: Rules, row: &Row) {
        self.by_rules.entry(rules).or_default().add(row);
        if rules == Rules::None {
            self.by_theme.entry(row.theme.clone()).or_default().add(row);
            for (all, more) in self.fields.iter_mut().zip(&row.fields) {
                all.extend(more.iter().cloned());
            }
        }
    }

    /// The page with its table replaced by this one.
    pub(super) fn replace_in(&self, page: &str) -> String {
        let [begin, end] = MARKERS;
        let (head, rest) = page.split_once(begin).expect("the page has a table");
        let (_, tail) = rest.split_once(end).expect("the table has an end");
        format!("{head}{begin}{self}{end}{tail}")
    }
}

impl Counts {
    fn add(&mut self, row: &Row) {
        self.pods += 1;
        let Some(outcome) = row.outcome else { return };
        self.accepted += 1;
        match outcome {
            Outcome::Injected => self.injected += 1,
            Outcome::Unchanged => self.unchanged += 1,
            Outcome::Refused => self.refused += 1,
            Outcome::Unexpected => {}
        }
        self.same_class += u32::from(row.same_class || outcome == Outcome::Unchanged);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by_rules = self.by_rules.iter().map(|(rules, counts)| (rules.to_string(), counts));
        write(f, "the namespace enforces", by_rules)?;
        writeln!(f, "\nBy theme, in the namespace that enforces nothing:\n")?;
        let file = |theme: &String| format!("[{theme}](../tests/corpus/{theme}.yaml)");
        write(f, "theme", self.by_theme.iter().map(|(theme, counts)| (file(theme), counts)))?;
        let [set, stored] = &self.fields;
        let dropped: Vec<_> = set.difference(stored).map(|field| format!("`{field}`")).collect();
        writeln!(
            f,
            "\nThe pods set {} fields. The API server drops the following of them, with or without Bootlace, because their \
             feature gates are off. Only the offline test verifies that they are preserved: {}.",
            set.len(),
            dropped.join(", ")
        )
    }
}

fn write<'a>(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    rows: impl Iterator<Item = (String, &'a Counts)>,
) -> fmt::Result {
    writeln!(
        f,
        "| {title} | pods | accepted without Bootlace | accepted with it | of these unchanged | refused, as documented | same QoS class |\n\
         |---|--:|--:|--:|--:|--:|--:|"
    )?;
    for (name, counts) in rows {
        let Counts { pods, accepted, injected, unchanged, refused, same_class } = counts;
        let after = injected + unchanged;
        writeln!(f, "| {name} | {pods} | {accepted} | {after} | {unchanged} | {refused} | {same_class} |")?;
    }
    Ok(())
}
