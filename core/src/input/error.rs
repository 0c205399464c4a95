//! Errors while resolving the inputs of a pod.

use crate::names;
use crate::output::ObjectKind;
use crate::quote::quoted;

/// Why the inputs of a pod cannot be resolved. Each message names the field and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// The annotation cannot be parsed.
    #[error(
        "annotation {} is not a valid YAML list ({reason}): set a list such as - {{key: Certificate, mountPath: /etc/tls}}",
        names::ANNOTATION_PIPE_IN
    )]
    InvalidList {
        /// Message of the parser.
        reason: String,
    },
    /// An entry of the annotation is invalid.
    #[error("annotation {}, entry {}: {message}", names::ANNOTATION_PIPE_IN, position + 1)]
    Entry {
        /// Index of the entry, starting at 0.
        position: usize,
        /// The problem, and the remedy.
        message: String,
    },
    /// A placeholder in the name of an object has other text around it.
    #[error(
        "{field} is {value:?}, but a placeholder must be the whole value: set {{{{.Pipes.KEY}}}} or pipe:KEY without other text"
    )]
    PlaceholderNotAlone {
        /// The field.
        field: String,
        /// Its value.
        value: String,
    },
    /// A placeholder has an invalid key.
    #[error(
        "{field} is {value:?}, which contains an invalid key: use letters, digits, \"-\", \"_\" and \".\", not starting \
         with \"..\""
    )]
    InvalidPlaceholderKey {
        /// The field.
        field: String,
        /// Its value.
        value: String,
    },
    /// A placeholder is in a field that is not replaced.
    #[error(
        "{field} contains {{{{.Pipes.…}}}}, which is only replaced in fields that name a ConfigMap or Secret: mount the pipe or \
         use it as env in such a field, or in annotation {}",
        names::ANNOTATION_PIPE_IN
    )]
    PlaceholderNotReplaced {
        /// The field.
        field: String,
    },
    /// The run of the pod is unknown.
    #[error(
        "failed to resolve {asked}, because the run of the pod is unknown: set annotation {}, or set run in the entry of the \
         key in annotation {}",
        names::ANNOTATION_RUN,
        names::ANNOTATION_PIPE_IN
    )]
    UnknownRun {
        /// Description of the pipe.
        asked: String,
    },
    /// The pod reads from too many runs.
    #[error(
        "the pod reads pipes of {count} runs, the limit is {limit}: collect their outputs in one task first"
    )]
    TooManyRuns {
        /// Number of runs.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// The output is not stored yet.
    #[error("{asked} is not stored yet{known}: {} before this one, or set wait in annotation {}; the request can be retried",
        order(task.as_ref()),
        names::ANNOTATION_PIPE_IN)]
    NotStored {
        /// Description of the pipe.
        asked: String,
        /// The task that should store it, if it is known.
        task: Option<String>,
        /// Other outputs of the run in parentheses, or empty.
        known: String,
    },
    /// Several tasks of the run stored the key.
    #[error(
        "{asked} was stored by several tasks ({}): set task in the entry of the key in annotation {}",
        quoted(tasks),
        names::ANNOTATION_PIPE_IN
    )]
    AmbiguousTask {
        /// Description of the pipe.
        asked: String,
        /// The tasks.
        tasks: Vec<String>,
    },
    /// Several map indexes of a task stored it.
    #[error("{asked} was stored by several map indexes of a task ({}), and the pod has no map index: set mapIndex in the entry of \
         the key in annotation {}",
        indexes.join(", "),
        names::ANNOTATION_PIPE_IN)]
    AmbiguousIndex {
        /// Description of the pipe.
        asked: String,
        /// The indexes.
        indexes: Vec<String>,
    },
    /// The object has another kind than the field requires.
    #[error("{field} requires a {expected}, but {asked} is a {found}: {}", instead(*found))]
    WrongKind {
        /// The field.
        field: String,
        /// The required kind.
        expected: &'static str,
        /// Description of the pipe.
        asked: String,
        /// The actual kind.
        found: ObjectKind,
    },
    /// The object has another kind than the entry states.
    #[error(
        "{asked} is stored as a {found}, but the entry of the key in annotation {} has kind: {declared}: correct it there, or in \
         the declaration of the output",
        names::ANNOTATION_PIPE_IN
    )]
    KindDiffers {
        /// Description of the pipe.
        asked: String,
        /// The kind in the entry.
        declared: ObjectKind,
        /// The actual kind.
        found: ObjectKind,
    },
    /// One file is required, and there are several, or none with the given name.
    #[error(
        "{asked} contains the files {}, and the entry of the key does not select one of them: set file in annotation {}",
        quoted(files),
        names::ANNOTATION_PIPE_IN
    )]
    WhichFile {
        /// Description of the pipe.
        asked: String,
        /// Its files.
        files: Vec<String>,
    },
    /// A volume has a reserved name.
    #[error("volume {name:?} has a name that is reserved for Bootlace: rename it")]
    NameTaken {
        /// The volume.
        name: String,
    },
    /// The lookup failed.
    #[error("failed to look up {asked}: {reason}")]
    LookupFailed {
        /// Description of the pipe.
        asked: String,
        /// The reason.
        reason: String,
    },
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
