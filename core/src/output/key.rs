//! How a key is written where a name of an object could stand.

/// The key that `{{.Pipes.KEY}}` means, as KUDO writes it; none where the text is something else, or holds more.
#[must_use]
pub fn of_placeholder(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?.trim();
    inner.strip_prefix(".Pipes.").filter(|key| !key.contains(['{', '}', ' ']))
}

#[cfg(test)]
mod tests {
    use super::of_placeholder;

    #[test]
    fn a_placeholder_is_all_of_its_text() {
        for (text, key) in [
            ("{{.Pipes.A}}", Some("A")),
            (" {{ .Pipes.A-b.c }} ", Some("A-b.c")),
            ("{{.Params.A}}", None),
            ("x{{.Pipes.A}}", None),
            ("{{.Pipes.A}}{{.Pipes.B}}", None),
            ("A", None),
        ] {
            assert_eq!(of_placeholder(text), key, "{text}");
        }
    }
}
