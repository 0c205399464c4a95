//! The whole way, walked once: from a review, or a bare pod, to its answer.

use std::convert::Infallible;
use std::fmt;

use json_patch::PatchOperation;
use serde_json::Value;

use crate::patch;
use crate::plan::{self, Found, Lookup, Origin, PlanError, Planned, ProfileRef, Recipes};
use crate::pod::Pod;
use crate::review::{self, Incoming, Malformed, Refusal, Request, Response};
use crate::selection::{self, Because, NamedBy, Selection, Skip};

/// A pod's way through admission.
pub enum Decision {
    /// It is a task, and this is what it becomes.
    Inject(Box<Injection>),
    /// It is left alone.
    Skip(Skip),
    /// It is a task that cannot be booted as it asks.
    Refuse(Refusal),
}

/// What is done to a pod, and why.
pub struct Injection {
    /// Why it counts as a task.
    pub because: Because,
    /// Who names the profile.
    pub named_by: NamedBy,
    /// The profile that it is booted by.
    pub profile: ProfileRef,
    /// What the pod's author should know.
    pub warnings: Vec<String>,
    /// What it becomes, as operations.
    pub patch: Vec<PatchOperation>,
    /// The pod with the patch applied.
    pub pod: Value,
}

/// What a review came to, in one word for metrics and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The pod is injected.
    Injected,
    /// The pod is left alone, for this reason.
    Skipped(Skip),
    /// The pod is turned away.
    Refused,
    /// The review was about something else than a new pod.
    NotForUs,
    /// The review could not be read.
    Malformed,
}

impl Outcome {
    /// The outcome as a metric's label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Injected => "injected",
            Self::Skipped(_) => "skipped",
            Self::Refused => "refused",
            Self::NotForUs => "not_for_us",
            Self::Malformed => "malformed",
        }
    }

    /// More on the outcome, as a metric's label: why a pod was skipped; else empty.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Skipped(skip) => skip.as_str(),
            _ => "",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An answered review: what goes back, and what it is counted and logged by.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// What goes back.
    pub response: Response,
    /// What it came to.
    pub outcome: Outcome,
    /// Which pod it was about; empty where that could not be read.
    pub subject: Subject,
}

/// Which pod a review is about, for logs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// The request's namespace.
    pub namespace: String,
    /// The pod's name, or the `generateName` that the API server will make one from.
    pub pod: String,
    /// The profile that it boots with, or was refused with; none where it is left alone or there is no such profile.
    pub profile: Option<String>,
}

/// Answers a review: `body` is what the API server posted. Whatever comes in, a well-formed answer goes out. Nothing is
/// looked up.
#[must_use]
pub fn answer(body: &[u8], recipes: &Recipes) -> Answered {
    let Ok(answered) = respond(body, |object, origin| Ok::<_, Infallible>(admit(object, origin, recipes)));
    answered
}

/// The same, where something may be looked up: `found` holds what was looked up for this review so far.
///
/// # Errors
/// What must be looked up. With the answers to all of it in `found`, the next try comes to an answer, or asks for more.
pub fn answer_with(body: &[u8], recipes: &Recipes, found: &Found) -> Result<Answered, Box<Lookup>> {
    respond(body, |object, origin| admit_with(object, origin, recipes, found))
}

fn respond<E>(
    body: &[u8],
    admit: impl FnOnce(Value, Origin<'_>) -> Result<Decision, E>,
) -> Result<Answered, E> {
    let (response, outcome, subject) = match review::parse(body) {
        Ok(Incoming::Pod(mut request)) => {
            let mut subject = subject(&mut request);
            let Request { uid, object, namespace: _ } = request;
            let decision = admit(object, Origin { namespace: &subject.namespace, uid: Some(&uid) })?;
            let (response, outcome, profile) = answer_pod(uid, decision);
            subject.profile = profile;
            (response, outcome, subject)
        }
        Ok(Incoming::NotForUs { uid, warning }) => {
            let response = Response { uid, warnings: vec![warning], ..Response::default() };
            (response, Outcome::NotForUs, Subject::default())
        }
        Err(Malformed { uid, message }) => {
            let response = Response::refuse(uid, Refusal::bad_request(message));
            (response, Outcome::Malformed, Subject::default())
        }
    };
    Ok(Answered { response, outcome, subject })
}

fn subject(request: &mut Request) -> Subject {
    let name = |field| {
        let name = request.object.get("metadata")?.get(field)?.as_str()?;
        (!name.is_empty()).then(|| name.to_owned())
    };
    let pod = name("name").or_else(|| name("generateName")).unwrap_or_default();
    Subject { namespace: std::mem::take(&mut request.namespace), pod, profile: None }
}

fn answer_pod(uid: String, decision: Decision) -> (Response, Outcome, Option<String>) {
    match decision {
        Decision::Inject(injection) => {
            let Injection { profile, warnings, patch, because, named_by, .. } = *injection;
            let audit = [
                ("profile", format!("{} generation {}: {named_by}", profile.name, profile.generation)),
                ("because", because.to_string()),
            ];
            let response = Response { uid, patch, warnings, audit: audit.into(), refusal: None };
            (response, Outcome::Injected, Some(profile.name))
        }
        Decision::Skip(skip) => {
            let audit = [("skipped", skip.to_string())].into();
            (Response { uid, audit, ..Response::default() }, Outcome::Skipped(skip), None)
        }
        Decision::Refuse(mut refusal) => {
            let profile = refusal.profile.take();
            (Response::refuse(uid, refusal), Outcome::Refused, profile)
        }
    }
}

/// Decides on a pod that is being created, and where it is a task returns it injected. `origin` is the namespace, where
/// there is no review. Nothing is looked up.
#[must_use]
pub fn admit<'a>(object: Value, origin: impl Into<Origin<'a>>, recipes: &Recipes) -> Decision {
    admit_with(object, origin, recipes, &Found::default())
        .unwrap_or_else(|_| Decision::Refuse(defect(&UNASKED)))
}

