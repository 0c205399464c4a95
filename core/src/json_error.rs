//! Errors of JSON that may contain secrets, without any of its values.

/// Describes an error. The parser's own message quotes a value of the wrong type, so it is only used if it
/// merely names fields.
#[must_use]
pub fn describe(error: &serde_json::Error) -> String {
    const NAME_FIELDS: [&str; 4] = ["missing field", "unknown field", "duplicate field", "unknown variant"];
    let sentence = error.to_string();
    if NAME_FIELDS.iter().any(|start| sentence.starts_with(start)) {
        return sentence;
    }
    let kind = match error.classify() {
        serde_json::error::Category::Data => "a value of the wrong type",
        _ => "not JSON",
    };
    format!("{kind} at line {} column {}", error.line(), error.column())
}
