//! Lists of names in messages.

/// The names in quotes, separated by commas: `"base", "side"`.
#[must_use]
pub fn quoted(names: &[impl AsRef<str>]) -> String {
    names.iter().map(|name| format!("{:?}", name.as_ref())).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_and_separated_by_commas() {
        assert_eq!(quoted(&["base", "a \"b\""]), r#""base", "a \"b\"""#);
        assert_eq!(quoted(&[] as &[&str]), "");
    }
}