/// The same, where something may be looked up; see [`answer_with`].
///
/// # Errors
/// What must be looked up first.
pub fn admit_with<'a>(
    mut object: Value,
    origin: impl Into<Origin<'a>>,
    recipes: &Recipes,
    found: &Found,
) -> Result<Decision, Box<Lookup>> {
    let decided = match decide(&object, origin.into(), recipes, found) {
        Ok(decided) => decided,
        Err(refusal) => return Ok(Decision::Refuse(refusal)),
    };
    let Parts { because, named_by, profile, warnings, patch } = match decided {
        Decided::Inject(parts) => *parts,
        Decided::Skip(skip) => return Ok(Decision::Skip(skip)),
        Decided::Lookup(lookup) => return Err(Box::new(lookup)),
    };
    if let Err(error) = patch::apply(&mut object, &patch) {
        return Ok(Decision::Refuse(defect(&error)));
    }
    Ok(Decision::Inject(Box::new(Injection { because, named_by, profile, warnings, patch, pod: object })))
}

/// What is decided on a pod.
enum Decided {
    Inject(Box<Parts>),
    Skip(Skip),
    Lookup(Lookup),
}

/// What is decided on a pod before it is changed.
struct Parts {
    because: Because,
    named_by: NamedBy,
    profile: ProfileRef,
    warnings: Vec<String>,
    patch: Vec<PatchOperation>,
}

fn decide(object: &Value, origin: Origin<'_>, recipes: &Recipes, found: &Found) -> Result<Decided, Refusal> {
    let pod = Pod::read(object).map_err(|error| Refusal::bad_request(format!("bootlace: {error}")))?;
    let (profile, named_by, because) = match selection::select(&pod, recipes.default_of(origin.namespace)) {
        Selection::Task { profile, named_by, because } => (profile, named_by, because),
        Selection::Skip(skip) => return Ok(Decided::Skip(skip)),
    };
    let name = pod.display_name();
    let sentence = |error: &dyn fmt::Display| format!("bootlace: pod {name}: {error}");
    let unknown = |error| Refusal::invalid(sentence(&format!("{error} ({named_by})")));
    let recipe = recipes.get(profile).map_err(unknown)?;
    let refuse = |error: PlanError| {
        let refusal = if error.is_forbidden() { Refusal::forbidden } else { Refusal::invalid };
        refusal(sentence(&error)).with_profile(profile).with_undefined(error.undefined())
    };
    let plan = match plan::plan(&pod, origin, recipe, found).map_err(refuse)? {
        Planned::Plan(plan) => *plan,
        Planned::Lookup(lookup) => return Ok(Decided::Lookup(lookup)),
    };
    let (profile, warnings) = (plan.profile.clone(), plan.warnings.clone());
    let patch = patch::operations(plan, &pod).map_err(|error| defect(&error))?;
    Ok(Decided::Inject(Box::new(Parts { because, named_by, profile, warnings, patch })))
}

/// A defect of our own turns the pod away, because a task must not run without its boot process.
fn defect(error: &dyn fmt::Display) -> Refusal {
    let message = format!("bootlace: {error}");
    Refusal { code: 500, reason: "InternalError", message, profile: None, undefined: None }
}

/// Said where something is to be looked up although nothing can be.
const UNASKED: &str =
    "something is to be looked up where nothing can be: report this as a defect of Bootlace";
