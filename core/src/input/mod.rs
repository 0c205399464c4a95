//! Inputs of a task from earlier tasks of its run: the counterpart of [`crate::output`]. Lookups are
//! arguments and results, so this needs no I/O.
//!
//! ```text
//! fields and annotation of the pod, sources of the profile → what to look up → the newest match
//!     → changes to the pod
//! ```
//!
//! | module | question that it answers |
//! |---|---|
//! | `references` | which fields of the pod name an object by a pipe's key |
//! | `annotation` | what does the annotation contain |
//! | `resolve` | which stored output does a key refer to |
//! | [`wait_spec`] | what does the pod wait for: the configuration of the waiting containers |
//! | `edits` | how does the pod change, as data |
//! | `error` | why an input cannot be resolved, and whether a retry can help |
//!
//! [`crate::patch`] writes the changes in front of those of the plan. The plan then sees a pod that names its
//! objects itself: the pod's env wins, its paths are used, and [`crate::plan`] needs to know nothing else
//! about inputs.

mod annotation;
mod edits;
mod error;
mod references;
mod resolve;
pub mod wait_spec;

pub use edits::{ContainerEdit, ObjectName, PodEdits};
pub use error::InputError;
pub use wait_spec::{AwaitedOutput, WaitSpec};

use crate::identity::Identity;
use crate::output::{ObjectKind, Pipe};
use crate::pod::{Container, Json, Pod};
use crate::profile::{BootProfileSpec, Source};
use annotation::PipeIn;
use edits::EditsBuilder;
use references::ObjectReference;
use resolve::PipeQuery;

/// Maximum number of runs that a pod reads from. Each requires a request to the API server during admission.
const MAX_RUNS: usize = 8;

/// The Pipes of each requested run, selected by label; or why the lookup failed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PipeAnswers(Vec<(Identity, Result<Vec<Pipe>, String>)>);

impl PipeAnswers {
    /// The result for a run; `None` if it was not requested.
    #[must_use]
    pub fn get(&self, run: &Identity) -> Option<&Result<Vec<Pipe>, String>> {
        self.0.iter().find(|(asked, _)| asked == run).map(|(_, answer)| answer)
    }

    /// Adds the result for a run.
    pub fn add(&mut self, run: Identity, answer: Result<Vec<Pipe>, String>) {
        self.0.push((run, answer));
    }
}

/// Inputs of a pod, and the resulting changes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inputs {
    /// The changes to the pod.
    pub edits: PodEdits,
    /// Data for the containers that run before the task.
    pub boot: BootInputs,
    /// All resolved inputs.
    pub resolved: Vec<ResolvedInput>,
    /// Descriptions of inputs that are not resolved because lookups are not available.
    pub unresolved: Vec<String>,
    /// Warnings for the author of the pod.
    pub warnings: Vec<String>,
}

/// Inputs of a pod that concern the containers that run before the task.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BootInputs {
    /// Inputs of sources of the profile, by the index of the source; `None` for an optional source that is
    /// not stored.
    pub sources: Vec<(usize, Option<ResolvedInput>)>,
    /// Outputs that the pod waits for.
    pub awaits: Vec<AwaitedOutput>,
    /// Whether an init container of the pod uses such an output, so that the wait containers must run before
    /// it.
    pub wait_first: bool,
}

/// A resolved input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedInput {
    /// Its key.
    pub key: String,
    /// Kind of the object.
    pub kind: ObjectKind,
    /// Name of the object.
    pub object: String,
    /// Whether it is not stored yet, so that the pod waits for it.
    pub awaited: bool,
}

impl std::fmt::Display for ResolvedInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let awaited = if self.awaited { " (awaited)" } else { "" };
        write!(f, "{}: {} {}{awaited}", self.key, self.kind.as_str(), self.object)
    }
}

/// Result of resolving a key.
enum ResolvedPipe<'a> {
    /// A stored output.
    Stored(&'a Pipe),
    /// An output that the pod waits for.
    Awaited(Box<AwaitedOutput>),
}

/// Result of resolving all inputs.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolution {
    /// The inputs of the pod.
    Inputs(Inputs),
    /// The Pipes of these runs must be looked up first.
    Ask(Vec<Identity>),
}

