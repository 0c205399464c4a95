//! Finds the files of a declared path or pattern.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::handover::MAX_FILES;
use glob::{MatchOptions, Pattern};

use super::OutputErrorKind;
use crate::deadline::Deadline;

/// The maximum number of directories in one step of a pattern.
const MAX_DIRECTORIES: usize = 10_000;

/// As in a shell: `*` does not match hidden files.
const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// Finds the files of a path or pattern, sorted by name. Returns none if there is no such file.
///
/// The library that matches the names could also walk the directories, but it reads each directory as a
/// whole, whatever the number of its files.
pub(super) fn find(file: &OsStr, deadline: Deadline) -> Result<Vec<PathBuf>, OutputErrorKind> {
    // A pattern is UTF-8; a path can be anything.
    let Some(pattern) = file.to_str().filter(|text| text.contains(['*', '?', '['])) else {
        return Ok(exists(Path::new(file))?.then(|| PathBuf::from(file)).into_iter().collect());
    };
    let invalid = |reason| OutputErrorKind::Pattern(file.to_owned(), reason);
    if pattern.ends_with('/') {
        return Err(invalid("must not end with `/`"));
    }
    let mut paths = vec![PathBuf::from(if pattern.starts_with('/') { "/" } else { "" })];
    let mut parts = pattern.split('/').filter(|part| !part.is_empty()).peekable();
    while let Some(part) = parts.next() {
        if part.contains("**") {
            return Err(invalid("`**` is not supported: use one `*` for each directory"));
        }
        if part.contains(['*', '?', '[']) {
            let pattern = Pattern::new(part).map_err(|error| invalid(error.msg))?;
            let max = if parts.peek().is_none() { MAX_FILES } else { MAX_DIRECTORIES };
            paths = matching(&paths, &pattern, max, deadline)?;
        } else {
            for path in &mut paths {
                path.push(part);
            }
        }
    }
    let mut found: Vec<PathBuf> = Vec::new();
    for path in paths {
        if exists(&path)? {
            // Insertion into a sorted vector is less code than a sort, and fast enough for a hundred names.
            let at = found.partition_point(|other| other.as_os_str() < path.as_os_str());
            found.insert(at, path);
        }
        if found.len() > MAX_FILES {
            return Err(OutputErrorKind::TooMany);
        }
    }
    Ok(found)
}

/// The entries of the directories with a matching name.
fn matching(
    directories: &[PathBuf],
    pattern: &Pattern,
    max: usize,
    deadline: Deadline,
) -> Result<Vec<PathBuf>, OutputErrorKind> {
    let mut found = Vec::new();
    for directory in directories {
        let path = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        let unreadable = |error| OutputErrorKind::Unreadable(directory.clone(), error);
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) if is_absent(&error) => continue,
            Err(error) => return Err(unreadable(error)),
        };
        for entry in entries {
            let name = entry.map_err(unreadable)?.file_name();
            // A name that is not UTF-8 is not a valid key either.
            if name.to_str().is_some_and(|name| pattern.matches_with(name, OPTIONS)) {
                found.push(directory.join(name));
            }
            if found.len() > max {
                return Err(OutputErrorKind::TooMany);
            }
            if deadline.left().is_none() {
                return Err(OutputErrorKind::Deadline(deadline.limit()));
            }
        }
    }
    Ok(found)
}

/// Whether the path exists. True for a link without a target.
fn exists(path: &Path) -> Result<bool, OutputErrorKind> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(OutputErrorKind::Unreadable(path.to_owned(), error)),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        dir
    }

    fn found(dir: &tempfile::TempDir, file: &str) -> Result<Vec<String>, OutputErrorKind> {
        let file = dir.path().join(file);
        let relative = |path: PathBuf| path.strip_prefix(dir.path()).unwrap().to_str().unwrap().to_owned();
        let paths = find(file.as_os_str(), Deadline::after(Duration::from_mins(1)))?;
        Ok(paths.into_iter().map(relative).collect())
    }

    #[test]
    fn a_path_is_literal_and_a_pattern_matches_as_in_a_shell() {
        let dir = tree(&[
            "b.txt",
            "a.txt",
            ".hidden.txt",
            "x/1/r.json",
            "x/2/r.json",
            "x/3/other",
            "x/file",
            "é?.txt",
        ]);
        symlink("nowhere", dir.path().join("dangling")).unwrap();
        for (file, expected) in [
            ("a.txt", &["a.txt"][..]),
            ("absent", &[]),
            ("a.txt/absent", &[]),
            ("dangling", &["dangling"]),
            ("x", &["x"]),
            ("*.txt", &["a.txt", "b.txt", "é?.txt"]),
            (".*.txt", &[".hidden.txt"]),
            ("[!a].txt", &["b.txt"]),
            ("?[?].txt", &["é?.txt"]),
            ("x/*/r.json", &["x/1/r.json", "x/2/r.json"]),
            ("x//[1-2]/r.*", &["x/1/r.json", "x/2/r.json"]),
            ("absent/*", &[]),
            ("a.txt/*", &[]),
            ("*.nothing", &[]),
        ] {
            assert_eq!(found(&dir, file).unwrap(), expected, "{file}");
        }
    }

    #[test]
    fn an_ambiguous_pattern_is_rejected() {
        let dir = tree(&["a"]);
        for file in ["**/a", "x**", "*/", "[a"] {
            assert!(matches!(found(&dir, file), Err(OutputErrorKind::Pattern(..))), "{file}");
        }
    }

    #[test]
    fn a_name_that_is_not_utf_8_can_be_a_path_but_matches_no_pattern() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(OsStr::from_bytes(b"\xff*"));
        fs::write(&path, "").unwrap();
        let deadline = Deadline::after(Duration::from_mins(1));
        assert_eq!(find(path.as_os_str(), deadline).unwrap(), [path]);
        assert!(found(&dir, "*").unwrap().is_empty());
    }

    #[test]
    fn ten_thousand_matches_are_not_collected() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..10_000 {
            fs::File::create(dir.path().join(number.to_string())).unwrap();
        }
        assert!(matches!(found(&dir, "*"), Err(OutputErrorKind::TooMany)));
        assert_eq!(found(&dir, "99?9").unwrap().len(), 10);
    }

    #[test]
    fn a_walk_ends_with_its_deadline() {
        let dir = tree(&["a"]);
        let deadline = Deadline::after(Duration::ZERO);
        assert!(matches!(
            find(dir.path().join("*").as_os_str(), deadline),
            Err(OutputErrorKind::Deadline(_))
        ));
    }
}
