//! References to variables, as Kubernetes expands them in a container's `command`, `args` and `env`.
//!
//! `$(NAME)` is a reference, `$$` stands for one `$`, and everything else stands for itself: a `$(` without its
//! `)`, too (kubernetes/kubernetes, `third_party/forked/golang/expansion/expand.go`).

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Stands for itself.
    Text(&'a str),
    /// Stands for the value of the variable of this name; for itself where there is no such variable.
    Reference(&'a str),
}

/// The parts of `text`, in their order.
pub fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    let mut closes = true;
    std::iter::from_fn(move || {
        let (piece, after) = next(rest, &mut closes)?;
        rest = after;
        Some(piece)
    })
}

/// `closes` turns false once no `)` is left: without it, a text of many `$(` would be searched to its end for each.
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

/// The names that `text` refers to, in their order.
pub fn references(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).filter_map(|piece| match piece {
        Piece::Reference(name) => Some(name),
        Piece::Text(_) => None,
    })
}

/// `text` with every reference replaced by what `value` gives for its name. A reference for which it gives nothing
/// stays as it is.
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

/// What a reference reads like that cannot be resolved.
#[must_use]
pub fn unresolved(name: &str) -> String {
    ["$(", name, ")"].concat()
}

/// `text` so that it is expanded to itself.
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

    /// The cases of Kubernetes' own test, but for names (`expand_test.go`).
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

    /// The square of their number would take minutes.
    #[test]
    fn many_references_that_do_not_end_are_searched_once() {
        let text = "$(".repeat(1_000_000);
        assert_eq!(pieces(&text).filter(|piece| *piece == Piece::Text("$")).count(), 1_000_000);
        assert_eq!(expand(&text, |_| None), text.as_bytes());
    }

    #[test]
    fn finds_what_a_text_refers_to() {
        assert_eq!(references("$(A)$$(B) $(with.dot)$(C").collect::<Vec<_>>(), ["A", "with.dot"]);
    }

    proptest! {
        #[test]
        fn what_is_escaped_is_expanded_to_itself(text in "[$()Aé]{0,20}") {
            prop_assert_eq!(expanded(&escape(&text)), text);
        }
    }
}
