//! Rules that a schema cannot express. The API server evaluates them in CEL. Profiles from files are checked
//! with equivalent Rust code. Each rule is next to its type, in both languages, with one message.
//!
//! Evaluating CEL would add an interpreter to a binary that runs in every pod. `core/tests/profiles` contains
//! a violation of each rule: a test checks that the Rust code refuses it, and a scenario that the API server
//! does, with the same message.

use serde_json::{Value, json};

/// A part of a profile with rules.
pub(super) trait Validated: Sized + 'static {
    /// The rules.
    const RULES: &'static [CelRule<Self>];
}

/// A rule for a part of a profile.
pub(super) struct CelRule<T: 'static> {
    /// The rule in CEL. `self` is the part.
    pub(super) cel: &'static str,
    /// Message if the rule is violated.
    pub(super) message: &'static str,
    /// Whether the part complies with the rule.
    pub(super) is_met: fn(&T) -> bool,
}

/// A rule that a profile violates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct BrokenRule {
    /// The part that violates it: `spec.sources[1].http`.
    pub field: String,
    /// The message of the rule.
    pub message: String,
}

/// The rules of `T` in the format of the API server.
pub(super) fn cel<T: Validated>() -> Value {
    T::RULES.iter().map(|rule| json!({"rule": rule.cel, "message": rule.message})).collect()
}

/// Checks the rules of a part of a profile, which is at `field`.
pub(super) fn check<T: Validated>(field: &str, part: &T) -> Result<(), BrokenRule> {
    match T::RULES.iter().find(|rule| !(rule.is_met)(part)) {
        None => Ok(()),
        Some(rule) => Err(BrokenRule { field: field.to_owned(), message: rule.message.to_owned() }),
    }
}

/// Like [`check`], for a part that can be missing.
pub(super) fn check_optional<T: Validated>(field: &str, part: Option<&T>) -> Result<(), BrokenRule> {
    part.map_or(Ok(()), |part| check(field, part))
}
