//! Every message with a code that Bootlace's programs in a pod, its servers and its command line print:
//! `tests/messages.txt` shows them, so that a change of wording is one difference in one file. The refusals
//! of the webhook are in the same file, by `core/tests/messages`. Other tests compare codes or variants.
//!
//! `UPDATE_MESSAGES=1 cargo test -p bootlace --lib messages` writes this part of the file.
#![allow(clippy::disallowed_methods, reason = "a test reads the environment and its own files")]

mod boot;
mod cli;
mod monitor;
mod sidecar;
#[path = "../../tests/messages/snapshot.rs"]
mod snapshot;
mod store;
mod wait;

use std::collections::BTreeSet;

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
        ('6', [cli::messages(), monitor::messages()].concat()),
    ]
}

#[test]
fn messages_are_those_of_the_snapshot() {
    let mut lines = BTreeSet::new();
    let mut digits = BTreeSet::new();
    for (digit, messages) in programs() {
        digits.insert(digit);
        for (code, message) in messages {
            assert!(
                code.as_str().starts_with(&format!("BL{digit}")),
                "{code} is not a code of this program: {message}"
            );
            lines.insert(format!("{code}  {message}"));
        }
    }
    let is_ours = |line: &str| line.chars().nth(2).is_some_and(|digit| digits.contains(&digit));
    snapshot::check(&lines, is_ours, "-p bootlace --lib messages");
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
