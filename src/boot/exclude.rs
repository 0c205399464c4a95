//! Keys of a source that the profile leaves out.

use wildmatch::WildMatch;

use super::sink::Sink;

/// How many of the keys that are left out a line of the log lists.
const LISTED_KEYS: usize = 20;

/// The profile's patterns, and the keys that they have met.
pub(crate) struct ExcludedKeys {
    patterns: Vec<WildMatch>,
    /// The first ones.
    keys: Vec<String>,
    more: usize,
}

impl ExcludedKeys {
    /// By these patterns.
    pub(crate) fn by(patterns: &[String]) -> Self {
        Self {
            patterns: patterns.iter().map(|pattern| WildMatch::new(pattern)).collect(),
            keys: Vec::new(),
            more: 0,
        }
    }

    /// Whether `key` is left out.
    pub(crate) fn leaves_out(&mut self, key: &str) -> bool {
        let is_left_out = self.patterns.iter().any(|pattern| pattern.matches(key));
        if is_left_out && self.keys.len() < LISTED_KEYS {
            self.keys.push(key.to_owned());
        } else if is_left_out {
            self.more += 1;
        }
        is_left_out
    }

    /// Leaves a line in the log on what was left out.
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
