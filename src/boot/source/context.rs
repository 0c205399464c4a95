//! `context`: variables that connect the task to its run. The webhook has computed their values, except for
//! resource attributes that only the kubelet knows.

use std::ffi::OsString;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use super::{FetchSource, SourceError};
use crate::boot::sink::Sink;
use bootlace_core::entry::Rename;
use bootlace_core::names;
use bootlace_core::plan::boot_spec::ContextSource;
use bootlace_core::telemetry::resource;

/// The variables of a source. They are part of the spec and of the env, so there is nothing to wait for.
pub(super) struct ContextVariables<'a> {
    source: &'a ContextSource,
    env: &'a [(OsString, OsString)],
}

impl<'a> ContextVariables<'a> {
    pub(super) fn new(source: &'a ContextSource, env: &'a [(OsString, OsString)]) -> Self {
        Self { source, env }
    }

    fn write_to(&self, sink: &mut Sink<'_>) -> Result<(), SourceError> {
        for note in &self.source.left_out {
            sink.note(note.clone());
        }
        for (name, value) in &self.source.env {
            sink.env(name, value.clone().into_bytes())?;
        }
        if let Some(attributes) = &self.source.attributes {
            let mut attributes = attributes.clone();
            for field in resource::POD_FIELDS {
                if let Some(value) = self.variable(field.variable) {
                    // An annotation of the pod can set it too.
                    attributes.entry(field.attribute.to_owned()).or_insert_with(|| value.to_owned());
                }
            }
            sink.env(names::ENV_RESOURCE_ATTRIBUTES, resource::encode(&attributes).into_bytes())?;
        }
        Ok(())
    }

    /// A variable of boot, if it has a value.
    fn variable(&self, name: &str) -> Option<&'a str> {
        let (_, value) = self.env.iter().find(|(key, _)| key == name)?;
        value.to_str().filter(|value| !value.is_empty())
    }
}

impl FetchSource for ContextVariables<'_> {
    fn title(&self) -> String {
        "context".to_owned()
    }

    fn rename(&self) -> Rename {
        Rename::Inline
    }

    fn fetch<'a>(&'a self, sink: &'a mut Sink<'_>) -> LocalBoxFuture<'a, Result<(), SourceError>> {
        async { self.write_to(sink) }.boxed_local()
    }
}
