//! Templates of profiles: text with values of the task.
//!
//! The engine is a restricted minijinja: undefined and empty values are errors, and there are no files, no
//! includes, no functions, and only the filters in [`FILTERS`]. Values of a pod are untrusted, so each value
//! is escaped for its [`Slot`]: it can be a component of a path and never becomes two.
//!
//! A template is checked when its profile is read ([`check`] finds errors that do not depend on the pod), and
//! rendered at admission ([`render`]) with values of the pod only ([`Context`]). What is rendered for most
//! pods is compiled once ([`Templates`]). A [`Condition`] is an expression of the same language.

mod compiled;
mod context;
mod filter;
mod lint;
mod slot;
mod used_maps;

use std::io::{self, Write};
use std::sync::{Arc, LazyLock};

use minijinja::{Environment, ErrorKind, UndefinedBehavior};

use lint::TextKind;

pub use compiled::{Condition, TemplateId, Templates};
pub use context::Context;
pub use lint::{ABORT_VARIABLES, FILTERS, POST_KILL_VARIABLES, VARIABLES};
pub use slot::Slot;
pub use used_maps::UsedMaps;

/// Maximum bytes of the result of a template. The size of the boot configuration is limited too.
const MAX_BYTES: usize = 256 * 1024;
/// Fuel of the engine for one rendering. A template of a hundred lines needs a few hundred.
const FUEL: u64 = 50_000;

/// An error in a template that does not depend on the pod.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTemplateSyntax {
    /// The syntax is invalid.
    #[error("line {line}: {message}: put text that is not a template between {{% raw %}} and {{% endraw %}}")]
    Syntax {
        /// The line, counted from 1.
        line: usize,
        /// The message of the engine.
        message: String,
    },
    /// It uses an unknown filter.
    #[error("line {line}: filter {name:?} not found: use one of {}", FILTERS.join(", "))]
    UnknownFilter {
        /// The line, counted from 1.
        line: usize,
        /// The filter.
        name: String,
    },
    /// It uses an unknown variable.
    #[error("variable {name:?} not found: use one of {}", known.join(", "))]
    UnknownVariable {
        /// The variable.
        name: String,
        /// The variables that exist here.
        known: &'static [&'static str],
    },
    /// In JSON, it inserts a value outside of a string.
    #[error(
        "line {line}: a value in JSON must be in a string or be converted to a number: write \"{{{{ … }}}}\" or `… | int`"
    )]
    NotInString {
        /// The line, counted from 1.
        line: usize,
    },
    /// A condition cannot be parsed.
    #[error(
        "not a valid condition ({message}): write an expression without braces, such as `labels.team == \"a\"`"
    )]
    Condition {
        /// The message of the engine.
        message: String,
    },
    /// It uses a construct that is not supported.
    #[error("line {line}: {construct} is not supported in templates of a BootProfile")]
    Unsupported {
        /// The line, counted from 1.
        line: usize,
        /// The construct.
        construct: &'static str,
    },
}

/// Why a template cannot be rendered for a pod.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A variable is undefined or empty.
    #[error(
        "template variable {variable} is undefined or empty ({reason}): {remedy}, or write `{variable} | default(\"…\")` in \
         the profile"
    )]
    Undefined {
        /// The variable, as in a template.
        variable: String,
        /// The places that were searched, or why it is unknown.
        reason: String,
        /// How to define it.
        remedy: String,
    },
    /// A value is not allowed in its slot.
    #[error("{0}")]
    Refused(String),
    /// It needs too many steps, or its result is too large.
    #[error("the template takes too many steps or its result exceeds {} KiB: shorten it", MAX_BYTES / 1024)]
    TooLarge,
}

/// Whether `text` contains an expression. If not, it need not be rendered.
#[must_use]
pub fn is_one(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|start| text.contains(start))
}

/// Checks a template for `slot`.
///
/// # Errors
/// If it cannot work for any pod: invalid syntax, an unknown filter or variable, or a value that `slot` does
/// not allow.
pub fn check(text: &str, slot: Slot) -> Result<(), InvalidTemplateSyntax> {
    check_with(text, slot, VARIABLES)
}

/// Checks a template for `slot` that is rendered with other variables than those of a pod.
///
/// # Errors
/// See [`check`].
pub fn check_with(
    text: &str,
    slot: Slot,
    variables: &'static [&'static str],
) -> Result<(), InvalidTemplateSyntax> {
    let template = engine(slot).template_from_str(text).map_err(|error| syntax_error(&error))?;
    lint::variables(template.undeclared_variables(false), variables)?;
    lint::tokens(text, TextKind::Template)?;
    if slot == Slot::Json { lint::json(text) } else { Ok(()) }
}

