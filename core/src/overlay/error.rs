//! Why an overlay is invalid, or cannot be applied to a pod.

use crate::names;
use crate::quote::quoted;
use crate::template::{InvalidTemplateSyntax, RenderError};

/// An overlay that cannot work for any pod.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("overlay {overlay:?}, {field}: {problem}")]
pub struct InvalidOverlay {
    /// Name of the overlay.
    pub overlay: String,
    /// The field: `pod.spec.containers[0].name`.
    pub field: String,
    /// What is wrong with it.
    pub problem: InvalidOverlayField,
}

/// What is wrong with a field of an overlay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOverlayField {
    /// A template or condition cannot work for any pod.
    #[error(transparent)]
    Template(#[from] InvalidTemplateSyntax),
    /// Templates are not allowed here.
    #[error("a template is not allowed here: use a fixed value, because {0}")]
    Fixed(&'static str),
    /// The name belongs to Bootlace.
    #[error("{name:?} is reserved for Bootlace: use another name")]
    Reserved {
        /// The name.
        name: String,
    },
    /// A field that overlays cannot change.
    #[error("overlays cannot change this field: {0}")]
    NotAllowed(&'static str),
    /// The value removes something.
    #[error("overlays only add or replace values: remove {0}")]
    Removal(&'static str),
    /// The value has a format that the API does not allow.
    #[error("{value:?} is not a valid {kind}: correct it")]
    Format {
        /// What it should be.
        kind: &'static str,
        /// The value.
        value: String,
    },
    /// The value has another type than in the API.
    #[error("{0}")]
    WrongType(String),
    /// An element of a list has no key.
    #[error("the element has no {key}, which identifies it in the list: set it")]
    NoKey {
        /// The key.
        key: String,
    },
    /// Two elements of a list have the same key.
    #[error("{key:?} occurs twice in the list: merge the two elements")]
    Twice {
        /// The key.
        key: String,
    },
    /// It exceeds a limit.
    #[error("{count} {unit} exceed the limit of {limit}: split the profile, or shorten it")]
    TooLarge {
        /// The size.
        count: usize,
        /// What is counted.
        unit: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A JSON patch operation lacks a field, or has one too many.
    #[error("{0}")]
    Operation(&'static str),
}

/// Why overlays cannot be applied to a pod. Each message contains the field and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OverlayError {
    /// The annotation is empty.
    #[error(
        "annotation {} is empty: name optional overlays, separated by commas, or remove the annotation",
        names::ANNOTATION_OVERLAYS
    )]
    NoneNamed,
    /// The annotation names an overlay twice.
    #[error("annotation {} names overlay {name:?} twice: name it once", names::ANNOTATION_OVERLAYS)]
    NamedTwice {
        /// The overlay.
        name: String,
    },
    /// The annotation names an overlay that does not exist or is not optional.
    #[error(
        "annotation {} names overlay {name:?}, which is not an optional overlay of BootProfile {profile:?}: {}",
        names::ANNOTATION_OVERLAYS,
        remedy(known)
    )]
    Unknown {
        /// Name in the annotation.
        name: String,
        /// The profile.
        profile: String,
        /// The optional overlays of the profile.
        known: Vec<String>,
    },
    /// An overlay cannot be applied.
    #[error("BootProfile {profile:?}, overlay {overlay:?}, {problem}")]
    Overlay {
        /// The profile.
        profile: String,
        /// The overlay.
        overlay: String,
        /// The reason.
        problem: Box<OverlayProblem>,
    },
}

fn remedy(known: &[String]) -> String {
    if known.is_empty() {
        return "the profile has none, remove the annotation".to_owned();
    }
    format!("use one of {}, or remove it", quoted(known))
}

/// Why an overlay cannot be applied to a pod.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OverlayProblem {
    /// Its condition or a value cannot be evaluated.
    #[error("{field}: {error}")]
    Evaluate {
        /// The field of the overlay.
        field: String,
        /// The reason.
        error: RenderError,
    },
    /// The result of a template is not valid in its place.
    #[error(
        "{field}: the result {value:?} is not a valid label value: use at most 63 letters, digits, `-`, `_` and `.`, for example \
         with `… | replace(\"/\", \"-\")` or `(…)[:63]`"
    )]
    Label {
        /// The field of the overlay.
        field: String,
        /// The result.
        value: String,
    },
    /// The name of an element is taken.
    #[error(
        "{list}: {name:?} is already set by {holder} with different content: use another name, or set {remedy} in the overlay"
    )]
    NameTaken {
        /// The list: `/spec/volumes`.
        list: String,
        /// The name of the element, or its other keys.
        name: String,
        /// Who has set it: the pod, or an earlier overlay.
        holder: String,
        /// How the overlay can be applied.
        remedy: &'static str,
    },
    /// The overlay changes a container that the pod does not have.
    #[error(
        "{list}: container {name:?} does not exist in the pod and has no image: use one of {}, or \"*\" for every task container, \
         or set image to add a container",
        quoted(available)
    )]
    UnknownContainer {
        /// The list.
        list: String,
        /// Name in the overlay.
        name: String,
        /// Names of the containers of the pod.
        available: Vec<String>,
    },
    /// A value of the pod has another type than that of the overlay.
    #[error("{path} is {found} in the pod and {wanted} in the overlay: correct one of them")]
    TypeDiffers {
        /// The field of the pod.
        path: String,
        /// Type in the pod.
        found: &'static str,
        /// Type in the overlay.
        wanted: &'static str,
    },
    /// An operation of a JSON patch has a path that the pod does not have.
    #[error(
        "jsonPatch[{position}]: the pod has no {path}: add the parent first, or use `pod`, which creates missing fields"
    )]
    PathNotFound {
        /// Index of the operation.
        position: usize,
        /// The path.
        path: String,
    },
    /// A test of a JSON patch failed.
    #[error(
        "jsonPatch[{position}]: {path} of the pod does not have the tested value: change the pod, or state in `when` which \
             pods the overlay is for"
    )]
    TestFailed {
        /// Index of the operation.
        position: usize,
        /// The path.
        path: String,
    },
    /// The overlays add too much to the pod.
    #[error(
        "the overlays add more than {limit} values to the pod: use fewer overlays, or name fewer task containers"
    )]
    TooLarge {
        /// The limit.
        limit: usize,
    },
}

impl OverlayError {
    /// The variable of a condition or value that the pod does not define, if that is the error.
    #[must_use]
    pub fn undefined(&self) -> Option<&str> {
        match self {
            Self::Overlay { problem, .. } => match &**problem {
                OverlayProblem::Evaluate { error: RenderError::Undefined { variable, .. }, .. } => {
                    Some(variable)
                }
                _ => None,
            },
            _ => None,
        }
    }
}
