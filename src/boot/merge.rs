//! Merges the content of the sources: a later source overrides an earlier one, and the log reports it.

use std::collections::BTreeMap;

use super::BootError;
use super::amount::Amount;
use super::event::LogEvent;
use super::fetch::Fetched;
use super::report::BootLog;
use super::source::EntryName;
use super::volume::Staged;
use bootlace_core::entry::{EnvName, EnvValue, FileTree};

/// The merged content for the task.
pub(crate) struct MergedContent<'a> {
    /// Env by name.
    pub(crate) env: BTreeMap<EnvName, FromSource<'a, EnvValue>>,
    /// Files by path.
    pub(crate) files: FileTree<FromSource<'a, Staged>>,
}

/// An entry and the source that it comes from.
pub(crate) struct FromSource<'a, T> {
    /// The name of the source in the profile.
    pub(crate) source: &'a str,
    /// The value or the file.
    pub(crate) value: T,
}

/// Merges the content of the sources, in their order.
///
/// # Errors
/// If a file of one source is at the path of a folder of another one.
pub(crate) fn merge<'a>(
    sources: Vec<Fetched<'a>>,
    report: &BootLog<'_>,
) -> Result<MergedContent<'a>, BootError> {
    let mut content = MergedContent { env: BTreeMap::new(), files: FileTree::new() };
    for Fetched { name: source, content: source_content } in sources {
        for (name, value) in source_content.env {
            let entry = name.to_string();
            if let Some(FromSource { source: earlier, .. }) =
                content.env.insert(name, FromSource { source, value })
            {
                let (entry, name) = (EntryName::Variable, &*entry);
                report.log(&LogEvent::Overridden { source, entry, name, earlier });
            }
        }
        for (path, value) in source_content.files {
            let entry = path.to_string();
            if let Some((other, earlier)) = content.files.obstacle(&path) {
                return Err(BootError::FileAndFolder {
                    later: source.to_owned(),
                    path: entry,
                    earlier: earlier.source.to_owned(),
                    other: other.to_string(),
                });
            }
            if let Some(FromSource { source: earlier, .. }) =
                content.files.insert(path, FromSource { source, value })
            {
                let (entry, name) = (EntryName::File, &*entry);
                report.log(&LogEvent::Overridden { source, entry, name, earlier });
            }
        }
    }
    Ok(content)
}

impl MergedContent<'_> {
    /// Whether there is a variable `name`.
    pub(crate) fn has_variable(&self, name: &str) -> bool {
        self.env.contains_key(name)
    }

    /// The amount of content.
    pub(crate) fn amount(&self) -> Amount {
        let files = self.files.iter().map(|(_, from)| from.value.size());
        Amount::new(self.env.values().map(|from| &from.value), files)
    }
}
