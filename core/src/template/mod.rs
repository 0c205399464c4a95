//! Templates of profiles: text that takes in what a pod tells of its task.
//!
//! The engine is minijinja, cut down: undefined is an error, and so is empty; no files, no includes, no functions, and
//! only the filters in [`FILTERS`]. What a pod says is untrusted, so wherever a value lands it is written for that
//! [`Slot`]: it can fill a path's segment and never become two of them.
//!
//! A template is checked when its profile comes into force ([`check`] finds what is wrong with it whatever the pod) and
//! rendered at admission ([`render`]), purely from the pod ([`Context`]).

mod context;
mod filter;
mod lint;
mod slot;

use std::io::{self, Write};
use std::sync::{Arc, LazyLock};

use minijinja::{Environment, ErrorKind, UndefinedBehavior};

pub use context::Context;
pub use lint::{FILTERS, VARIABLES};
pub use slot::Slot;

/// Bytes that one template may give. The whole of what boot is told is limited too.
const MAX_BYTES: usize = 256 * 1024;
/// Steps of the engine that one rendering may take; a hundred lines of template take some hundreds.
const FUEL: u64 = 50_000;

/// What is wrong with a template, whatever the pod.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTemplateSyntax {
    /// It is no template.
    #[error("line {line}: {message}: put text that is not a template between {{% raw %}} and {{% endraw %}}")]
    Syntax {
        /// The line, counted from 1.
        line: usize,
        /// What the engine says.
        message: String,
    },
    /// It uses a filter that is not there.
    #[error("line {line}: filter {name:?} not found: use one of {}", FILTERS.join(", "))]
    UnknownFilter {
        /// The line, counted from 1.
        line: usize,
        /// The filter.
        name: String,
    },
    /// It names a variable that is not there.
    #[error("variable {name:?} not found: use one of {}", VARIABLES.join(", "))]
    UnknownVariable {
        /// The variable.
        name: String,
    },
    /// In JSON, it writes a value outside of a string.
    #[error(
        "line {line}: a value in JSON must be in a string or be converted to a number: write \"{{{{ … }}}}\" or `… | int`"
    )]
    NotInString {
        /// The line, counted from 1.
        line: usize,
    },
    /// It uses a part of the language that profiles do not have.
    #[error("line {line}: {what} is not supported in templates of a BootProfile")]
    NotOffered {
        /// The line, counted from 1.
        line: usize,
        /// What it uses.
        what: &'static str,
    },
}

/// Why a template cannot be rendered for a pod.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A variable has no value.
    #[error(
        "template variable {variable} is undefined or empty ({reason}): {remedy}, or write `{variable} | default(\"…\")` in \
         the profile"
    )]
    Undefined {
        /// The variable, as a template writes it.
        variable: String,
        /// Where it was looked for, or why it is unknown.
        reason: String,
        /// How to define it.
        remedy: String,
    },
    /// A value cannot stand where the template puts it.
    #[error("{0}")]
    Refused(String),
    /// It takes too long or gives too much.
    #[error("the template takes too many steps or its result exceeds {} KiB: shorten it", MAX_BYTES / 1024)]
    TooLarge,
}

/// Whether `text` holds an expression at all. What does not need not be a template.
#[must_use]
pub fn is_one(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|start| text.contains(start))
}

/// Checks a template whose text goes to `slot`.
///
/// # Errors
/// Where no pod could make it work: its syntax, an unknown filter or variable, a value where `slot` has no room for one.
pub fn check(text: &str, slot: Slot) -> Result<(), InvalidTemplateSyntax> {
    let engine = engine(slot);
    let template = engine.template_from_str(text).map_err(|error| InvalidTemplateSyntax::Syntax {
        line: error.line().unwrap_or(1),
        message: error.detail().unwrap_or("the template cannot be parsed").to_owned(),
    })?;
    lint::variables(&template)?;
    lint::tokens(text)?;
    if slot == Slot::Json { lint::json(text) } else { Ok(()) }
}

/// What the template `text`, which was checked before, says for one pod, its values written for `slot`.
///
/// # Errors
/// Where a variable has no value, or one that cannot stand there.
pub fn render(text: &str, context: &Context, slot: Slot) -> Result<String, RenderError> {
    let failed = |error: &minijinja::Error| match error.kind() {
        ErrorKind::UndefinedError => match context.missed() {
            Some(MissedVariable { variable, reason, remedy }) => {
                RenderError::Undefined { variable, reason, remedy }
            }
            None => RenderError::Refused(error.to_string()),
        },
        ErrorKind::OutOfFuel | ErrorKind::WriteFailure => RenderError::TooLarge,
        _ => RenderError::Refused(error.detail().map_or_else(|| error.to_string(), str::to_owned)),
    };
    let mut out = Bounded(Vec::new());
    engine(slot)
        .template_from_str(text)
        .and_then(|template| template.render_captured_to(context.root(), &mut out).map(drop))
        .map_err(|error| failed(&error))?;
    let text = String::from_utf8(out.0).map_err(|error| RenderError::Refused(error.to_string()))?;
    slot.check(&text).map_err(RenderError::Refused)?;
    Ok(text)
}

/// Takes so much and no more.
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

/// The engine for a slot: they differ in how a value is written.
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
    match slot {
        Slot::Text => &TEXT,
        Slot::UrlPath => &URL_PATH,
        Slot::Form => &FORM,
        Slot::Json => &JSON,
        Slot::FilePath => &FILE_PATH,
        Slot::ImageReference => &IMAGE_REFERENCE,
        Slot::Header => &HEADER,
        Slot::Name => &NAME,
    }
}

fn build(slot: Slot) -> Environment<'static> {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    // A file's last newline belongs to it.
    engine.set_keep_trailing_newline(true);
    engine.set_fuel(Some(FUEL));
    engine.add_filter("replace", filter::replace);
    engine.add_filter("join", filter::join);
    // Every value that is written comes by here, whatever the template says of it (`| safe`, `{% autoescape %}`).
    engine.set_formatter(move |out, _, value| {
        let refused = |message: String| minijinja::Error::new(ErrorKind::InvalidOperation, message);
        if value.is_none() || value.as_object().is_some() {
            return Err(refused(format!("{value} is not a string or a number: use one of its fields")));
        }
        out.write_str(&slot.encode(&value.to_string()).map_err(refused)?).map_err(minijinja::Error::from)
    });
    engine
}

/// A variable that a template uses and that has no value.
#[derive(Debug)]
struct MissedVariable {
    /// As a template writes it.
    variable: String,
    /// Where it was looked for, or why it is unknown.
    reason: String,
    /// How to define it.
    remedy: String,
}

/// The last missed variable. The values of a context share it.
type Missed = Arc<std::sync::Mutex<Option<MissedVariable>>>;

#[cfg(test)]
mod tests;
