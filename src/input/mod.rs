//! What a task takes from earlier tasks of its run: the counterpart of [`crate::output`]. Pure: what is stored is asked
//! and answered in values.
//!
//! ```text
//! fields and annotation of the pod, sources of the profile → what to look up → the newest that is meant → operations
//! ```
//!
//! | module | what it answers |
//! |---|---|
//! | `references` | which fields of the pod name an object by a pipe's key |
//! | `entries` | what does the annotation say |
//! | `choose` | which stored output does a key mean |
//! | `changes` | what becomes of the pod |
//! | `error` | why that cannot be, and whether it may pass |
//!
//! The operations come before those of the plan, which then sees a pod that names its objects itself: its env wins, its
//! paths are taken, and nothing in [`crate::plan`] knows more of it.

mod changes;
mod choose;
mod entries;
mod error;
mod references;

use json_patch::PatchOperation;
use serde_json::Value;

pub use error::{InputError, Passing};

use crate::identity::{self, Identity};
use crate::output::{Kind, Pipe};
use crate::pod::Pod;
use crate::profile::BootProfileSpec;
use changes::Changes;
use choose::Asked;
use entries::Entry;
use references::Reference;

/// The Pipes of each run that was asked about, as far as its label tells; or why they cannot be had.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answers(Vec<(Identity, Result<Vec<Pipe>, String>)>);

impl Answers {
    /// The answer for a run; none where it has not been asked about.
    #[must_use]
    pub fn get(&self, run: &Identity) -> Option<&Result<Vec<Pipe>, String>> {
        self.0.iter().find(|(asked, _)| asked == run).map(|(_, answer)| answer)
    }

    /// Adds the answer for a run.
    pub fn add(&mut self, run: Identity, answer: Result<Vec<Pipe>, String>) {
        self.0.push((run, answer));
    }
}

/// What a pod takes, and what it becomes by it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inputs {
    /// What names the objects in the pod.
    pub operations: Vec<PatchOperation>,
    /// What the profile's sources take, by their position; `None` for an optional one that is not stored.
    pub sources: Vec<(usize, Option<Taken>)>,
    /// Everything that is taken.
    pub taken: Vec<Taken>,
    /// What could not be looked up where nobody can, in words.
    pub left: Vec<String>,
    /// What the pod's author should know.
    pub warnings: Vec<String>,
}

/// A stored output that is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Its key.
    pub key: String,
    /// The object's kind.
    pub kind: Kind,
    /// The object's name.
    pub object: String,
}

impl std::fmt::Display for Taken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} {}", self.key, self.kind.as_str(), self.object)
    }
}

/// What resolving comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolved {
    /// This is what the pod takes.
    Inputs(Inputs),
    /// The Pipes of these runs must be looked up first.
    Ask(Vec<Identity>),
}

/// Resolves what `object`, read as `pod`, takes, and what the sources of its profile do. `answers` holds what was looked
/// up for it so far; without it nothing is to be looked up.
///
/// # Errors
/// Where it names what cannot be, or what is not stored yet.
pub fn resolve(
    object: &Value,
    pod: &Pod<'_>,
    containers: &[usize],
    profile: &BootProfileSpec,
    answers: Option<&Answers>,
) -> Result<Resolved, InputError> {
    let references = references::find(object)?;
    let entries = entries::of(pod)?;
    let sources: Vec<_> = profile
        .sources
        .iter()
        .enumerate()
        .filter_map(|(position, source)| Some((position, source, source.pipe.as_ref()?)))
        .collect();
    if references.is_empty() && entries.is_empty() && sources.is_empty() {
        return Ok(Resolved::Inputs(Inputs::default()));
    }
    let own = identity::identify(pod);
    let of_reference = |reference: &Reference| {
        // What an entry without a use of its own says is said for the placeholders.
        let entry = entries.iter().find(|entry| entry.key == reference.key && !entry.has_use());
        Asked::new(&reference.key, &own, entry)
    };
    let of_source = |pipe: &crate::profile::pipes::Pipe| {
        let entry = Entry { task: pipe.task.clone(), ..Entry::default() };
        Asked::new(&pipe.key, &own, Some(&entry))
    };
    let uses = || entries.iter().filter(|entry| entry.has_use());

    let Some(answers) = answers else {
        let named = references.iter().map(|reference| (reference.field.clone(), of_reference(reference)));
        let entered = uses().map(|entry| (entry.describe(), Asked::new(&entry.key, &own, Some(entry))));
        let sourced = sources
            .iter()
            .map(|(_, source, pipe)| (format!("source {:?} of the profile", source.name), of_source(pipe)));
        let left = named.chain(entered).chain(sourced).map(|(what, asked)| {
            format!("{what} takes {}: the webhook looks it up when the pod is created", asked.words())
        });
        let sources = sources.iter().map(|(position, ..)| (*position, None)).collect();
        return Ok(Resolved::Inputs(Inputs { left: left.collect(), sources, ..Inputs::default() }));
    };

    let mut runs: Vec<Identity> = Vec::new();
    let asked = references.iter().map(of_reference);
    let asked = asked.chain(uses().map(|entry| Asked::new(&entry.key, &own, Some(entry))));
    for asked in asked.chain(sources.iter().map(|(_, _, pipe)| of_source(pipe))) {
        if asked.run.run.is_none() {
            return Err(InputError::NoRun { asked: asked.words() });
        }
        if answers.get(&asked.run).is_none() && !runs.contains(&asked.run) {
            runs.push(asked.run);
        }
    }
    if !runs.is_empty() {
        return Ok(Resolved::Ask(runs));
    }
    let pick = |asked: &Asked| match answers.get(&asked.run) {
        Some(Ok(pipes)) => asked.choose(pipes),
        Some(Err(why)) => Err(InputError::Unknown { asked: asked.words(), why: why.clone() }),
        None => Err(InputError::Unknown { asked: asked.words(), why: "nobody was asked".to_owned() }),
    };

    let mut changes = Changes::new(pod, containers);
    for reference in &references {
        let asked = of_reference(reference);
        changes.name(reference, &asked, pick(&asked)?)?;
    }
    for (position, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.has_use()) {
        let asked = Asked::new(&entry.key, &own, Some(entry));
        changes.enter(position, entry, &asked, pick(&asked)?)?;
    }
    for (position, source, pipe) in sources {
        let asked = of_source(pipe);
        match pick(&asked) {
            Ok(found) => changes.source(position, found),
            Err(InputError::NotYet { .. }) if source.optional => {
                changes.without_source(position, &source.name, &asked);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Resolved::Inputs(changes.finish()))
}
