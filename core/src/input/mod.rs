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
//! | [`wait_spec`] | what of it does the pod wait for, as its own containers and the store are told |
//! | `changes` | what becomes of the pod |
//! | `error` | why that cannot be, and whether it may pass |
//!
//! The operations come before those of the plan, which then sees a pod that names its objects itself: its env wins, its
//! paths are taken, and nothing in [`crate::plan`] knows more of it.

mod annotation;
mod edits;
mod error;
mod references;
mod resolve;
pub mod wait_spec;

pub use error::{InputError, RetryHint};
pub use wait_spec::{AwaitedOutput, WaitSpec};

use crate::identity::{self, Identity};
use crate::output::{ObjectKind, Pipe};
use crate::pod::{Container, Json, Operation, Pod};
use crate::profile::BootProfileSpec;
use crate::profile::spec::Source;
use annotation::PipeIn;
use edits::PodEdits;
use references::ObjectReference;
use resolve::PipeQuery;

/// Runs that one pod may take from. Each is a request to the API server that the pod's admission waits for.
const MAX_RUNS: usize = 8;

/// The Pipes of each run that was asked about, as far as its label tells; or why they cannot be had.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PipeAnswers(Vec<(Identity, Result<Vec<Pipe>, String>)>);

impl PipeAnswers {
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
    pub taken: Vec<ResolvedInput>,
    /// What could not be looked up where nobody can, in words.
    pub left: Vec<String>,
    /// What the pod's author should know.
    pub warnings: Vec<String>,
}

/// What of a pod's inputs the containers in front of its task have to do with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BootInputs {
    /// What the profile's sources take, by their position; `None` for an optional one that is not stored.
    pub sources: Vec<(usize, Option<ResolvedInput>)>,
    /// What the pod waits for.
    pub awaits: Vec<AwaitedOutput>,
    /// Whether one of the pod's own init containers takes some of that, and so has to wait, too.
    pub wait_first: bool,
}

/// An output that is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedInput {
    /// Its key.
    pub key: String,
    /// The object's kind.
    pub kind: ObjectKind,
    /// The object's name.
    pub object: String,
    /// Whether it is not stored yet, and the pod waits for it.
    pub awaited: bool,
}

impl std::fmt::Display for ResolvedInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let awaited = if self.awaited { " (awaited)" } else { "" };
        write!(f, "{}: {} {}{awaited}", self.key, self.kind.as_str(), self.object)
    }
}

/// What a key stands for.
enum ResolvedPipe<'a> {
    /// A stored output.
    Stored(&'a Pipe),
    /// One that the pod waits for.
    Awaited(Box<AwaitedOutput>),
}

/// What resolving comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolution {
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
    answers: Option<&PipeAnswers>,
) -> Result<Resolution, InputError> {
    let (references, entries) = (references::find(object)?, annotation::of(pod)?);
    let takes_nothing = profile.sources.iter().all(|source| source.pipe.is_none());
    if references.is_empty() && entries.is_empty() && takes_nothing {
        return Ok(Resolution::Inputs(Inputs::default()));
    }
    let wants = wants(&identity::identify(pod), &references, &entries, profile);
    let Some(answers) = answers else { return Ok(Resolution::Inputs(unresolved(&wants))) };

    let mut runs: Vec<Identity> = Vec::new();
    for PipeRequest { asked, .. } in &wants {
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
        return Ok(Resolution::Ask(runs));
    }
    let mut changes = PodEdits::new(pod, tasks);
    for PipeRequest { goes, asked } in &wants {
        let found = pick(asked, answers);
        match *goes {
            Target::Field(reference) => changes.name(reference, asked, meant(asked, found)?)?,
            Target::Entry(position, entry) => changes.enter(position, entry, asked, meant(asked, found)?)?,
            Target::Source(position, source) => match found {
                Err(InputError::NotYet { .. }) if source.optional => {
                    changes.without_source(position, &source.name, asked);
                }
                found => changes.source(position, found?),
            },
        }
    }
    Ok(Resolution::Inputs(changes.finish()))
}

