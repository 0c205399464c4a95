//! What is wrong with JSON that may hold secrets, in words that quote none.

/// The parser's own sentence quotes the value where one has the wrong type, so it is only repeated where it names fields.
#[must_use]
pub fn describe(error: &serde_json::Error) -> String {
    const NAME_FIELDS: [&str; 4] = ["missing field", "unknown field", "duplicate field", "unknown variant"];
    let sentence = error.to_string();
    if NAME_FIELDS.iter().any(|start| sentence.starts_with(start)) {
        return sentence;
    }
    let kind = match error.classify() {
        serde_json::error::Category::Data => "a value of the wrong type",
        _ => "invalid JSON",
    };
    format!("{kind} at line {} column {}", error.line(), error.column())
}
