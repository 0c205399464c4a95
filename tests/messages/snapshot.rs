//! The snapshot of all messages, `tests/messages.txt`. The tests of three packages include this file, and
//! each compares and writes the lines of the programs in its package.

use std::collections::BTreeSet;
use std::path::Path;

/// Compares `messages`, as `CODE  MESSAGE`, with the lines of the file for which `is_ours` is true. With
/// `UPDATE_MESSAGES` in the env, it replaces these lines first. `test` runs the calling test, for the
/// failure.
pub(super) fn check(messages: &BTreeSet<String>, is_ours: impl Fn(&str) -> bool, test: &str) {
    assert!(messages.iter().all(|line| !line.contains('\n')), "a message has several lines: {messages:?}");
    let path = Path::new(env!("BOOTLACE_ROOT")).join("tests/messages.txt");
    if std::env::var_os("UPDATE_MESSAGES").is_some() {
        let file = std::fs::read_to_string(&path).unwrap();
        let mut lines: BTreeSet<_> = file.lines().filter(|line| !is_ours(line)).collect();
        lines.extend(messages.iter().map(String::as_str));
        let lines: Vec<_> = lines.into_iter().collect();
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    }
    let file = std::fs::read_to_string(path).unwrap();
    let snapshot: Vec<_> = file.lines().filter(|line| is_ours(line)).collect();
    let messages: Vec<_> = messages.iter().map(String::as_str).collect();
    assert_eq!(messages, snapshot, "run UPDATE_MESSAGES=1 cargo test {test}");
}
