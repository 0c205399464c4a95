//! Why a pod cannot take what it names.

use crate::names;
use crate::output::ObjectKind;
use crate::quote::quoted;

/// Why a pod cannot take what it names. Each message names the field and says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// The annotation cannot be read.
    #[error(
        "annotation {} is not a valid YAML list ({why}): set a list such as - {{key: Certificate, mountPath: /etc/tls}}",
        names::ANNOTATION_PIPE_IN
    )]
    NoList {
        /// What the parser says.
        why: String,
    },
    /// One of its entries cannot be meant so.
    #[error("annotation {}, entry {}: {what}", names::ANNOTATION_PIPE_IN, position + 1)]
    Entry {
        /// Which, counted from 0.
        position: usize,
        /// What is wrong with it, and what to write.
        what: String,
    },
    /// A placeholder stands where an object's name is, with more around it.
    #[error(
        "{field} is {text:?}, but a placeholder must be the whole value: set {{{{.Pipes.KEY}}}} or pipe:KEY without other text"
    )]
    Inside {
        /// The field.
        field: String,
        /// What it says.
        text: String,
    },
    /// A placeholder names no key.
    #[error(
        "{field} is {text:?}, which contains an invalid key: use letters, digits, \"-\", \"_\" and \".\", not starting \
         with \"..\""
    )]
    NoKey {
        /// The field.
        field: String,
        /// What it says.
        text: String,
    },
    /// A placeholder stands where nothing replaces it.
    #[error(
        "{field} contains {{{{.Pipes.…}}}}, which is only replaced in fields that name a ConfigMap or Secret: mount the pipe or \
         use it as env in such a field, or in annotation {}",
        names::ANNOTATION_PIPE_IN
    )]
    Elsewhere {
        /// The field.
        field: String,
    },
    /// Nobody tells which run it is.
    #[error(
        "failed to resolve {asked}, because the run of the pod is unknown: set annotation {}, or set run in the entry of the \
         key in annotation {}",
        names::ANNOTATION_RUN,
        names::ANNOTATION_PIPE_IN
    )]
    NoRun {
        /// The pipe, in words.
        asked: String,
    },
    /// It takes from more runs than can be looked up.
    #[error(
        "the pod reads pipes of {count} runs, the limit is {limit}: collect their outputs in one task first"
    )]
    ManyRuns {
        /// How many.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// It is not stored yet.
    #[error("{asked} is not stored yet{known}: {} before this one, or set wait in annotation {}; the request can be retried",
        order(task.as_ref()),
        names::ANNOTATION_PIPE_IN)]
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
        "{asked} was stored by several tasks ({}): set task in the entry of the key in annotation {}",
        quoted(tasks),
        names::ANNOTATION_PIPE_IN
    )]
    ManyTasks {
        /// The pipe, in words.
        asked: String,
        /// The tasks.
        tasks: Vec<String>,
    },
    /// Several elements of a mapped task hand it over.
    #[error("{asked} was stored by several map indexes of a task ({}), and the pod has no map index: set mapIndex in the entry of \
         the key in annotation {}",
        indexes.join(", "),
        names::ANNOTATION_PIPE_IN)]
    ManyIndexes {
        /// The pipe, in words.
        asked: String,
        /// The indexes.
        indexes: Vec<String>,
    },
    /// It is another kind of object.
    #[error("{field} requires a {expected}, but {asked} is a {found}: {}", instead(*found))]
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
        "{asked} is stored as a {found}, but the entry of the key in annotation {} has kind: {said}: correct it there, or in \
         the declaration of the output",
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
    #[error(
        "{asked} contains the files {}, and the entry of the key does not select one of them: set file in annotation {}",
        quoted(files),
        names::ANNOTATION_PIPE_IN
    )]
    WhichFile {
        /// The pipe, in words.
        asked: String,
        /// Its files.
        files: Vec<String>,
    },
    /// A name that Bootlace uses is taken.
    #[error("volume {name:?} has a name that is reserved for Bootlace: rename it")]
    NameTaken {
        /// The volume.
        name: String,
    },
    /// The Pipes could not be had.
    #[error("failed to look up {asked}: {why}")]
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

fn order(task: Option<&String>) -> String {
    match task {
        Some(task) => format!("run task {task:?}"),
        None => "run the task that declares it".to_owned(),
    }
}

fn instead(found: ObjectKind) -> &'static str {
    match found {
        ObjectKind::ConfigMap => {
            "use configMap, configMapKeyRef or configMapRef, or declare the output with kind: Secret"
        }
        ObjectKind::Secret => {
            "use secret, secretKeyRef or secretRef, or declare the output with kind: ConfigMap"
        }
    }
}
