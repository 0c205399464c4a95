//! Why a pod cannot take what it names.

use crate::names;
use crate::output::ObjectKind;

/// Why a pod cannot take what it names. Each message names the field and says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// The annotation cannot be read.
    #[error(
        "the annotation {} is no YAML list ({why}): write - {{key: Certificate, mountPath: /etc/tls}}",
        names::ANNOTATION_PIPE_IN
    )]
    NoList {
        /// What the parser says.
        why: String,
    },
    /// One of its entries cannot be meant so.
    #[error("the annotation {}, its entry {}: {what}", names::ANNOTATION_PIPE_IN, position + 1)]
    Entry {
        /// Which, counted from 0.
        position: usize,
        /// What is wrong with it, and what to write.
        what: String,
    },
    /// A placeholder stands where an object's name is, with more around it.
    #[error(
        "{field} is {text:?}: a pipe's key stands for the whole name of an object, so write {{{{.Pipes.KEY}}}} or pipe:KEY \
         and nothing around it"
    )]
    Inside {
        /// The field.
        field: String,
        /// What it says.
        text: String,
    },
    /// A placeholder names no key.
    #[error("{field} is {text:?}: a pipe's key has letters, digits, -, _ and ., and does not begin with ..")]
    NoKey {
        /// The field.
        field: String,
        /// What it says.
        text: String,
    },
    /// A placeholder stands where nothing replaces it.
    #[error(
        "{field} holds {{{{.Pipes.…}}}}, which Bootlace puts an object's name for only where the pod names a ConfigMap or a \
         Secret: mount the pipe or take it as env there, or by the annotation {}",
        names::ANNOTATION_PIPE_IN
    )]
    Elsewhere {
        /// The field.
        field: String,
    },
    /// Nobody tells which run it is.
    #[error(
        "{asked} is named, but nothing tells which run the pod belongs to: add the annotation {}, or run: to the key's \
         entry in the annotation {}",
        names::ANNOTATION_RUN,
        names::ANNOTATION_PIPE_IN
    )]
    NoRun {
        /// The pipe, in words.
        asked: String,
    },
    /// It takes from more runs than can be looked up.
    #[error(
        "the pod takes from {count} runs, and {limit} is the limit: gather what they stored in one task first"
    )]
    ManyRuns {
        /// How many.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// It is not stored yet.
    #[error("{asked} is not stored yet{known}: {} earlier, or wait for it to end; the request can be tried again", by(task.as_ref()))]
    NotYet {
        /// The pipe, in words.
        asked: String,
        /// The task that should have, where somebody says.
        task: Option<String>,
        /// What else there is of its run; empty, or in parentheses.
        known: String,
    },
    /// Several tasks of the run hand the key over.
    #[error(
        "{asked} was handed over by the tasks {}: name one of them as task: in the key's entry in the annotation {}",
        tasks.join(", "),
        names::ANNOTATION_PIPE_IN
    )]
    ManyTasks {
        /// The pipe, in words.
        asked: String,
        /// The tasks.
        tasks: Vec<String>,
    },
    /// Several elements of a mapped task hand it over.
    #[error(
        "{asked} was handed over by a mapped task, whose map indexes so far are {}, and the pod has no such index itself: \
         name one as mapIndex: in the key's entry in the annotation {}",
        indexes.join(", "),
        names::ANNOTATION_PIPE_IN
    )]
    ManyIndexes {
        /// The pipe, in words.
        asked: String,
        /// The indexes.
        indexes: Vec<String>,
    },
    /// It is another kind of object.
    #[error("{field} names a {expected}, but {asked} is a {}: {}", found.as_str(), instead(*found))]
    WrongKind {
        /// The field.
        field: String,
        /// What the field takes.
        expected: &'static str,
        /// The pipe, in words.
        asked: String,
        /// What it is.
        found: ObjectKind,
    },
    /// Its entry says that it is another kind of object.
    #[error(
        "{asked} is stored as a {found}, and the key's entry in the annotation {} says kind: {said}: write what it is, or \
         have it declared so",
        names::ANNOTATION_PIPE_IN
    )]
    OtherKind {
        /// The pipe, in words.
        asked: String,
        /// What the entry says.
        said: ObjectKind,
        /// What it is.
        found: ObjectKind,
    },
    /// A variable takes one file, and there are several or none of that name.
    #[error("{asked} has the files {}, and a variable takes one: name it as file: in the key's entry", files.join(", "))]
    WhichFile {
        /// The pipe, in words.
        asked: String,
        /// Its files.
        files: Vec<String>,
    },
    /// A name that Bootlace uses is taken.
    #[error("a volume of the pod is called {name:?}, which is Bootlace's own name: rename it")]
    NameTaken {
        /// The volume.
        name: String,
    },
    /// The Pipes could not be had.
    #[error("{asked} cannot be looked up: {why}")]
    Unknown {
        /// The pipe, in words.
        asked: String,
        /// Why not.
        why: String,
    },
}

/// Seconds after which a pod that is turned away may come again. The clients of Kubernetes' own controllers wait that
/// long and try again up to ten times by themselves, each time keeping a worker, so it is short.
const RETRY_SECONDS: u32 = 1;

impl InputError {
    /// Whether the same pod may well be let in later: how it is to be answered then, and when to try again.
    #[must_use]
    pub fn passes(&self) -> Option<RetryHint> {
        match self {
            Self::NotYet { .. } => {
                Some(RetryHint { code: 429, reason: "TooManyRequests", retry_after_seconds: RETRY_SECONDS })
            }
            Self::Unknown { .. } => Some(RetryHint {
                code: 503,
                reason: "ServiceUnavailable",
                retry_after_seconds: RETRY_SECONDS,
            }),
            _ => None,
        }
    }
}

/// How a refusal that passes is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryHint {
    /// HTTP status.
    pub code: u16,
    /// Kubernetes' word for it.
    pub reason: &'static str,
    /// When to try again.
    pub retry_after_seconds: u32,
}

fn by(task: Option<&String>) -> String {
    match task {
        Some(task) => format!("let task {task}, which should have stored it, run"),
        None => "let the task that declares it run".to_owned(),
    }
}

fn instead(found: ObjectKind) -> &'static str {
    match found {
        ObjectKind::ConfigMap => {
            "use configMap, configMapKeyRef or configMapRef, or declare it with kind: Secret"
        }
        ObjectKind::Secret => "use secret, secretKeyRef or secretRef, or declare it with kind: ConfigMap",
    }
}
