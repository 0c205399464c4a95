//! Keys of a source that the profile excludes.

use wildmatch::WildMatch;

use super::sink::Sink;

/// How many excluded keys a log line lists.
const LISTED_KEYS: usize = 20;

/// The patterns of the profile, and the keys that matched them.
pub(crate) struct ExcludedKeys {
    patterns: Vec<WildMatch>,
    /// The first excluded keys.
    keys: Vec<String>,
    more: usize,
}

impl ExcludedKeys {
    /// Creates the matcher for these patterns.
    pub(crate) fn new(patterns: &[String]) -> Self {
        Self {
            patterns: patterns.iter().map(|pattern| WildMatch::new(pattern)).collect(),
            keys: Vec::new(),
            more: 0,
        }
    }

    /// Whether `key` is excluded.
    pub(crate) fn excludes(&mut self, key: &str) -> bool {
        let is_excluded = self.patterns.iter().any(|pattern| pattern.matches(key));
        if is_excluded && self.keys.len() < LISTED_KEYS {
            self.keys.push(key.to_owned());
        } else if is_excluded {
            self.more += 1;
        }
        is_excluded
    }

    /// Logs which keys were excluded.
    pub(crate) fn note(self, sink: &mut Sink<'_>) {
        if self.keys.is_empty() {
            return;
        }
        let more = self.more;
        let listed: Vec<_> = self.keys.iter().map(|key| format!("{key:?}")).collect();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        sink.note(format!("excluded: {}{more}", listed.join(", ")));
    }
}
