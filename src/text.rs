//! Texts of other programs and libraries, for messages.

/// An error with its causes, because the outermost error often contains no details. A cause that an earlier
/// message contains is omitted.
pub(crate) fn error_chain(error: &dyn std::error::Error) -> String {
    // The trait is not imported: with it, `source` would be that of the reference.
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut messages: Vec<String> = Vec::new();
    for cause in causes.map(ToString::to_string) {
        if !messages.iter().any(|earlier| earlier.contains(&cause)) {
            messages.push(cause);
        }
    }
    messages.join(": ")
}

/// A text of another program as one line: control characters are replaced with spaces, so that it cannot
/// change a log or a terminal.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{message}")]
    struct Cause {
        message: &'static str,
        source: Option<Box<Cause>>,
    }

    #[test]
    fn each_cause_is_in_the_message_once() {
        let innermost = Cause { message: "connection refused", source: None };
        let middle = Cause { message: "tcp: connection refused", source: Some(Box::new(innermost)) };
        let error = Cause { message: "failed to connect", source: Some(Box::new(middle)) };
        assert_eq!(error_chain(&error), "failed to connect: tcp: connection refused");
    }

    #[test]
    fn control_characters_are_replaced() {
        assert_eq!(one_line("a\nb\u{1b}[31m\u{85}ä"), "a b [31m ä");
    }
}
