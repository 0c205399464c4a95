//! What can be wrong with a template whatever the pod: found when the profile is read, not when a pod takes the branch.

use minijinja::machinery::{Token, WhitespaceConfig, tokenize};
use minijinja::syntax::SyntaxConfig;

use super::Unreadable;

/// The variables of a template; see [`Context`](super::Context).
pub const VARIABLES: &[&str] = &[
    "scheduler",
    "workflow",
    "run",
    "task",
    "attempt",
    "mapIndex",
    "scheduledTime",
    "namespace",
    "pod",
    "labels",
    "annotations",
    "env",
];

/// The filters of a template, as Jinja has them. Left out are those that make text out of nothing (`format`, `indent`),
/// so that what a template gives is bounded by what it is given.
pub const FILTERS: &[&str] = &[
    "capitalize",
    "default",
    "first",
    "int",
    "join",
    "last",
    "length",
    "lower",
    "replace",
    "split",
    "string",
    "title",
    "trim",
    "upper",
];

/// Refuses variables that no pod has.
pub(super) fn variables(template: &minijinja::Template<'_, '_>) -> Result<(), Unreadable> {
    let mut unknown: Vec<_> = template
        .undeclared_variables(false)
        .into_iter()
        .filter(|name| !VARIABLES.contains(&name.as_str()))
        .collect();
    // A set has no order, and the same profile must give the same message on each replica.
    unknown.sort();
    unknown.into_iter().next().map_or(Ok(()), |name| Err(Unreadable::UnknownVariable { name }))
}

/// The tokens of a template, each with its line. What cannot be read was refused before.
fn tokens_of(text: &str) -> Vec<(Token<'_>, usize)> {
    tokenize(text, false, SyntaxConfig, WhitespaceConfig::default())
        .filter_map(Result::ok)
        .map(|(token, span)| (token, usize::from(span.start_line)))
        .collect()
}

/// Refuses an expression in JSON that stands outside of a string and is no number: a value could then add to the JSON's
/// own structure. Strings are followed through the template's own text as it stands; what a branch does to them is seen
/// in what the template gives, which must be JSON.
pub(super) fn json(text: &str) -> Result<(), Unreadable> {
    let tokens = tokens_of(text);
    let mut inside = false;
    for (position, (token, line)) in tokens.iter().enumerate() {
        match token {
            Token::TemplateData(text) => inside = ends_in_string(text, inside),
            Token::VariableStart if !inside => {
                let end =
                    tokens.iter().skip(position).position(|(token, _)| matches!(token, Token::VariableEnd));
                let last =
                    |back: usize| tokens.get((position + end?).checked_sub(back)?).map(|(token, _)| token);
                if !matches!((last(2), last(1)), (Some(Token::Pipe), Some(Token::Ident("int" | "length")))) {
                    return Err(Unreadable::NotInString { line: *line });
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether a string of JSON is open behind `text`, where one `is_open` before it.
fn ends_in_string(text: &str, is_open: bool) -> bool {
    let mut escaped = false;
    text.bytes().fold(is_open, |open, byte| {
        let quote = byte == b'"' && !escaped;
        escaped = open && byte == b'\\' && !escaped;
        open != quote
    })
}

/// Refuses filters that are not there, and what makes much out of little: calls and products (which repeat a text).
pub(super) fn tokens(text: &str) -> Result<(), Unreadable> {
    let tokens = tokens_of(text);
    for (position, (token, line)) in tokens.iter().enumerate() {
        let line = *line;
        let at = |position: usize| tokens.get(position).map(|(token, _)| token);
        let next = at(position + 1);
        let before = position.checked_sub(1).and_then(at);
        let named = match (token, next) {
            (Token::Pipe, Some(Token::Ident(name))) => Some(name),
            (Token::BlockStart, Some(Token::Ident("filter"))) => match at(position + 2) {
                Some(Token::Ident(name)) => Some(name),
                _ => None,
            },
            _ => None,
        };
        if let Some(name) = named.filter(|name| !FILTERS.contains(name)) {
            return Err(Unreadable::UnknownFilter { line, name: (*name).to_owned() });
        }
        let what = match (before, token, next) {
            (_, Token::Mul | Token::Pow, _) => "a product",
            // Filters and tests take parentheses too, and so may what follows a word of the language.
            (Some(Token::Pipe | Token::Ident("is" | "not" | "filter")), Token::Ident(_), _)
            | (_, Token::Ident("if" | "elif" | "in" | "and" | "or" | "not" | "else" | "is"), _) => continue,
            (_, Token::Ident(_), Some(Token::ParenOpen)) => "a call",
            _ => continue,
        };
        return Err(Unreadable::NotOffered { line, what });
    }
    Ok(())
}
