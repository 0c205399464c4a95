//! Finds errors that do not depend on the pod when the profile is read, not when the branch is rendered.

use std::collections::HashSet;

use minijinja::machinery::{Token, WhitespaceConfig, tokenize};
use minijinja::syntax::SyntaxConfig;

use super::InvalidTemplateSyntax;

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

/// The variables of a hook that runs when a task has ended; see `abort::HookEvent`.
pub const POST_KILL_VARIABLES: &[&str] = &[
    "scheduler",
    "workflow",
    "run",
    "task",
    "attempt",
    "mapIndex",
    "scheduledTime",
    "namespace",
    "pod",
    "podUid",
    "container",
    "start",
    "abort",
    "exitCode",
    "signal",
    "durationSeconds",
];

/// The variables of a hook that runs while a task is ended by others: without the last three, which describe
/// how it has ended.
pub const ABORT_VARIABLES: &[&str] = match POST_KILL_VARIABLES.split_last_chunk::<3>() {
    Some((known, _)) => known,
    None => &[],
};

/// The filters of a template, as in Jinja, without those that produce text from nothing (`format`, `indent`),
/// so that the size of the result is bounded by that of the input.
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

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextKind {
    /// Text with expressions in braces.
    Template,
    /// One expression, without braces.
    Expression,
}

/// Refuses variables that are not in `known`. `used` are all variables of a template that it does not set
/// itself.
pub(super) fn variables(
    used: HashSet<String>,
    known: &'static [&'static str],
) -> Result<(), InvalidTemplateSyntax> {
    let mut unknown: Vec<_> = used.into_iter().filter(|name| !known.contains(&name.as_str())).collect();
    // A set has no order, and every replica must have the same message for a profile.
    unknown.sort();
    let unknown = unknown.into_iter().next();
    unknown.map_or(Ok(()), |name| Err(InvalidTemplateSyntax::UnknownVariable { name, known }))
}

/// The tokens of a template with their lines. A template that cannot be parsed was refused before.
fn tokens_of(text: &str, kind: TextKind) -> Vec<(Token<'_>, usize)> {
    tokenize(text, kind == TextKind::Expression, SyntaxConfig, WhitespaceConfig::default())
        .filter_map(Result::ok)
        .map(|(token, span)| (token, usize::from(span.start_line)))
        .collect()
}

/// Refuses an expression in JSON that is neither in a string nor a number: a value could then change the
/// structure of the JSON. This tracks strings through the text of the template. The effect of branches is
/// covered by the check that the result is valid JSON.
pub(super) fn json(text: &str) -> Result<(), InvalidTemplateSyntax> {
    let tokens = tokens_of(text, TextKind::Template);
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
                    return Err(InvalidTemplateSyntax::NotInString { line: *line });
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether a JSON string is open after `text`, if one `is_open` before it.
fn ends_in_string(text: &str, is_open: bool) -> bool {
    let mut escaped = false;
    text.bytes().fold(is_open, |open, byte| {
        let quote = byte == b'"' && !escaped;
        escaped = open && byte == b'\\' && !escaped;
        open != quote
    })
}

/// Maximum number of `~` and `+` in a template. Each operand can have 256 KiB, the limit of the API server
/// for the annotations of a pod, and the fuel of the engine does not count bytes.
const MAX_JOINED: usize = 64;

/// Refuses assignments that can double a value: a variable that is assigned a concatenation, a list or a
/// block can be assigned the same of itself again, and double with each line.
fn growth(tokens: &[(Token<'_>, usize)]) -> Result<(), InvalidTemplateSyntax> {
    let at = |position: usize| tokens.get(position).map(|(token, _)| token);
    let (mut assigns, mut joined) = (false, 0);
    for (position, (token, line)) in tokens.iter().enumerate() {
        let (before, next) = (position.checked_sub(1).and_then(at), at(position + 1));
        let is_number = |token| matches!(token, Some(&Token::Int(_) | &Token::Float(_)));
        let construct = match token {
            Token::BlockStart => {
                let rest = tokens.iter().skip(position).map(|(token, _)| token);
                let mut block = rest.take_while(|token| !matches!(token, Token::BlockEnd));
                assigns = matches!(next, Some(Token::Ident("set" | "with")));
                match next {
                    Some(Token::Ident("filter")) => "a filter block",
                    Some(Token::Ident("set")) if !block.any(|token| matches!(token, Token::Assign)) => {
                        "a set block"
                    }
                    _ => continue,
                }
            }
            Token::BlockEnd => {
                assigns = false;
                continue;
            }
            // A string and a number cannot be added.
            Token::Plus if is_number(before) || is_number(next) => continue,
            Token::Tilde | Token::Plus => {
                joined += 1;
                match () {
                    () if assigns => "a concatenation in set or with",
                    () if joined > MAX_JOINED => "a template with more than 64 concatenations",
                    () => continue,
                }
            }
            Token::BraceOpen if assigns => "a map in set or with",
            // After a value, it starts the name of a field.
            Token::BracketOpen
                if assigns
                    && !matches!(
                        before,
                        Some(Token::Ident(_) | Token::BracketClose | Token::ParenClose | Token::Str(_))
                    ) =>
            {
                "a list in set or with"
            }
            _ => continue,
        };
        return Err(InvalidTemplateSyntax::Unsupported { line: *line, construct });
    }
    Ok(())
}

/// Refuses unknown filters, and constructs whose result is much larger than their input: calls and
/// multiplications (which repeat a string).
pub(super) fn tokens(text: &str, kind: TextKind) -> Result<(), InvalidTemplateSyntax> {
    let tokens = tokens_of(text, kind);
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
            return Err(InvalidTemplateSyntax::UnknownFilter { line, name: (*name).to_owned() });
        }
        let construct = match (before, token, next) {
            (_, Token::Mul | Token::Pow, _) => "a multiplication or power",
            // Filters and tests can also have parentheses, and so can what follows a keyword.
            (Some(Token::Pipe | Token::Ident("is" | "not" | "filter")), Token::Ident(_), _)
            | (_, Token::Ident("if" | "elif" | "in" | "and" | "or" | "not" | "else" | "is"), _) => continue,
            (_, Token::Ident(_), Some(Token::ParenOpen)) => "a function call",
            _ => continue,
        };
        return Err(InvalidTemplateSyntax::Unsupported { line, construct });
    }
    growth(&tokens)
}
