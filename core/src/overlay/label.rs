//! The syntax of labels, and of the names of containers and volumes. The API server would refuse others, and
//! not name the overlay.
//! <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set>

/// Maximum characters of the value of a label, and of the name in its key.
const MAX_LABEL: usize = 63;
/// Maximum characters of the prefix of a key.
const MAX_PREFIX: usize = 253;

/// Whether it is the value of a label: empty, or letters, digits, `-`, `_` and `.` between letters or digits.
pub(super) fn is_value(text: &str) -> bool {
    text.is_empty() || is_name(text)
}

/// Whether it is the key of a label or annotation: `example.com/team` or `team`.
pub(super) fn is_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => {
            prefix.len() <= MAX_PREFIX && prefix.split('.').all(is_dns_label) && is_name(name)
        }
        None => is_name(text),
    }
}

/// Whether it is the name of a container or volume.
pub(super) fn is_dns_label(text: &str) -> bool {
    let is_character = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.len() <= MAX_LABEL
        && !text.is_empty()
        && text.bytes().all(is_character)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_name(text: &str) -> bool {
    let is_character = |byte: u8| byte.is_ascii_alphanumeric() || [b'-', b'_', b'.'].contains(&byte);
    let is_end = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    text.len() <= MAX_LABEL
        && text.bytes().all(is_character)
        && is_end(text.bytes().next())
        && is_end(text.bytes().last())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keys_and_names_are_those_of_kubernetes() {
        for (text, value, key, name) in [
            ("", true, false, false),
            ("a", true, true, true),
            ("A_b.c-1", true, true, false),
            ("-a", false, false, false),
            ("a-", false, false, false),
            ("a b", false, false, false),
            ("example.com/team", false, true, false),
            ("Example.com/team", false, false, false),
            ("/team", false, false, false),
            ("a/b/c", false, false, false),
            (&"x".repeat(63), true, true, true),
            (&"x".repeat(64), false, false, false),
        ] {
            assert_eq!((is_value(text), is_key(text), is_dns_label(text)), (value, key, name), "{text:?}");
        }
    }
}