/// Resolves the inputs of `object`, which `pod` is a view of, and of the sources of its profile. `task`
/// returns the identity of the task, which is only needed if there are inputs. `answers` contains the lookups
/// so far; `None` means that lookups are not available.
///
/// # Errors
/// If an input is invalid, or not stored yet.
pub fn resolve(
    object: &Json<'_>,
    pod: &Pod<'_>,
    tasks: &[&Container<'_>],
    task: impl FnOnce() -> Identity,
    profile: &BootProfileSpec,
    answers: Option<&PipeAnswers>,
) -> Result<Resolution, InputError> {
    let (references, entries) = (references::find(object)?, annotation::parse(pod)?);
    let takes_nothing = profile.sources.iter().all(|source| source.pipe.is_none());
    if references.is_empty() && entries.is_empty() && takes_nothing {
        return Ok(Resolution::Inputs(Inputs::default()));
    }
    let requests = requests(&task(), &references, &entries, profile);
    let Some(answers) = answers else { return Ok(Resolution::Inputs(unresolved(&requests))) };

    let mut runs: Vec<Identity> = Vec::new();
    for PipeRequest { asked, .. } in &requests {
        if asked.run.run.is_none() {
            return Err(InputError::UnknownRun { asked: asked.describe() });
        }
        if answers.get(&asked.run).is_none() && !runs.contains(&asked.run) {
            runs.push(asked.run.clone());
        }
    }
    if runs.len() > MAX_RUNS {
        return Err(InputError::TooManyRuns { count: runs.len(), limit: MAX_RUNS });
    }
    if !runs.is_empty() {
        return Ok(Resolution::Ask(runs));
    }
    let mut changes = EditsBuilder::new(pod, tasks);
    for PipeRequest { target, asked } in &requests {
        let found = find_output(asked, answers);
        match *target {
            Target::Field(reference) => {
                changes.set_object_name(reference, asked, resolve_found(asked, found)?)?;
            }
            Target::Entry(position, entry) => {
                changes.add_entry(position, entry, asked, resolve_found(asked, found)?)?;
            }
            Target::Source(position, source) => match found {
                Err(InputError::NotStored { .. }) if source.optional => {
                    changes.skip_source(position, &source.name, asked);
                }
                found => changes.add_source(position, found?),
            },
        }
    }
    Ok(Resolution::Inputs(changes.finish()))
}

/// An input, and the place at which it is used.
struct PipeRequest<'r> {
    target: Target<'r>,
    asked: PipeQuery,
}

/// The place at which an input is used.
#[derive(Clone, Copy)]
enum Target<'r> {
    /// A field names the object.
    Field(&'r ObjectReference),
    /// An entry of the annotation, by its index.
    Entry(usize, &'r PipeIn),
    /// A source of the profile, by its index.
    Source(usize, &'r Source),
}

/// All inputs of the pod with the identity `own`.
fn requests<'r>(
    own: &Identity,
    references: &'r [ObjectReference],
    entries: &'r [PipeIn],
    profile: &'r BootProfileSpec,
) -> Vec<PipeRequest<'r>> {
    let by_fields = references.iter().map(|reference| {
        // An entry that does not use its input itself describes the input of placeholders with the same key.
        let entry = entries.iter().find(|entry| entry.key == reference.key && !entry.has_use());
        PipeRequest { target: Target::Field(reference), asked: PipeQuery::new(&reference.key, own, entry) }
    });
    let by_entries =
        entries.iter().enumerate().filter(|(_, entry)| entry.has_use()).map(|(position, entry)| {
            PipeRequest {
                target: Target::Entry(position, entry),
                asked: PipeQuery::new(&entry.key, own, Some(entry)),
            }
        });
    let by_sources = profile.sources.iter().enumerate().filter_map(|(position, source)| {
        let pipe = source.pipe.as_ref()?;
        let entry = PipeIn { task: pipe.task.clone(), ..PipeIn::default() };
        Some(PipeRequest {
            target: Target::Source(position, source),
            asked: PipeQuery::new(&pipe.key, own, Some(&entry)),
        })
    });
    by_fields.chain(by_entries).chain(by_sources).collect()
}

/// Result without lookups: no inputs, but descriptions of them.
fn unresolved(requests: &[PipeRequest<'_>]) -> Inputs {
    let mut inputs = Inputs::default();
    for PipeRequest { target, asked } in requests {
        let user = match target {
            Target::Field(reference) => reference.field.to_string(),
            Target::Entry(_, entry) => entry.describe(),
            Target::Source(position, source) => {
                inputs.boot.sources.push((*position, None));
                format!("source {:?} of the BootProfile", source.name)
            }
        };
        let (asked, then) = (asked.describe(), asked.wait.map_or_else(String::new, describe_wait));
        inputs
            .unresolved
            .push(format!("{user} uses {asked}, which the webhook looks up when the pod is created{then}"));
    }
    inputs
}

fn describe_wait(seconds: u32) -> String {
    format!("; if it is not stored yet, the pod waits for it for up to {seconds} s")
}

/// The found output, or the output that the pod waits for if it is not stored yet.
fn resolve_found<'a>(
    asked: &PipeQuery,
    found: Result<&'a Pipe, InputError>,
) -> Result<ResolvedPipe<'a>, InputError> {
    match found {
        Err(not_yet @ InputError::NotStored { .. }) => {
            asked.awaits().map(Box::new).map(ResolvedPipe::Awaited).ok_or(not_yet)
        }
        Ok(pipe) => match asked.kind.filter(|kind| *kind != pipe.spec.kind) {
            Some(declared) => {
                Err(InputError::KindDiffers { asked: asked.describe(), declared, found: pipe.spec.kind })
            }
            None => Ok(ResolvedPipe::Stored(pipe)),
        },
        Err(error) => Err(error),
    }
}

fn find_output<'a>(asked: &PipeQuery, answers: &'a PipeAnswers) -> Result<&'a Pipe, InputError> {
    match answers.get(&asked.run) {
        Some(Ok(pipes)) => asked.choose(pipes),
        Some(Err(reason)) => {
            Err(InputError::LookupFailed { asked: asked.describe(), reason: reason.clone() })
        }
        None => Err(InputError::LookupFailed {
            asked: asked.describe(),
            reason: "it was not looked up".to_owned(),
        }),
    }
}
