//! The files of each task container in addition to the boot env: which variables of its spec take precedence,
//! which parts of its spec refer to the boot env, and the env file for the kubelet, if the env mode is
//! `File`.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};

use bootlace_launch::environ::{self, Record};

use super::BootError;
use super::env_file;
use super::event::LogEvent;
use super::merge::MergedContent;
use super::report::BootLog;
use bootlace_core::entry::can_be_sourced;
use bootlace_core::plan::BootSpec;

/// Files for one task container.
pub(crate) struct ContainerFiles<'a> {
    /// The name of the container.
    pub(crate) name: &'a str,
    /// Variables that both the container's spec and boot set.
    pub(crate) keep: BTreeSet<&'a str>,
    /// The references file, if the spec of the container has references.
    pub(crate) references: Option<Vec<u8>>,
    /// The env file for the kubelet, if the env mode is `File`.
    pub(crate) env_file: Option<Vec<u8>>,
}

/// Creates the files of each container of `spec`. `env` is the env of boot, which contains the names that the
/// kubelet will pass to the containers.
///
/// # Errors
/// If the kubelet cannot read a variable from the env file.
pub(crate) fn all<'a>(
    spec: &'a BootSpec<'_>,
    content: &MergedContent<'_>,
    env: &'a [(OsString, OsString)],
    report: &BootLog<'_>,
) -> Result<Vec<ContainerFiles<'a>>, BootError> {
    if let Some(keys) = &spec.file_keys {
        let stray = content.env.iter().find(|(name, _)| !keys.iter().any(|key| key == name.as_str()));
        if let Some((name, from)) = stray {
            let (name, source) = (name.to_string(), from.source.to_owned());
            return Err(BootError::NoFileKey {
                source_name: source,
                name,
                profile: spec.profile.name.clone(),
            });
        }
    }
    spec.keep.iter().map(|(name, kept)| for_container(spec, name, kept, content, env, report)).collect()
}

fn for_container<'a>(
    spec: &'a BootSpec<'_>,
    container: &'a str,
    kept: &'a [std::borrow::Cow<'_, str>],
    content: &MergedContent<'_>,
    env: &'a [(OsString, OsString)],
    report: &BootLog<'_>,
) -> Result<ContainerFiles<'a>, BootError> {
    let from_sources =
        spec.env_from_prefixes.get(container).into_iter().flat_map(|prefix| names_with_prefix(env, prefix));
    let retained: BTreeSet<&str> = from_sources.filter(|name| content.has_variable(name)).collect();
    for name in &retained {
        report.log(&LogEvent::Retained { container, name });
    }
    let keep: BTreeSet<&str> = retained.iter().copied().chain(kept.iter().map(|name| &**name)).collect();

    if spec.by_shell {
        let by_shell = content.env.iter().filter(|(name, _)| !keep.contains(name.as_str()));
        if let Some((name, from)) = by_shell.into_iter().find(|(name, _)| !can_be_sourced(name.as_str())) {
            let (source_name, name) = (from.source.to_owned(), name.to_string());
            return Err(BootError::NotForShell { source_name, name, profile: spec.profile.name.clone() });
        }
    }

    let texts = spec.references.get(container);
    let references = texts.map(|texts| {
        let record = |(key, text): &'a (String, std::borrow::Cow<'_, str>)| {
            // A string with NUL cannot be passed to a process, so there is nothing to resolve.
            Record::new(OsStr::new(key), OsStr::new(&**text)).ok()
        };
        environ::encode(texts.iter().filter_map(record))
    });
    let built_on = spec.built_on.get(container);
    let in_file = |name: &str| {
        let built_on = || built_on.into_iter().flatten().any(|other| other == name);
        !retained.contains(name) && (!keep.contains(name) || built_on())
    };
    let env_file = spec.file_keys.is_some().then(|| env_file(spec, content, in_file)).transpose()?;
    Ok(ContainerFiles { name: container, keep, references, env_file })
}

/// The names in the env of boot that start with `prefix`, without the prefix.
fn names_with_prefix<'a>(env: &'a [(OsString, OsString)], prefix: &str) -> impl Iterator<Item = &'a str> {
    // Boot only sets names in UTF-8.
    env.iter().filter_map(move |(name, _)| name.to_str()?.strip_prefix(prefix))
}

/// The variables that `is_in` selects, in the format of the kubelet.
fn env_file(
    spec: &BootSpec<'_>,
    content: &MergedContent<'_>,
    is_in: impl Fn(&str) -> bool,
) -> Result<Vec<u8>, BootError> {
    let mut file = Vec::new();
    for (name, from) in content.env.iter().filter(|(name, _)| is_in(name.as_str())) {
        env_file::append(&mut file, name.as_str(), from.value.bytes()).map_err(|error| {
            BootError::NotInFile {
                source_name: from.source.to_owned(),
                name: name.to_string(),
                profile: spec.profile.name.clone(),
                error,
            }
        })?;
    }
    Ok(file)
}
