//! Every message with a code that Bootlace's programs in a pod, its servers and its command line print: `tests/messages.txt`
//! shows them, so that a change of wording is one difference in one file. The refusals of the webhook are in the same file, by
//! `core/tests/messages`. Other tests compare codes or variants.
//!
//! `UPDATE_MESSAGES=1 cargo test -p bootlace --lib messages` writes this part of the file.
#![allow(clippy::disallowed_methods, reason = "a test reads the environment and its own files")]

mod boot;
mod cli;
mod sidecar;
mod store;
mod wait;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bootlace_core::code::Code;

/// Examples of messages: the code, and the whole text as it is printed, without the code.
type Messages = Vec<(Code, String)>;

/// The programs, and the first digit of the numbers of their codes.
fn programs() -> [(char, Messages); 5] {
    [
        ('2', boot::messages()),
        ('3', wait::messages()),
        ('4', sidecar::messages()),
        ('5', store::messages()),
        ('6', cli::messages()),
    ]
}

#[test]
fn messages_are_those_of_the_snapshot() {
    let mut expected: BTreeMap<char, BTreeSet<String>> = BTreeMap::new();
    for (digit, messages) in programs() {
        let lines = expected.entry(digit).or_default();
        for (code, message) in messages {
            assert!(!message.contains('\n'), "a message has several lines: {message}");
            assert!(
                code.as_str().starts_with(&format!("BL{digit}")),
                "{code} is not a code of this program: {message}"
            );
            lines.insert(format!("{code}  {message}"));
        }
    }
    let is_ours = |line: &&str| line.chars().nth(2).is_some_and(|digit| expected.contains_key(&digit));

    let path = Path::new(env!("BOOTLACE_ROOT")).join("tests/messages.txt");
    if std::env::var_os("UPDATE_MESSAGES").is_some() {
        let file = std::fs::read_to_string(&path).unwrap();
        let mut lines: Vec<_> = file.lines().filter(|line| !is_ours(line)).collect();
        lines.extend(expected.values().flatten().map(String::as_str));
        lines.sort_unstable();
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    }
    let file = std::fs::read_to_string(path).unwrap();
    let snapshot: Vec<_> = file.lines().filter(is_ours).collect();
    let messages: Vec<_> = expected.values().flatten().map(String::as_str).collect();
    assert_eq!(messages, snapshot, "run UPDATE_MESSAGES=1 cargo test -p bootlace --lib messages");
}

#[test]
fn every_code_has_a_message() {
    let programs = programs();
    let codes: BTreeSet<_> =
        programs.iter().flat_map(|(_, messages)| messages).map(|(code, _)| *code).collect();
    let missing: Vec<_> = Code::ALL
        .iter()
        .filter(|code| programs.iter().any(|(digit, _)| code.as_str().starts_with(&format!("BL{digit}"))))
        .filter(|code| !codes.contains(code))
        .collect();
    assert!(missing.is_empty(), "no message has the code of {missing:?}");
}
