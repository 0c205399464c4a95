//! What each task container finds beside the boot env: which of its own variables win, what of its spec refers to the
//! boot env, and the env as the kubelet reads it, where that is the way.

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
    /// Its name.
    pub(crate) name: &'a str,
    /// The names that its own spec sets and boot has, too.
    pub(crate) keep: BTreeSet<&'a str>,
    /// Its references file; none where it refers to nothing.
    pub(crate) references: Option<Vec<u8>>,
    /// The kubelet's env file; none where the env takes another way.
    pub(crate) env_file: Option<Vec<u8>>,
}

/// What each container of `spec` gets with `content`. `env` is boot's own, in which it finds the names of what the
/// kubelet will give to the containers.
///
/// # Errors
/// Where the kubelet cannot be handed the env by file.
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
    spec.keep.iter().map(|(name, kept)| one(spec, name, kept, content, env, report)).collect()
}

fn one<'a>(
    spec: &'a BootSpec<'_>,
    container: &'a str,
    kept: &'a [std::borrow::Cow<'_, str>],
    content: &MergedContent<'_>,
    env: &'a [(OsString, OsString)],
    report: &BootLog<'_>,
) -> Result<ContainerFiles<'a>, BootError> {
    let held = spec.env_from_prefixes.get(container).into_iter().flat_map(|prefix| held_names(env, prefix));
    let held: BTreeSet<&str> = held.filter(|name| content.gives(name)).collect();
    for name in &held {
        report.log(&LogEvent::Retained { container, name });
    }
    let keep: BTreeSet<&str> = held.iter().copied().chain(kept.iter().map(|name| &**name)).collect();

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
            // A text that holds NUL reaches no process, so there is nothing to resolve.
            Record::new(OsStr::new(key), OsStr::new(&**text)).ok()
        };
        environ::encode(texts.iter().filter_map(record))
    });
    let built_on = spec.built_on.get(container);
    let in_file = |name: &str| {
        let built_on = || built_on.into_iter().flatten().any(|other| other == name);
        !held.contains(name) && (!keep.contains(name) || built_on())
    };
    let env_file = spec.file_keys.is_some().then(|| env_file(spec, content, in_file)).transpose()?;
    Ok(ContainerFiles { name: container, keep, references, env_file })
}

/// The names in boot's env that begin with `prefix`, without it.
fn held_names<'a>(env: &'a [(OsString, OsString)], prefix: &str) -> impl Iterator<Item = &'a str> {
    // What is not UTF-8 is no name that boot could give.
    env.iter().filter_map(move |(name, _)| name.to_str()?.strip_prefix(prefix))
}

/// The variables for which `is_in` holds, in the kubelet's dialect.
fn env_file(
    spec: &BootSpec<'_>,
    content: &MergedContent<'_>,
    is_in: impl Fn(&str) -> bool,
) -> Result<Vec<u8>, BootError> {
    let mut file = Vec::new();
    for (name, from) in content.env.iter().filter(|(name, _)| is_in(name.as_str())) {
        env_file::append(&mut file, name.as_str(), from.given.bytes()).map_err(|error| {
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
