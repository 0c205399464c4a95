//! What can be wrong with a template whatever the pod: found when the profile is read, not when a pod takes the branch.

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
pub(super) fn variables(template: &minijinja::Template<'_, '_>) -> Result<(), InvalidTemplateSyntax> {
    let mut unknown: Vec<_> = template
        .undeclared_variables(false)
        .into_iter()
        .filter(|name| !VARIABLES.contains(&name.as_str()))
        .collect();
    // A set has no order, and the same profile must give the same message on each replica.
    unknown.sort();
    unknown.into_iter().next().map_or(Ok(()), |name| Err(InvalidTemplateSyntax::UnknownVariable { name }))
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
pub(super) fn json(text: &str) -> Result<(), InvalidTemplateSyntax> {
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
                    return Err(InvalidTemplateSyntax::NotInString { line: *line });
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

/// Texts that a template may put together, by `~` or `+`. Each can have what the API server allows for a pod's
/// annotations, 256 KiB, and the engine's steps do not count bytes.
const MAX_JOINED: usize = 64;

/// Refuses what makes a value out of a value that is already twice as large: a name that is given a concatenation, a list
/// or what a block writes could be given the same of itself next, and double with each line.
fn growth(tokens: &[(Token<'_>, usize)]) -> Result<(), InvalidTemplateSyntax> {
    let at = |position: usize| tokens.get(position).map(|(token, _)| token);
    let (mut assigns, mut joined) = (false, 0);
    for (position, (token, line)) in tokens.iter().enumerate() {
        let (before, next) = (position.checked_sub(1).and_then(at), at(position + 1));
        let is_number = |token| matches!(token, Some(&Token::Int(_) | &Token::Float(_)));
        let what = match token {
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
            // Of a text and a number there is no sum.
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
            // Behind a value it begins the name of a field.
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
        return Err(InvalidTemplateSyntax::NotOffered { line: *line, what });
    }
    Ok(())
}

/// Refuses filters that are not there, and what makes much out of little: calls and products (which repeat a text).
pub(super) fn tokens(text: &str) -> Result<(), InvalidTemplateSyntax> {
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
            return Err(InvalidTemplateSyntax::UnknownFilter { line, name: (*name).to_owned() });
        }
        let what = match (before, token, next) {
            (_, Token::Mul | Token::Pow, _) => "a multiplication or power",
            // Filters and tests take parentheses too, and so may what follows a word of the language.
            (Some(Token::Pipe | Token::Ident("is" | "not" | "filter")), Token::Ident(_), _)
            | (_, Token::Ident("if" | "elif" | "in" | "and" | "or" | "not" | "else" | "is"), _) => continue,
            (_, Token::Ident(_), Some(Token::ParenOpen)) => "a function call",
            _ => continue,
        };
        return Err(InvalidTemplateSyntax::NotOffered { line, what });
    }
    growth(&tokens)
}
