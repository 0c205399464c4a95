//! Puts together what the sources gave: where two give the same, the later one wins, and the log says so.

use std::collections::BTreeMap;

use super::BootError;
use super::event::{Amount, Event};
use super::fetch::Fetched;
use super::report::Report;
use super::source::Entry;
use super::volume::Staged;
use crate::entry::{EnvName, EnvValue, FileTree};

/// What the task gets.
pub(crate) struct Content<'a> {
    /// Env by name.
    pub(crate) env: BTreeMap<EnvName, From<'a, EnvValue>>,
    /// Files by path.
    pub(crate) files: FileTree<From<'a, Staged>>,
}

/// Something with the name of the source that gave it.
pub(crate) struct From<'a, T> {
    /// The source's name in the profile.
    pub(crate) source: &'a str,
    /// What it gave.
    pub(crate) given: T,
}

/// Merges what the sources gave, in their order.
///
/// # Errors
/// Where one source's file lies where another's needs a folder.
pub(crate) fn merge<'a>(sources: Vec<Fetched<'a>>, report: &Report<'_>) -> Result<Content<'a>, BootError> {
    let mut content = Content { env: BTreeMap::new(), files: FileTree::new() };
    for Fetched { name: source, found } in sources {
        for (name, given) in found.env {
            let entry = name.to_string();
            if let Some(From { source: earlier, .. }) = content.env.insert(name, From { source, given }) {
                let (entry, name) = (Entry::Variable, &*entry);
                report.tell(&Event::Overridden { source, entry, name, earlier });
            }
        }
        for (path, given) in found.files {
            let entry = path.to_string();
            if let Some((other, earlier)) = content.files.obstacle(&path) {
                return Err(BootError::FileAndFolder {
                    later: source.to_owned(),
                    path: entry,
                    earlier: earlier.source.to_owned(),
                    other: other.to_string(),
                });
            }
            if let Some(From { source: earlier, .. }) = content.files.insert(path, From { source, given }) {
                let (entry, name) = (Entry::File, &*entry);
                report.tell(&Event::Overridden { source, entry, name, earlier });
            }
        }
    }
    Ok(content)
}

impl Content<'_> {
    /// Whether there is a variable called `name`.
    pub(crate) fn gives(&self, name: &str) -> bool {
        self.env.contains_key(name)
    }

    /// How much it is.
    pub(crate) fn amount(&self) -> Amount {
        let files = self.files.iter().map(|(_, from)| &from.given);
        Amount::of(self.env.values().map(|from| &from.given), files)
    }
}
