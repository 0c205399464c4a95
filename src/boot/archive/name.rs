//! Names of archive entries.

use crate::boot::source::{EntryError, EntryName, SourceError};
use bootlace_core::entry::{AssetPath, PathError};
use bootlace_core::profile::remote::Archive;

/// Parses the name of an entry: a path below the root of the archive, even if the entry is not selected.
/// `None` is the root.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<AssetPath>, SourceError> {
    let name = str::from_utf8(bytes).map_err(|_| {
        let name = String::from_utf8_lossy(bytes);
        SourceError::Archive(format!("archive entry {name:?} has a name that is not UTF-8: rename it"))
    })?;
    // `tar -C folder .` adds the `./`, and the name of a folder ends with a slash.
    let plain = name.strip_prefix("./").unwrap_or(name);
    let plain = plain.strip_suffix('/').unwrap_or(plain);
    if plain == "." || (plain.is_empty() && !name.starts_with('/')) {
        return Ok(None);
    }
    let refused =
        |error: PathError| SourceError::refused(EntryName::ArchiveEntry, name, EntryError::Path(error));
    AssetPath::parse(plain).map(Some).map_err(refused)
}

/// The path of the entry in the assets folder; `None` if the profile does not select it.
pub(super) fn target(name: &AssetPath, settings: &Archive) -> Option<String> {
    let name = name.to_string();
    let mut rest = name.as_str();
    for _ in 0..settings.strip_components {
        rest = rest.split_once('/')?.1;
    }
    if !settings.path.is_empty() {
        rest = rest.strip_prefix(settings.path.as_str())?.strip_prefix('/')?;
    }
    Some(format!("{}{rest}", settings.prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_stripped_and_selected_by_folder() {
        let to = |name: &str, strip_components, path: &str, prefix: &str| {
            let settings = Archive {
                strip_components,
                path: path.to_owned(),
                prefix: prefix.to_owned(),
                ..Archive::default()
            };
            target(&parse(name.as_bytes()).unwrap().unwrap(), &settings)
        };
        assert_eq!(to("a/b.sql", 0, "", ""), Some("a/b.sql".to_owned()));
        assert_eq!(to("./a/b.sql", 0, "", "sql/"), Some("sql/a/b.sql".to_owned()));
        assert_eq!(to("repo-1/a/b.sql", 1, "a", ""), Some("b.sql".to_owned()));
        assert_eq!(to("repo-1/ab/b.sql", 1, "a", ""), None);
        assert_eq!(to("repo-1/a", 1, "a", ""), None);
        assert_eq!(to("a.sql", 1, "", ""), None);
    }

    #[test]
    fn paths_outside_of_the_root_are_refused_before_stripping() {
        for name in ["..", "../a", "a/../b", "/etc/passwd", "/", "a//b", "././a", "a\0"] {
            parse(name.as_bytes()).unwrap_err();
        }
        for name in ["", ".", "./"] {
            assert_eq!(parse(name.as_bytes()).unwrap(), None, "{name}");
        }
        assert!(parse(b"\xff").unwrap_err().to_string().contains("is not UTF-8"));
    }
}