fn syntax_error(error: &minijinja::Error) -> InvalidTemplateSyntax {
    InvalidTemplateSyntax::Syntax {
        line: error.line().unwrap_or(1),
        message: error.detail().unwrap_or("the template cannot be parsed").to_owned(),
    }
}

/// Renders the template `text`, which [`check`] has accepted, with values escaped for `slot`.
///
/// # Errors
/// If a variable is undefined, or its value is not allowed in the slot.
pub fn render(text: &str, context: &Context, slot: Slot) -> Result<String, RenderError> {
    let template = engine(slot).template_from_str(text).map_err(|error| render_error(&error, context))?;
    let text = evaluate(&template, context)?;
    slot.check(&text).map_err(RenderError::Refused)?;
    Ok(text)
}

/// The result of a template, of limited size.
fn evaluate(template: &minijinja::Template<'_, '_>, context: &Context) -> Result<String, RenderError> {
    let mut out = Bounded(Vec::new());
    template
        .render_captured_to(context.root(), &mut out)
        .map(drop)
        .map_err(|error| render_error(&error, context))?;
    String::from_utf8(out.0).map_err(|error| RenderError::Refused(error.to_string()))
}

/// Why a template or condition cannot be evaluated with `context`.
fn render_error(error: &minijinja::Error, context: &Context) -> RenderError {
    match error.kind() {
        ErrorKind::UndefinedError => match context.missed() {
            Some(MissedVariable { variable, reason, remedy }) => {
                RenderError::Undefined { variable, reason, remedy }
            }
            None => RenderError::Refused(error.to_string()),
        },
        ErrorKind::OutOfFuel | ErrorKind::WriteFailure => RenderError::TooLarge,
        _ => RenderError::Refused(error.detail().map_or_else(|| error.to_string(), str::to_owned)),
    }
}

/// A writer with a limit.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len().saturating_add(bytes.len()) > MAX_BYTES {
            return Err(io::Error::other("too large"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The engine for a slot. The engines differ in how they escape values.
fn engine(slot: Slot) -> &'static Environment<'static> {
    type Engine = LazyLock<Environment<'static>>;
    static TEXT: Engine = LazyLock::new(|| build(Slot::Text));
    static URL_PATH: Engine = LazyLock::new(|| build(Slot::UrlPath));
    static FORM: Engine = LazyLock::new(|| build(Slot::Form));
    static JSON: Engine = LazyLock::new(|| build(Slot::Json));
    static FILE_PATH: Engine = LazyLock::new(|| build(Slot::FilePath));
    static IMAGE_REFERENCE: Engine = LazyLock::new(|| build(Slot::ImageReference));
    static HEADER: Engine = LazyLock::new(|| build(Slot::Header));
    static NAME: Engine = LazyLock::new(|| build(Slot::Name));
    static ATTRIBUTE: Engine = LazyLock::new(|| build(Slot::Attribute));
    match slot {
        Slot::Text => &TEXT,
        Slot::UrlPath => &URL_PATH,
        Slot::Form => &FORM,
        Slot::Json => &JSON,
        Slot::FilePath => &FILE_PATH,
        Slot::ImageReference => &IMAGE_REFERENCE,
        Slot::Header => &HEADER,
        Slot::Name => &NAME,
        Slot::Attribute => &ATTRIBUTE,
    }
}

fn build(slot: Slot) -> Environment<'static> {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    // The final newline of a file is part of it.
    engine.set_keep_trailing_newline(true);
    engine.set_fuel(Some(FUEL));
    engine.add_filter("replace", filter::replace);
    engine.add_filter("join", filter::join);
    // The formatter is called for every value, whatever the template specifies (`| safe`, `{% autoescape
    // %}`).
    engine.set_formatter(move |out, _, value| {
        let refused = |message: String| minijinja::Error::new(ErrorKind::InvalidOperation, message);
        if value.is_none() || value.as_object().is_some() {
            return Err(refused(format!("{value} is not a string or a number: use one of its fields")));
        }
        out.write_str(&slot.encode(&value.to_string()).map_err(refused)?).map_err(minijinja::Error::from)
    });
    engine
}

/// A variable that a template uses and that is undefined or empty.
#[derive(Debug)]
struct MissedVariable {
    /// The variable, as in a template.
    variable: String,
    /// The places that were searched, or why it is unknown.
    reason: String,
    /// How to define it.
    remedy: String,
}

/// The name of a variable that is undefined or empty.
#[derive(Debug)]
struct MissedName {
    /// The map that does not contain it; `None` for a variable itself.
    map: Option<&'static str>,
    name: String,
}

/// The last missed name. The values of a context share it.
type Missed = Arc<std::sync::Mutex<Option<MissedName>>>;

#[cfg(test)]
mod tests;
