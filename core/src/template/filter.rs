//! Filters whose result can be much larger than their input: like those of the engine, but limited to the
//! size of a template result. The fuel of the engine does not limit the work of a filter.

use std::borrow::Cow;

use minijinja::{Error, ErrorKind, Value};

use super::MAX_BYTES;

/// `replace`: replaces each `from` in the value with `to`.
#[allow(clippy::needless_pass_by_value, reason = "the engine passes arguments by value")]
pub(super) fn replace(value: Cow<'_, str>, from: Cow<'_, str>, to: Cow<'_, str>) -> Result<String, Error> {
    let found = value.matches(from.as_ref()).count();
    check_size(value.len().saturating_add(found.saturating_mul(to.len())))?;
    Ok(value.replace(from.as_ref(), &to))
}

/// `join`: concatenates the values with `joiner` between them.
pub(super) fn join(values: &Value, joiner: Option<Cow<'_, str>>) -> Result<String, Error> {
    let joiner = joiner.unwrap_or_default();
    let mut whole = String::new();
    for (position, value) in values.try_iter()?.enumerate() {
        if value.as_object().is_some() {
            let message = "join accepts strings and numbers, but one of the values is a list or a map";
            return Err(Error::new(ErrorKind::InvalidOperation, message));
        }
        let text = value.as_str().map_or_else(|| Cow::Owned(value.to_string()), Cow::Borrowed);
        let joiner = if position == 0 { "" } else { joiner.as_ref() };
        check_size(whole.len().saturating_add(joiner.len()).saturating_add(text.len()))?;
        whole.push_str(joiner);
        whole.push_str(&text);
    }
    Ok(whole)
}

fn check_size(bytes: usize) -> Result<(), Error> {
    if bytes > MAX_BYTES { Err(Error::new(ErrorKind::OutOfFuel, "too large")) } else { Ok(()) }
}
