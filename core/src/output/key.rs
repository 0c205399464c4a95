//! Keys in place of the name of an object.

/// The key in `{{.Pipes.KEY}}`, the notation of KUDO; `None` if the text is anything else, or contains more.
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
