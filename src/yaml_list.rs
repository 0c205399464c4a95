//! An annotation whose value is a YAML list.

use serde_json::Value;

/// The entries.
///
/// # Errors
/// Why it is no list, in a few words.
pub(crate) fn read(text: &str) -> Result<Vec<Value>, String> {
    match serde_saphyr::from_str(text) {
        Ok(Value::Array(entries)) => Ok(entries),
        Ok(_) => Err("it is no list".to_owned()),
        Err(error) => {
            // Below its first line the parser shows an excerpt.
            let message = error.to_string();
            Err(message.lines().next().unwrap_or_default().trim_end_matches([':', '.']).to_owned())
        }
    }
}
