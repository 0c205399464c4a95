//! The selected part of an artifact or an image.

use bootlace_core::entry::AssetPath;

/// The selection of the profile.
#[derive(Clone, Copy)]
pub(super) struct PathSelection<'a> {
    /// The folder or the file; empty for everything.
    pub(super) path: &'a str,
    /// The prefix of every file.
    pub(super) prefix: &'a str,
}

/// The relation of a path to the selected one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathMatch {
    /// Below it, or everything is selected.
    Below,
    /// The path itself.
    Itself,
    /// A parent folder of it.
    Above,
    /// Elsewhere.
    Beside,
}

/// The field for error messages.
pub(super) const FIELD: &str = "oci.path";

impl PathSelection<'_> {
    pub(super) fn match_path(&self, path: &str) -> PathMatch {
        if self.path.is_empty() || is_below(path, self.path) {
            PathMatch::Below
        } else if path == self.path {
            PathMatch::Itself
        } else if is_below(self.path, path) {
            PathMatch::Above
        } else {
            PathMatch::Beside
        }
    }

    /// The path of the file in the assets folder; `None` if it is not selected. A file that is itself
    /// selected keeps its name.
    pub(super) fn target(&self, path: &AssetPath) -> Option<String> {
        let path = path.to_string();
        let rest = match self.match_path(&path) {
            PathMatch::Below if self.path.is_empty() => path.as_str(),
            PathMatch::Below => path.strip_prefix(self.path)?.strip_prefix('/')?,
            PathMatch::Itself => path.rsplit_once('/').map_or(path.as_str(), |(_, name)| name),
            PathMatch::Above | PathMatch::Beside => return None,
        };
        Some(format!("{}{rest}", self.prefix))
    }
}

/// Whether a path is in a folder.
pub(super) fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_a_file_or_everything_is_selected() {
        let target = |path, file: &str| {
            PathSelection { path, prefix: "p/" }.target(&AssetPath::parse(file).unwrap()).unwrap_or_default()
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
