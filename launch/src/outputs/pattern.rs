//! A pattern for the names in one folder, as in a shell: `*`, `?`, `[a-z]` and `[!a-z]`.
//!
//! The `glob` crate matches the same, and the tests hold this to it; in this binary it would be 3.5 KB.

use std::str::Chars;

/// A pattern that was read.
pub(super) struct Pattern<'a>(&'a str);

impl<'a> Pattern<'a> {
    /// Whether a text is more than a name.
    pub(super) fn is_in(text: &str) -> bool {
        text.contains(['*', '?', '['])
    }

    /// Takes a pattern whose brackets are closed.
    pub(super) fn new(text: &'a str) -> Option<Self> {
        let mut rest = text.chars();
        while let Some(char) = rest.next() {
            if char == '[' {
                Set::read(&mut rest)?;
            }
        }
        Some(Self(text))
    }

    /// Whether a name matches as a whole. A dot that hides it must be in the pattern.
    pub(super) fn matches(&self, name: &str) -> bool {
        if name.starts_with('.') && !self.0.starts_with('.') {
            return false;
        }
        let (mut pattern, mut name) = (self.0.chars(), name.chars());
        // Where the last `*` goes on, and what of the name it has not taken yet. Earlier ones need not be tried
        // again: what they could take more of, the last one can take as well.
        let mut star: Option<(Chars, Chars)> = None;
        loop {
            let rest = name.clone();
            let goes_on = match (pattern.next(), name.next()) {
                (None, None) => return true,
                (Some('*'), _) => {
                    name = rest;
                    star = Some((pattern.clone(), name.clone()));
                    continue;
                }
                (Some('?'), Some(_)) => true,
                (Some('['), Some(char)) => Set::read(&mut pattern).is_some_and(|set| set.holds(char)),
                (Some(expected), Some(char)) => expected == char,
                (None, Some(_)) | (Some(_), None) => false,
            };
            if goes_on {
                continue;
            }
            let Some((after, left)) = &mut star else { return false };
            if left.next().is_none() {
                return false;
            }
            (pattern, name) = (after.clone(), left.clone());
        }
    }
}

/// What stands between brackets.
struct Set<'a> {
    chars: Chars<'a>,
    /// `[!…]`: what it does not hold.
    inverted: bool,
}

impl<'a> Set<'a> {
    /// Reads what follows a `[`, up to and with the `]`; one that comes first is meant itself.
    fn read(rest: &mut Chars<'a>) -> Option<Self> {
        let inverted = rest.as_str().starts_with('!');
        if inverted {
            rest.next();
        }
        let all = rest.as_str();
        rest.next()?;
        while rest.next()? != ']' {}
        let len = all.len() - rest.as_str().len() - 1;
        Some(Self { chars: all.get(..len)?.chars(), inverted })
    }

    fn holds(&self, char: char) -> bool {
        let mut chars = self.chars.clone();
        let mut found = false;
        while let Some(first) = chars.next() {
            let mut ahead = chars.clone();
            match (ahead.next(), ahead.next()) {
                (Some('-'), Some(last)) => {
                    found |= (first..=last).contains(&char);
                    chars = ahead;
                }
                _ => found |= first == char,
            }
        }
        found != self.inverted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glob::MatchOptions;
    use proptest::prelude::*;

    /// What the library says.
    fn by_glob(pattern: &str, name: &str) -> Option<bool> {
        let options = MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        Some(glob::Pattern::new(pattern).ok()?.matches_with(name, options))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]
        #[test]
        fn matches_as_the_library_does(
            pattern in "[ab*?.é\\-]{0,4}(\\[!?[ab\\-é.\\]]{1,4}\\])?[a*?\\[]{0,3}",
            name in "[abé\\-][abé.\\-]{0,5}",
        ) {
            // The library takes two for folders.
            let pattern = pattern.replace("****", "*").replace("***", "*").replace("**", "*");
            prop_assert_eq!(Pattern::new(&pattern).map(|pattern| pattern.matches(&name)), by_glob(&pattern, &name));
        }
    }

    #[test]
    fn hidden_files_are_named_by_their_dot() {
        let matches = |pattern, name| Pattern::new(pattern).unwrap().matches(name);
        assert!(matches(".*", ".a") && matches(".[a]", ".a") && matches("a.*", "a.b"));
        assert!(
            !matches("*", ".a") && !matches("?a", ".a") && !matches("[.]a", ".a") && !matches("*.a", ".a")
        );
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = "a*".repeat(50) + "b";
        assert!(!Pattern::new(&pattern).unwrap().matches(&"a".repeat(250)));
    }
}