/// A stored output that is taken, and where it goes.
struct PipeRequest<'w> {
    goes: Target<'w>,
    asked: PipeQuery,
}

/// Where it goes.
#[derive(Clone, Copy)]
enum Target<'w> {
    /// A field names the object.
    Field(&'w ObjectReference),
    /// An entry of the annotation, by its position.
    Entry(usize, &'w PipeIn),
    /// A source of the profile, by its position.
    Source(usize, &'w Source),
}

/// All that the pod of `own` takes.
fn wants<'w>(
    own: &Identity,
    references: &'w [ObjectReference],
    entries: &'w [PipeIn],
    profile: &'w BootProfileSpec,
) -> Vec<PipeRequest<'w>> {
    let by_fields = references.iter().map(|reference| {
        // What an entry without a use of its own says is said for the placeholders.
        let entry = entries.iter().find(|entry| entry.key == reference.key && !entry.has_use());
        PipeRequest { goes: Target::Field(reference), asked: PipeQuery::new(&reference.key, own, entry) }
    });
    let by_entries =
        entries.iter().enumerate().filter(|(_, entry)| entry.has_use()).map(|(position, entry)| {
            PipeRequest {
                goes: Target::Entry(position, entry),
                asked: PipeQuery::new(&entry.key, own, Some(entry)),
            }
        });
    let by_sources = profile.sources.iter().enumerate().filter_map(|(position, source)| {
        let pipe = source.pipe.as_ref()?;
        let entry = PipeIn { task: pipe.task.clone(), ..PipeIn::default() };
        Some(PipeRequest {
            goes: Target::Source(position, source),
            asked: PipeQuery::new(&pipe.key, own, Some(&entry)),
        })
    });
    by_fields.chain(by_entries).chain(by_sources).collect()
}

/// What is taken where nothing can be looked up: nothing, and what it would be in words.
fn unresolved(wants: &[PipeRequest<'_>]) -> Inputs {
    let mut inputs = Inputs::default();
    for PipeRequest { goes, asked } in wants {
        let what = match goes {
            Target::Field(reference) => reference.field.clone(),
            Target::Entry(_, entry) => entry.describe(),
            Target::Source(position, source) => {
                inputs.boot.sources.push((*position, None));
                format!("source {:?} of the BootProfile", source.name)
            }
        };
        let (asked, then) = (asked.words(), asked.wait.map_or_else(String::new, then_waits));
        inputs
            .left
            .push(format!("{what} uses {asked}, which the webhook looks up when the pod is created{then}"));
    }
    inputs
}

fn then_waits(seconds: u32) -> String {
    format!("; if it is not stored yet, the pod waits for it for up to {seconds} s")
}

/// What is found; where that is not stored yet, what the pod waits for, if it does.
fn meant<'a>(asked: &PipeQuery, found: Result<&'a Pipe, InputError>) -> Result<ResolvedPipe<'a>, InputError> {
    match found {
        Err(not_yet @ InputError::NotYet { .. }) => {
            asked.awaits().map(Box::new).map(ResolvedPipe::Awaited).ok_or(not_yet)
        }
        Ok(pipe) => match asked.kind.filter(|kind| *kind != pipe.spec.kind) {
            Some(said) => Err(InputError::OtherKind { asked: asked.words(), said, found: pipe.spec.kind }),
            None => Ok(ResolvedPipe::Stored(pipe)),
        },
        Err(error) => Err(error),
    }
}

fn pick<'a>(asked: &PipeQuery, answers: &'a PipeAnswers) -> Result<&'a Pipe, InputError> {
    match answers.get(&asked.run) {
        Some(Ok(pipes)) => asked.choose(pipes),
        Some(Err(why)) => Err(InputError::Unknown { asked: asked.words(), why: why.clone() }),
        None => Err(InputError::Unknown { asked: asked.words(), why: "it was not looked up".to_owned() }),
    }
}
