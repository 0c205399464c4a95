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
//! | [`spec`] | what of it does the pod wait for, as its own containers and the store are told |
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
pub mod spec;

pub use error::{InputError, Passing};
pub use spec::{Awaits, WaitSpec};

use crate::identity::{self, Identity};
use crate::output::{Kind, Pipe};
use crate::pod::{Container, Json, Operation, Pod};
use crate::profile::BootProfileSpec;
use crate::profile::spec::Source;
use changes::Changes;
use choose::Asked;
use entries::Entry;
use references::Reference;

/// Runs that one pod may take from. Each is a request to the API server that the pod's admission waits for.
const MAX_RUNS: usize = 8;

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
    pub operations: Vec<Operation>,
    /// What the containers in front of the task have to do with.
    pub boot: BootInputs,
    /// Everything that is taken.
    pub taken: Vec<Taken>,
    /// What could not be looked up where nobody can, in words.
    pub left: Vec<String>,
    /// What the pod's author should know.
    pub warnings: Vec<String>,
}

/// What of a pod's inputs the containers in front of its task have to do with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BootInputs {
    /// What the profile's sources take, by their position; `None` for an optional one that is not stored.
    pub sources: Vec<(usize, Option<Taken>)>,
    /// What the pod waits for.
    pub awaits: Vec<Awaits>,
    /// Whether one of the pod's own init containers takes some of that, and so has to wait, too.
    pub wait_first: bool,
}

/// An output that is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Its key.
    pub key: String,
    /// The object's kind.
    pub kind: Kind,
    /// The object's name.
    pub object: String,
    /// Whether it is not stored yet, and the pod waits for it.
    pub awaited: bool,
}

impl std::fmt::Display for Taken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let awaited = if self.awaited { " (awaited)" } else { "" };
        write!(f, "{}: {} {}{awaited}", self.key, self.kind.as_str(), self.object)
    }
}

/// What a key stands for.
enum Meant<'a> {
    /// A stored output.
    Stored(&'a Pipe),
    /// One that the pod waits for.
    Awaited(Box<Awaits>),
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
    object: &Json<'_>,
    pod: &Pod<'_>,
    tasks: &[&Container<'_>],
    profile: &BootProfileSpec,
    answers: Option<&Answers>,
) -> Result<Resolved, InputError> {
    let (references, entries) = (references::find(object)?, entries::of(pod)?);
    let takes_nothing = profile.sources.iter().all(|source| source.pipe.is_none());
    if references.is_empty() && entries.is_empty() && takes_nothing {
        return Ok(Resolved::Inputs(Inputs::default()));
    }
    let wants = wants(&identity::identify(pod), &references, &entries, profile);
    let Some(answers) = answers else { return Ok(Resolved::Inputs(left(&wants))) };

    let mut runs: Vec<Identity> = Vec::new();
    for Want { asked, .. } in &wants {
        if asked.run.run.is_none() {
            return Err(InputError::NoRun { asked: asked.words() });
        }
        if answers.get(&asked.run).is_none() && !runs.contains(&asked.run) {
            runs.push(asked.run.clone());
        }
    }
    if runs.len() > MAX_RUNS {
        return Err(InputError::ManyRuns { count: runs.len(), limit: MAX_RUNS });
    }
    if !runs.is_empty() {
        return Ok(Resolved::Ask(runs));
    }
    let mut changes = Changes::new(pod, tasks);
    for Want { goes, asked } in &wants {
        let found = pick(asked, answers);
        match *goes {
            Goes::Field(reference) => changes.name(reference, asked, meant(asked, found)?)?,
            Goes::Entry(position, entry) => changes.enter(position, entry, asked, meant(asked, found)?)?,
            Goes::Source(position, source) => match found {
                Err(InputError::NotYet { .. }) if source.optional => {
                    changes.without_source(position, &source.name, asked);
                }
                found => changes.source(position, found?),
            },
        }
    }
    Ok(Resolved::Inputs(changes.finish()))
}

/// A stored output that is taken, and where it goes.
struct Want<'w> {
    goes: Goes<'w>,
    asked: Asked,
}

/// Where it goes.
#[derive(Clone, Copy)]
enum Goes<'w> {
    /// A field names the object.
    Field(&'w Reference),
    /// An entry of the annotation, by its position.
    Entry(usize, &'w Entry),
    /// A source of the profile, by its position.
    Source(usize, &'w Source),
}

/// All that the pod of `own` takes.
fn wants<'w>(
    own: &Identity,
    references: &'w [Reference],
    entries: &'w [Entry],
    profile: &'w BootProfileSpec,
) -> Vec<Want<'w>> {
    let by_fields = references.iter().map(|reference| {
        // What an entry without a use of its own says is said for the placeholders.
        let entry = entries.iter().find(|entry| entry.key == reference.key && !entry.has_use());
        Want { goes: Goes::Field(reference), asked: Asked::new(&reference.key, own, entry) }
    });
    let by_entries =
        entries.iter().enumerate().filter(|(_, entry)| entry.has_use()).map(|(position, entry)| Want {
            goes: Goes::Entry(position, entry),
            asked: Asked::new(&entry.key, own, Some(entry)),
        });
    let by_sources = profile.sources.iter().enumerate().filter_map(|(position, source)| {
        let pipe = source.pipe.as_ref()?;
        let entry = Entry { task: pipe.task.clone(), ..Entry::default() };
        Some(Want { goes: Goes::Source(position, source), asked: Asked::new(&pipe.key, own, Some(&entry)) })
    });
    by_fields.chain(by_entries).chain(by_sources).collect()
}

/// What is taken where nothing can be looked up: nothing, and what it would be in words.
fn left(wants: &[Want<'_>]) -> Inputs {
    let mut inputs = Inputs::default();
    for Want { goes, asked } in wants {
        let what = match goes {
            Goes::Field(reference) => reference.field.clone(),
            Goes::Entry(_, entry) => entry.describe(),
            Goes::Source(position, source) => {
                inputs.boot.sources.push((*position, None));
                format!("source {:?} of the profile", source.name)
            }
        };
        let (asked, then) = (asked.words(), asked.wait.map_or_else(String::new, then_waits));
        inputs
            .left
            .push(format!("{what} takes {asked}: the webhook looks it up when the pod is created{then}"));
    }
    inputs
}

fn then_waits(seconds: u32) -> String {
    format!(", and where it is not stored yet the pod waits for it, {seconds} s at most")
}

/// What is found; where that is not stored yet, what the pod waits for, if it does.
fn meant<'a>(asked: &Asked, found: Result<&'a Pipe, InputError>) -> Result<Meant<'a>, InputError> {
    match found {
        Err(not_yet @ InputError::NotYet { .. }) => {
            asked.awaits().map(Box::new).map(Meant::Awaited).ok_or(not_yet)
        }
        Ok(pipe) => match asked.kind.filter(|kind| *kind != pipe.spec.kind) {
            Some(said) => Err(InputError::OtherKind { asked: asked.words(), said, found: pipe.spec.kind }),
            None => Ok(Meant::Stored(pipe)),
        },
        Err(error) => Err(error),
    }
}

fn pick<'a>(asked: &Asked, answers: &'a Answers) -> Result<&'a Pipe, InputError> {
    match answers.get(&asked.run) {
        Some(Ok(pipes)) => asked.choose(pipes),
        Some(Err(why)) => Err(InputError::Unknown { asked: asked.words(), why: why.clone() }),
        None => Err(InputError::Unknown { asked: asked.words(), why: "nobody was asked".to_owned() }),
    }
}
