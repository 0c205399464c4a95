//! Counts the values in a JSON text before they use memory.

/// Whether `text` contains more than `limit` values. This counts commas and opening brackets outside of
/// strings, whose number differs from the number of values by one or two. Text that is not JSON has a count
/// too.
pub(super) fn has_more_than(limit: usize, text: &[u8]) -> bool {
    // Each value has at least one byte, so most reviews are short enough without counting.
    if text.len() <= limit {
        return false;
    }
    let (mut count, mut in_string, mut escaped) = (0, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b',' | b'[' | b'{' if !in_string => count += 1,
            _ => {}
        }
    }
    count > limit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_but_not_the_content_of_strings() {
        for (text, values) in [
            (format!("[{}1]", "1,".repeat(10)), 11),
            (format!(r#"{{"a":"{}"}}"#, ",[{\\\",".repeat(10)), 1),
            ("[".repeat(20), 20),
            (format!("[{}]", ["{}"; 10].join(",")), 20),
        ] {
            assert!(has_more_than(values - 1, text.as_bytes()), "{text}");
            assert!(!has_more_than(values, text.as_bytes()), "{text}");
        }
        assert!(!has_more_than(0, b""));
    }
}
