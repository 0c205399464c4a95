//! What the keys of a secret become: variables or files.

use std::collections::BTreeMap;

use bootlace_core::profile::vault::VaultSecret;
use serde_json::value::RawValue;

use crate::boot::exclude::ExcludedKeys;
use crate::boot::json::{self, JsonText, Object};
use crate::boot::sink::{EntryKind, Sink};
use crate::boot::source::SourceError;
use crate::boot::source::mounted::listed;

/// Writes the keys of `secret` to the sink: those in `items`, or all that are not excluded.
pub(super) fn write(secret: &VaultSecret, keys: Object<'_>, sink: &mut Sink<'_>) -> Result<(), SourceError> {
    if secret.items.is_empty() {
        return write_all(secret, keys, sink);
    }
    let mut values = BTreeMap::new();
    keys.each(|key, value| {
        // A null is no value, as for engines that leave out a part of their answer.
        if value.get() != "null" {
            values.insert(key, value);
        }
        Ok(())
    })?;
    for item in &secret.items {
        let value = values.get(&item.key).ok_or_else(|| missing_key(secret, &item.key, &values))?;
        write_key(secret, &item.key, &item.target, value, sink)?;
    }
    Ok(())
}

fn write_all(secret: &VaultSecret, keys: Object<'_>, sink: &mut Sink<'_>) -> Result<(), SourceError> {
    let mut excluded = ExcludedKeys::new(&secret.exclude);
    let mut nulls = Vec::new();
    keys.each(|key, value| {
        if excluded.excludes(&key) {
            return Ok(());
        }
        if value.get() == "null" {
            nulls.push(key);
            return Ok(());
        }
        write_key(secret, &key, &key, value, sink)
    })?;
    excluded.note(sink);
    if !nulls.is_empty() {
        let path = secret.api_path();
        sink.note(format!("left out of {path}, because they are null: {}", listed(nulls.iter())));
    }
    Ok(())
}

/// Writes a key with the name `target` after the prefix of the profile.
fn write_key(
    secret: &VaultSecret,
    key: &str,
    target: &str,
    value: &RawValue,
    sink: &mut Sink<'_>,
) -> Result<(), SourceError> {
    if value.get().starts_with(['[', '{']) {
        return Err(SourceError::Content(format!(
            "the value of {key:?} in {} is a list or an object: must be a string, a number or a boolean; leave it out with \
             exclude, or list the other keys in items",
            secret.api_path()
        )));
    }
    let name = format!("{}{target}", secret.prefix);
    let write = |text| json::write_text(text, EntryKind::new(secret.into, true), &name, sink);
    JsonText::parse(key, value).and_then(write).map_err(|error| error.with_key(key))
}

fn missing_key(secret: &VaultSecret, key: &str, values: &BTreeMap<String, &RawValue>) -> SourceError {
    let known = match values.len() {
        0 => "it has no keys".to_owned(),
        _ => format!("only {}", listed(values.keys())),
    };
    SourceError::Missing(format!(
        "key {key:?} not found in {}, {known}: correct items[].key, or add the key to the secret",
        secret.api_path()
    ))
}
