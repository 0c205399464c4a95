//! The table that the corpus comes to, as `docs/corpus.md` has it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::row::{Ended, Row};
use super::rules::Rules;

/// Where the table stands in the page.
const MARKS: [&str; 2] = ["<!-- table: begin -->\n", "<!-- table: end -->\n"];

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
    taken: u32,
    injected: u32,
    left_alone: u32,
    refused: u32,
    class_kept: u32,
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

    /// The page with this table in place of the one that it holds.
    pub(super) fn on(&self, page: &str) -> String {
        let [begin, end] = MARKS;
        let (head, rest) = page.split_once(begin).expect("the page has a table");
        let (_, tail) = rest.split_once(end).expect("the table has an end");
        format!("{head}{begin}{self}{end}{tail}")
    }
}

impl Counts {
    fn add(&mut self, row: &Row) {
        self.pods += 1;
        let Some(ended) = row.ended else { return };
        self.taken += 1;
        match ended {
            Ended::Injected => self.injected += 1,
            Ended::LeftAlone => self.left_alone += 1,
            Ended::Refused => self.refused += 1,
            Ended::Wrong => {}
        }
        self.class_kept += u32::from(row.class_is_kept || ended == Ended::LeftAlone);
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
    what: &str,
    rows: impl Iterator<Item = (String, &'a Counts)>,
) -> fmt::Result {
    writeln!(
        f,
        "| {what} | pods | accepted without Bootlace | accepted with it | of these unchanged | refused, as documented | same QoS class |\n\
         |---|--:|--:|--:|--:|--:|--:|"
    )?;
    for (name, counts) in rows {
        let Counts { pods, taken, injected, left_alone, refused, class_kept } = counts;
        let after = injected + left_alone;
        writeln!(f, "| {name} | {pods} | {taken} | {after} | {left_alone} | {refused} | {class_kept} |")?;
    }
    Ok(())
}
