//! The configuration of injected containers as JSON in env variables.

use serde::Serialize;

use super::PlanError;

/// Maximum bytes of the value of a variable. Linux limits a string in the env to 32 pages
/// (`MAX_ARG_STRLEN`), which includes the name and the NUL byte at the end.
pub(super) const MAX_VALUE_BYTES: usize = 32 * 4096 - 64;

/// Encodes a configuration as JSON without dollar signs. The kubelet expands `$(NAME)` and replaces `$$` in
/// the env of a container, so each dollar sign is written as a JSON escape.
/// <https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/>
pub(super) fn encode(config: &impl Serialize) -> Result<String, PlanError> {
    let json = serde_json::to_string(config).map_err(|error| PlanError::Serialization(error.to_string()))?;
    Ok(if json.contains('$') { json.replace('$', "\\u0024") } else { json })
}

/// Splits `json` into the values of as many variables as it needs.
pub(super) fn split(json: &str) -> Vec<&str> {
    let mut rest = json;
    let mut values = Vec::new();
    while !rest.is_empty() {
        let (value, after) = rest.split_at(rest.floor_char_boundary(MAX_VALUE_BYTES));
        values.push(value);
        rest = after;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollar_signs_are_json_escapes() {
        let json = encode(&["$(HOME)", "$$", "plain"]).unwrap();
        assert!(!json.contains('$'), "{json}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&json).unwrap(), ["$(HOME)", "$$", "plain"]);
    }

    #[test]
    fn long_json_is_split_at_characters() {
        assert_eq!(split(""), Vec::<&str>::new());
        let json = format!("a{}", "é".repeat(MAX_VALUE_BYTES));
        let values = split(&json);
        assert_eq!(values.len(), 3);
        assert!(values.iter().all(|value| value.len() <= MAX_VALUE_BYTES));
        assert_eq!(values.concat(), json);
    }
}
