//! References to variables, as Kubernetes expands them in a container's `command`, `args` and `env`.
//!
//! `$(NAME)` is a reference, `$$` is an escaped `$`, and all other text is literal, including `$(` without
//! `)` (kubernetes/kubernetes, `third_party/forked/golang/expansion/expand.go`).

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Literal text.
    Text(&'a str),
    /// A reference to the variable of this name. Literal text if there is no such variable.
    Reference(&'a str),
}

/// Splits `text` into its parts.
pub fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    let mut closes = true;
    std::iter::from_fn(move || {
        let (piece, after) = next(rest, &mut closes)?;
        rest = after;
        Some(piece)
    })
}

/// `closes` becomes false when no `)` is left. Otherwise, each of many `$(` would cause a search to the end
/// of the text.
fn next<'a>(text: &'a str, closes: &mut bool) -> Option<(Piece<'a>, &'a str)> {
    let dollar = text.find('$').unwrap_or(text.len());
    if dollar > 0 {
        let (before, after) = text.split_at_checked(dollar)?;
        return Some((Piece::Text(before), after));
    }
    let after = text.strip_prefix('$')?;
    if let Some(rest) = after.strip_prefix('$') {
        return Some((Piece::Text("$"), rest));
    }
    let reference = after.strip_prefix('(').filter(|_| *closes);
    match reference.map(|reference| reference.split_once(')')) {
        Some(Some((name, rest))) => Some((Piece::Reference(name), rest)),
        Some(None) => {
            *closes = false;
            Some((Piece::Text("$"), after))
        }
        None => Some((Piece::Text("$"), after)),
    }
}

/// The names of the references in `text`, in their order.
pub fn references(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).filter_map(|piece| match piece {
        Piece::Reference(name) => Some(name),
        Piece::Text(_) => None,
    })
}

/// Replaces each reference in `text` with its `value`. A reference without a value stays unchanged.
#[must_use]
pub fn expand<'v>(text: &str, value: impl Fn(&str) -> Option<&'v [u8]>) -> Vec<u8> {
    let mut expanded = Vec::with_capacity(text.len());
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => expanded.extend_from_slice(text.as_bytes()),
            Piece::Reference(name) => match value(name) {
                Some(value) => expanded.extend_from_slice(value),
                None => expanded.extend_from_slice(unresolved(name).as_bytes()),
            },
        }
    }
    expanded
}

/// The text of a reference that cannot be resolved.
#[must_use]
pub fn unresolved(name: &str) -> String {
    ["$(", name, ")"].concat()
}

/// Escapes `text`, so that its expansion is the same text.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace('$', "$$")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn expanded(text: &str) -> String {
        let value = |name: &str| match name {
            "A" => Some(&b"1"[..]),
            "B" => Some(&b"$(A)$$"[..]),
            "EMPTY" => Some(&b""[..]),
            _ => None,
        };
        String::from_utf8(expand(text, value)).unwrap()
    }

    /// The cases of the test of Kubernetes (`expand_test.go`), with other names.
    #[test]
    fn expands_as_kubernetes_does() {
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("$(A)", "1"),
            ("x$(A)y$(A)", "x1y1"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$1"),
            ("$$$$(A)", "$$(A)"),
            ("$(B)", "$(A)$$"),
            ("$(EMPTY)|", "|"),
            ("$(C)-$(A)", "$(C)-1"),
            ("$()", "$()"),
            ("$(A", "$(A"),
            ("$(A$(A)", "$(A$(A)"),
            ("$((A))", "$((A))"),
            ("$A ${A} $", "$A ${A} $"),
            ("$", "$"),
            ("$$", "$"),
            ("$é$(A)", "$é1"),
            ("$)$(A)", "$)1"),
        ] {
            assert_eq!(expanded(text), expected, "{text:?}");
        }
    }

    /// Quadratic time would take minutes.
    #[test]
    fn many_unterminated_references_take_linear_time() {
        let text = "$(".repeat(1_000_000);
        assert_eq!(pieces(&text).filter(|piece| *piece == Piece::Text("$")).count(), 1_000_000);
        assert_eq!(expand(&text, |_| None), text.as_bytes());
    }

    #[test]
    fn finds_the_names_of_references() {
        assert_eq!(references("$(A)$$(B) $(with.dot)$(C").collect::<Vec<_>>(), ["A", "with.dot"]);
    }

    proptest! {
        #[test]
        fn expand_reverses_escape(text in "[$()Aé]{0,20}") {
            prop_assert_eq!(expanded(&escape(&text)), text);
        }
    }
}
