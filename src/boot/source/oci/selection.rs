//! Which part of an artifact or an image is taken.

use crate::entry::AssetPath;

/// What the profile takes.
#[derive(Clone, Copy)]
pub(super) struct Selection<'a> {
    /// The folder or the file; empty for everything.
    pub(super) path: &'a str,
    /// Stands in front of every file.
    pub(super) prefix: &'a str,
}

/// Where a path stands to the selected one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Below it, or everything is selected.
    Below,
    /// The path itself.
    Itself,
    /// A folder that leads to it.
    Above,
    /// Elsewhere.
    Beside,
}

/// The field that a user may have to correct.
pub(super) const FIELD: &str = "oci.path";

impl Selection<'_> {
    pub(super) fn standing(&self, path: &str) -> Standing {
        if self.path.is_empty() || is_below(path, self.path) {
            Standing::Below
        } else if path == self.path {
            Standing::Itself
        } else if is_below(self.path, path) {
            Standing::Above
        } else {
            Standing::Beside
        }
    }

    /// Where the file goes below the assets folder; `None` where it is not taken. A file that is selected itself keeps
    /// its name.
    pub(super) fn target(&self, path: &AssetPath) -> Option<String> {
        let path = path.to_string();
        let rest = match self.standing(&path) {
            Standing::Below if self.path.is_empty() => path.as_str(),
            Standing::Below => path.strip_prefix(self.path)?.strip_prefix('/')?,
            Standing::Itself => path.rsplit_once('/').map_or(path.as_str(), |(_, name)| name),
            Standing::Above | Standing::Beside => return None,
        };
        Some(format!("{}{rest}", self.prefix))
    }
}

/// Whether a path lies in a folder.
pub(super) fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_a_file_or_everything() {
        let target = |path, file: &str| {
            Selection { path, prefix: "p/" }.target(&AssetPath::parse(file).unwrap()).unwrap_or_default()
        };
        assert_eq!(target("", "a/b"), "p/a/b");
        assert_eq!(target("a", "a/b/c"), "p/b/c");
        assert_eq!(target("a/b", "a/b"), "p/b");
        assert_eq!(target("a", "a"), "p/a");
        assert_eq!(target("a", "ab/c"), "");
        assert_eq!(target("a/b", "a"), "");
        assert_eq!(target("a/b", "a/c"), "");
    }
}
