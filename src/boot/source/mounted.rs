//! `configMap` and `secret`: an object in the namespace of the pod, which the kubelet mounted with a file for
//! each key.

use std::path::Path;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use super::{FetchSource, SourceError};
use crate::boot::exclude::ExcludedKeys;
use crate::boot::sink::{EntryKind, Sink};
use crate::http::{Keys, read_object};
use bootlace_core::entry::Rename;
use bootlace_core::output::ObjectKind;
use bootlace_core::plan::boot_spec::MountedSource;

/// How many keys of an object an error lists.
const LISTED_KEYS: usize = 20;

/// An object that the kubelet mounted.
pub(super) struct MountedObject<'a> {
    object: &'a MountedSource,
}

impl<'a> MountedObject<'a> {
    pub(super) fn new(object: &'a MountedSource) -> Self {
        Self { object }
    }

    async fn write_to(&self, sink: &mut Sink<'_>) -> Result<(), SourceError> {
        let keys = read_object(Path::new(&self.object.path)).await?;
        if keys.is_empty() {
            return self.missing(sink);
        }
        if self.object.items.is_empty() {
            let mut excluded = ExcludedKeys::new(&self.object.exclude);
            for (key, content) in &keys {
                if !excluded.excludes(key) {
                    write_key(self.object, sink, key, key, content)?;
                }
            }
            excluded.note(sink);
        }
        for item in &self.object.items {
            match keys.get(&item.key) {
                Some(content) => write_key(self.object, sink, &item.key, &item.target, content)?,
                None => self.missing_key(&item.key, &keys, sink)?,
            }
        }
        Ok(())
    }

    fn missing(&self, sink: &mut Sink<'_>) -> Result<(), SourceError> {
        if self.object.optional {
            sink.note("skipped because it is optional: it does not exist, or has no keys".to_owned());
            return Ok(());
        }
        Err(SourceError::Missing(format!(
            "the {} does not exist in the pod's namespace, or has no keys: create it with its keys, or set optional: true \
             on the source",
            self.object.kind
        )))
    }

    fn missing_key(&self, key: &str, keys: &Keys, sink: &mut Sink<'_>) -> Result<(), SourceError> {
        if self.object.optional {
            sink.note(format!("skipped key {key:?} because the source is optional: it does not exist"));
            return Ok(());
        }
        let known = listed(keys.keys());
        Err(SourceError::Missing(format!(
            "key {key:?} not found, only {known}: correct items[].key, add the key to the {}, or set optional: true on the \
             source",
            self.object.kind
        )))
    }
}

/// The first of `keys`, for a message. Control characters in the names of other systems are escaped.
pub(super) fn listed<'k>(keys: impl ExactSizeIterator<Item = &'k String>) -> String {
    let more = if keys.len() > LISTED_KEYS { ", …" } else { "" };
    let first: Vec<_> = keys.take(LISTED_KEYS).map(|key| key.escape_debug().to_string()).collect();
    format!("{}{more}", first.join(", "))
}

impl FetchSource for MountedObject<'_> {
    fn title(&self) -> String {
        format!("{} {}", self.object.kind, self.object.name)
    }

    fn rename(&self) -> Rename {
        Rename::Keys
    }

    fn fetch<'a>(&'a self, sink: &'a mut Sink<'_>) -> LocalBoxFuture<'a, Result<(), SourceError>> {
        self.write_to(sink).boxed_local()
    }
}

/// Writes a key to the sink, with the name `target` after the prefix of the profile.
fn write_key(
    object: &MountedSource,
    sink: &mut Sink<'_>,
    key: &str,
    target: &str,
    content: &[u8],
) -> Result<(), SourceError> {
    let name = format!("{}{target}", object.prefix);
    let kind = EntryKind::new(object.into, object.kind == ObjectKind::Secret);
    sink.write_entry(kind, &name, content).map_err(|error| error.with_key(key))
}
