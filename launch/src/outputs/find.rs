//! The files that a declared path or pattern means.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::handover::MAX_FILES;
use glob::{MatchOptions, Pattern};

use super::OutputErrorKind;
use crate::deadline::Deadline;

/// How many folders a pattern may lead through at once.
const MAX_FOLDERS: usize = 10_000;

/// As in a shell: a `*` does not mean hidden files.
const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// What the path or pattern means, in the order of names; nothing where there is no such file.
///
/// The folders are walked here and not by the library that matches the names, because that one reads a folder as a
/// whole, however many files are in it.
pub(super) fn find(file: &OsStr, deadline: Deadline) -> Result<Vec<PathBuf>, OutputErrorKind> {
    // A pattern is text; a path need not be.
    let Some(pattern) = file.to_str().filter(|text| text.contains(['*', '?', '['])) else {
        return Ok(exists(Path::new(file))?.then(|| PathBuf::from(file)).into_iter().collect());
    };
    let bad = |why| OutputErrorKind::Pattern(file.to_owned(), why);
    if pattern.ends_with('/') {
        return Err(bad("it ends with `/`, which means folders"));
    }
    let mut paths = vec![PathBuf::from(if pattern.starts_with('/') { "/" } else { "" })];
    let mut parts = pattern.split('/').filter(|part| !part.is_empty()).peekable();
    while let Some(part) = parts.next() {
        if part.contains("**") {
            return Err(bad("`**` is not known; write a `*` for each folder on the way"));
        }
        if part.contains(['*', '?', '[']) {
            let pattern = Pattern::new(part).map_err(|error| bad(error.msg))?;
            let max = if parts.peek().is_none() { MAX_FILES } else { MAX_FOLDERS };
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
            // A sort of the whole would be code that a hundred names do not need.
            let at = found.partition_point(|other| other.as_os_str() < path.as_os_str());
            found.insert(at, path);
        }
        if found.len() > MAX_FILES {
            return Err(OutputErrorKind::TooMany);
        }
    }
    Ok(found)
}

/// What in the folders has a name that matches.
fn matching(
    folders: &[PathBuf],
    pattern: &Pattern,
    max: usize,
    deadline: Deadline,
) -> Result<Vec<PathBuf>, OutputErrorKind> {
    let mut found = Vec::new();
    for folder in folders {
        let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let unreadable = |error| OutputErrorKind::Unreadable(folder.clone(), error);
        let entries = match fs::read_dir(here) {
            Ok(entries) => entries,
            Err(error) if is_absent(&error) => continue,
            Err(error) => return Err(unreadable(error)),
        };
        for entry in entries {
            let name = entry.map_err(unreadable)?.file_name();
            // A name that is no text is no key of an object either.
            if name.to_str().is_some_and(|name| pattern.matches_with(name, OPTIONS)) {
                found.push(folder.join(name));
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

/// Whether there is something, be it a link that leads nowhere.
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
    fn a_path_is_taken_as_it_is_and_a_pattern_as_in_a_shell() {
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
    fn a_pattern_that_would_be_misunderstood_is_refused() {
        let dir = tree(&["a"]);
        for file in ["**/a", "x**", "*/", "[a"] {
            assert!(matches!(found(&dir, file), Err(OutputErrorKind::Pattern(..))), "{file}");
        }
    }

    #[test]
    fn a_name_that_is_no_text_is_a_path_but_matches_nothing() {
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
