//! Shortens messages that repeat input of a caller: an annotation can have 256 KiB, and neither a response
//! nor a log line should contain all of it.

use std::borrow::Cow;

/// Maximum characters of a quoted text or of a word.
const MAX_PIECE: usize = 256;
/// Maximum characters of a message: of its start, and of its end, which contains the remedy.
const MAX_START: usize = 3072;
const MAX_END: usize = 1024;

/// Shortens a message: each quoted text and each word to 256 characters, and the whole to about 4,000
/// characters. Omissions are shown as `…`.
#[must_use]
pub fn shorten<'t>(sentence: impl Into<Cow<'t, str>>) -> Cow<'t, str> {
    let sentence = sentence.into();
    if sentence.len() <= MAX_PIECE {
        return sentence;
    }
    let short = pieces(&sentence);
    let count = short.chars().count();
    if count > MAX_START + MAX_END {
        let start: String = short.chars().take(MAX_START).collect();
        let end: String = short.chars().skip(count - MAX_END).collect();
        return Cow::Owned(format!("{start}…{end}"));
    }
    if short.len() == sentence.len() { sentence } else { Cow::Owned(short) }
}

fn pieces(sentence: &str) -> String {
    let mut short = String::with_capacity(sentence.len().min(4 * (MAX_START + MAX_END)));
    let (mut quoted, mut escaped, mut length) = (false, false, 0_usize);
    for character in sentence.chars() {
        let quote = character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        if quote || (!quoted && character.is_whitespace()) {
            quoted ^= quote;
            length = 0;
            short.push(character);
            continue;
        }
        length += 1;
        if length <= MAX_PIECE {
            short.push(character);
        } else if length == MAX_PIECE + 1 {
            short.push('…');
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_short_stays_as_it_is() {
        for text in ["", "pod \"a\": no such profile \"b\"", &"word ".repeat(600)] {
            assert_eq!(shorten(text), text);
        }
    }

    #[test]
    fn long_pieces_and_long_sentences_are_cut_and_the_remedy_stays() {
        let long = "x".repeat(1000);
        let spaced = "a b ".repeat(300);
        for piece in [&long, &spaced, &format!("\\\"{spaced}"), &format!("\\\\{long}")] {
            let short = shorten(format!("the value {piece:?} is wrong: write another")).into_owned();
            assert!(short.ends_with("…\" is wrong: write another") && short.len() < 400, "{short}");
        }
        let short = shorten(format!("the value {long} is wrong: write another")).into_owned();
        assert!(short.ends_with("x… is wrong: write another") && short.len() < 400, "{short}");
        let short = shorten(format!("{}: write another", "a b ".repeat(60_000))).into_owned();
        assert!(short.ends_with(": write another") && short.len() < 4200, "{}", short.len());
        // An unbalanced quotation mark does not circumvent the limit.
        let short = shorten(format!("\"{}", "a ".repeat(60_000))).into_owned();
        assert!(short.chars().count() < 300);
    }
}
