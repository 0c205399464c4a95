//! The size of the source files: what neither rustfmt nor clippy checks.

use std::fs;
use std::path::{Path, PathBuf};

/// The folders with source files of the project.
const FOLDERS: [&str; 7] = ["benches", "core", "fuzz", "image", "launch", "src", "tests"];

/// Maximum lines of a file, with its tests. A longer one has more than one concept.
const MAX_LINES: usize = 500;

/// Maximum columns of a comment: `max_width` in rustfmt.toml, because rustfmt does not wrap comments.
const MAX_COLUMNS: usize = 110;

fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("BOOTLACE_ROOT"));
    let mut files = Vec::new();
    for folder in FOLDERS {
        super::imports::find(&root.join(folder), &mut files);
    }
    // Packages outside of the workspace have their own target folder.
    files.retain(|file| !file.components().any(|part| part.as_os_str() == "target"));
    assert!(files.len() > 300, "{} files", files.len());
    files.into_iter().map(|file| (file.clone(), fs::read_to_string(file).unwrap())).collect()
}

#[test]
fn no_file_has_too_many_lines() {
    let sources = sources();
    let too_long = sources.iter().map(|(file, text)| (file, text.lines().count()));
    let too_long: Vec<_> = too_long.filter(|(_, lines)| *lines > MAX_LINES).collect();
    assert!(too_long.is_empty(), "split these files by concept: {too_long:#?}");
}

#[test]
fn no_comment_is_too_wide() {
    let mut too_wide = Vec::new();
    for (file, text) in &sources() {
        let lines = text.lines().enumerate().filter(|(_, line)| is_too_wide(line));
        too_wide.extend(lines.map(|(index, _)| format!("{}:{}", file.display(), index + 1)));
    }
    assert!(too_wide.is_empty(), "wrap these comments at {MAX_COLUMNS} columns: {too_wide:#?}");
}

/// Whether a line is a comment that is too wide. Rows of tables and addresses cannot be wrapped.
fn is_too_wide(line: &str) -> bool {
    let Some(comment) = line.trim_start().strip_prefix("//") else { return false };
    let comment = comment.trim_start_matches(['/', '!', ' ']);
    line.chars().count() > MAX_COLUMNS && !comment.starts_with('|') && comment.contains(' ')
}

#[test]
fn wide_comments_are_found() {
    let wide = "a word and another ".repeat(6);
    assert!(is_too_wide(&format!("    /// {wide}")));
    assert!(!is_too_wide(&format!("/// | {wide} |")));
    assert!(!is_too_wide(&format!("//! <https://{}>", "path/".repeat(30))));
    assert!(!is_too_wide(&format!("let text = \"{wide}\"; // short")));
    assert!(!is_too_wide("/// short"));
}
