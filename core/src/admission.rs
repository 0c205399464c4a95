//! The whole way, walked once: from a review, or a bare pod, to its answer.

use std::collections::BTreeMap;
use std::fmt;

use json_patch::PatchOperation;
use serde_json::Value;

use crate::code::{Code, Coded as _};
use crate::identity::Identity;
use crate::injected_config::ProfileRef;
use crate::input::{self, BootInputs, InputError, Inputs, PipeAnswers, Resolution, ResolvedInput};
use crate::names;
use crate::patch::{self, PatchError};
use crate::plan::{self, AdmissionContext, ImageConfigs, PlanError, PreparedProfile, PreparedProfiles};
use crate::pod::{DoesNotApply, Json, Operation, Pod, apply};
use crate::profile::NoProfile;
use crate::review::{self, MalformedReview, ParsedReview, Refusal, ReviewRequest, ReviewResponse};
use crate::selection::{self, MatchReason, ProfileSelectedBy, Selection, SkipReason};
use crate::shorten::shorten;

/// A pod's way through admission. `P` is the pod as it becomes; a review's answer is the patch alone.
pub enum Decision<P = Value> {
    /// It is a task, and this is what it becomes.
    Inject(Box<Injection<P>>),
    /// It is a task that has been injected before, and what is to stand behind all its init containers is put there again.
    Reorder(Box<Reordering<P>>),
    /// It is left alone.
    Skip(SkipReason),
    /// It is a task that cannot be booted as it asks.
    Refuse(Refusal),
}

/// What is done to a pod, and why.
pub struct Injection<P = Value> {
    /// Why it counts as a task.
    pub because: MatchReason,
    /// Who names the profile.
    pub named_by: ProfileSelectedBy,
    /// The profile that it is booted by.
    pub profile: ProfileRef,
    /// What the pod's author should know.
    pub warnings: Vec<String>,
    /// What it takes from earlier tasks.
    pub taken: Vec<ResolvedInput>,
    /// What of that could not be looked up, because nobody may be asked, in words: the pod still names it by its key.
    pub left: Vec<String>,
    /// What it becomes, as operations.
    pub patch: Vec<Operation>,
    /// The pod with the patch applied.
    pub pod: P,
}

/// What becomes of an injected pod that got further init containers since, or that carries no signature which holds for it.
pub struct Reordering<P = Value> {
    /// The init containers behind which Bootlace's own stand then.
    pub behind: Vec<String>,
    /// Whether it gets a signature.
    pub signed: bool,
    /// What it becomes, as operations.
    pub patch: Vec<Operation>,
    /// The pod with the patch applied.
    pub pod: P,
}

/// What was looked up for a pod so far. What is `None` is not to be looked up.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LookupResults {
    /// What registries say of its images.
    pub images: Option<ImageConfigs>,
    /// Which Pipes there are of the runs that it takes from.
    pub pipes: Option<PipeAnswers>,
}

/// What must be looked up before a pod can be decided on. Whoever can look it up does, adds the answers to [`LookupResults`], and
/// decides again.
#[derive(Debug, Clone, PartialEq)]
pub enum PendingLookup {
    /// What registries say of images.
    Images(plan::ImageQuery),
    /// The Pipes of these runs in the pod's namespace. Of each, only scheduler, workflow and run are there.
    Pipes {
        /// The namespace.
        namespace: String,
        /// The runs.
        runs: Vec<Identity>,
    },
}

/// What a review came to, in one word for metrics and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReviewOutcome {
    /// The pod is injected.
    Injected,
    /// The pod was injected, and its init containers are put in order again.
    Reordered,
    /// The pod came injected, and is signed.
    Signed,
    /// The pod is left alone, for this reason.
    Skipped(SkipReason),
    /// The pod is turned away.
    Refused,
    /// The review was about something else than a new pod.
    NotForUs,
    /// The review could not be read.
    Malformed,
}

impl ReviewOutcome {
    /// The outcome as a metric's label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Injected => "injected",
            Self::Reordered => "reordered",
            Self::Signed => "signed",
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

impl fmt::Display for ReviewOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An answered review: what goes back, and what it is counted and logged by.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// What goes back.
    pub response: ReviewResponse,
    /// What it came to.
    pub outcome: ReviewOutcome,
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
pub fn review(body: &[u8], recipes: &PreparedProfiles) -> Answered {
    review_with(body, recipes, &LookupResults::default()).unwrap_or_else(|_| {
        let response = ReviewResponse::refuse(String::new(), internal_error(&UNEXPECTED_LOOKUP));
        Answered { response, outcome: ReviewOutcome::Refused, subject: Subject::default() }
    })
}

/// The same, where something may be looked up: `found` holds what was looked up for this review so far.
///
/// # Errors
/// What must be looked up. With the answers to all of it in `found`, the next try comes to an answer, or asks for more.
pub fn review_with(
    body: &[u8],
    recipes: &PreparedProfiles,
    found: &LookupResults,
) -> Result<Answered, Box<PendingLookup>> {
    let (response, outcome, subject) = match review::parse(body) {
        Ok(ParsedReview::Pod(mut request)) => {
            let mut subject = subject(&mut request);
            let ReviewRequest { uid, object, namespace: _ } = request;
            let origin = AdmissionContext { namespace: &subject.namespace, uid: Some(&uid) };
            let decision = decide(object, origin, recipes, found)?;
            let (response, outcome, profile) = answer_pod(uid, decision);
            subject.profile = profile;
            (response, outcome, subject)
        }
        Ok(ParsedReview::NotForUs { uid, warning }) => {
            let response = ReviewResponse { uid, warnings: vec![warning], ..ReviewResponse::default() };
            (response, ReviewOutcome::NotForUs, Subject::default())
        }
        Err(MalformedReview { uid, message }) => {
            let response = ReviewResponse::refuse(uid, Refusal::bad_request(Code::ReviewMalformed, &message));
            (response, ReviewOutcome::Malformed, Subject::default())
        }
    };
    Ok(Answered { response, outcome, subject })
}

/// Characters of an object's name, as the API server checks it only after admission.
const MAX_NAME_CHARS: usize = 253;

fn subject(request: &mut ReviewRequest<'_>) -> Subject {
    let name = |field| {
        let name = request.object.as_object()?.get("metadata")?.as_object()?.get(field)?.as_str()?;
        (!name.is_empty()).then(|| name.to_owned())
    };
    let pod = name("name").or_else(|| name("generateName")).unwrap_or_default();
    let pod = pod.chars().take(MAX_NAME_CHARS).collect();
    Subject { namespace: std::mem::take(&mut request.namespace), pod, profile: None }
}

fn answer_pod(uid: String, decision: Decision<()>) -> (ReviewResponse, ReviewOutcome, Option<String>) {
    match decision {
        // It would wait for an object of such a name for ever.
        Decision::Inject(injection) if !injection.left.is_empty() => {
            let message = format!("bootlace: lookups are not available now: {}", injection.left.join("; "));
            let refusal = Refusal::new(503, "ServiceUnavailable", Code::LookupUnavailable, &message)
                .with_retry_after(1);
            (ReviewResponse::refuse(uid, refusal), ReviewOutcome::Refused, Some(injection.profile.name))
        }
        Decision::Inject(injection) => {
            let Injection { profile, warnings, patch, because, named_by, taken, .. } = *injection;
            let mut audit = BTreeMap::from([
                ("profile", format!("{} generation {}: {named_by}", profile.name, profile.generation)),
                ("because", because.to_string()),
            ]);
            if !taken.is_empty() {
                let taken: Vec<_> = taken.iter().map(ResolvedInput::to_string).collect();
                audit.insert("pipes", taken.join(", "));
            }
            let audit = audit.into_iter().map(|(name, text)| (name, shorten(text).into_owned())).collect();
            let warnings = warnings.into_iter().map(|warning| shorten(warning).into_owned()).collect();
            let response = ReviewResponse { uid, patch, warnings, audit, refusal: None };
            (response, ReviewOutcome::Injected, Some(profile.name))
        }
        Decision::Reorder(reordering) => {
            let Reordering { behind, signed, patch, pod: () } = *reordering;
            let mut audit = BTreeMap::new();
            if signed {
                let reason = "it was already injected, and its configuration is what Bootlace would inject";
                audit.insert("signed", reason.to_owned());
            }
            if !behind.is_empty() {
                audit.insert(
                    "reordered",
                    format!("boot moved after {}, which were added later", behind.join(", ")),
                );
            }
            let outcome = if behind.is_empty() { ReviewOutcome::Signed } else { ReviewOutcome::Reordered };
            (ReviewResponse { uid, patch, audit, ..ReviewResponse::default() }, outcome, None)
        }
        Decision::Skip(skip) => {
            let audit = [("skipped", skip.to_string())].into();
            (ReviewResponse { uid, audit, ..ReviewResponse::default() }, ReviewOutcome::Skipped(skip), None)
        }
        Decision::Refuse(mut refusal) => {
            let profile = refusal.profile.take();
            (ReviewResponse::refuse(uid, refusal), ReviewOutcome::Refused, profile)
        }
    }
}

/// Decides on a pod that is being created, and where it is a task returns it injected. `origin` is the namespace, where
/// there is no review. Nothing is looked up.
#[must_use]
pub fn admit<'a>(
    object: Value,
    origin: impl Into<AdmissionContext<'a>>,
    recipes: &PreparedProfiles,
) -> Decision {
    admit_with(object, origin, recipes, &LookupResults::default())
        .unwrap_or_else(|_| Decision::Refuse(internal_error(&UNEXPECTED_LOOKUP)))
}

/// The same, where something may be looked up; see [`review_with`].
///
/// # Errors
/// What must be looked up first.
pub fn admit_with<'a>(
    mut object: Value,
    origin: impl Into<AdmissionContext<'a>>,
    recipes: &PreparedProfiles,
    found: &LookupResults,
) -> Result<Decision, Box<PendingLookup>> {
    Ok(match decide(Json::from(&object), origin.into(), recipes, found)? {
        Decision::Inject(injection) => {
            let Injection { because, named_by, profile, warnings, taken, left, patch, pod: () } = *injection;
            if let Err(error) = patched(&mut object, &patch) {
                return Ok(Decision::Refuse(internal_error(&error)));
            }
            let pod = object;
            let injection = Injection { because, named_by, profile, warnings, taken, left, patch, pod };
            Decision::Inject(Box::new(injection))
        }
        Decision::Reorder(reordering) => {
            let Reordering { behind, signed, patch, pod: () } = *reordering;
            if let Err(error) = patched(&mut object, &patch) {
                return Ok(Decision::Refuse(internal_error(&error)));
            }
            Decision::Reorder(Box::new(Reordering { behind, signed, patch, pod: object }))
        }
        Decision::Skip(skip) => Decision::Skip(skip),
        Decision::Refuse(refusal) => Decision::Refuse(refusal),
    })
}

fn patched(object: &mut Value, patch: &[Operation]) -> Result<(), json_patch::PatchError> {
    // "Unsafe" is json-patch's word for "does not undo a patch that fails half-way": undoing takes copies.
    let operations: Vec<_> = patch.iter().map(PatchOperation::from).collect();
    json_patch::patch_unsafe(object, &operations)
}

fn decide(
    object: Json<'_>,
    origin: AdmissionContext<'_>,
    recipes: &PreparedProfiles,
    found: &LookupResults,
) -> Result<Decision<()>, Box<PendingLookup>> {
    match inject(object, origin, recipes, found) {
        Ok(injection) => Ok(Decision::Inject(Box::new(injection))),
        Err(EarlyOutcome::Skip(skip)) => Ok(Decision::Skip(skip)),
        Err(EarlyOutcome::Reorder(reordering)) => Ok(Decision::Reorder(reordering)),
        Err(EarlyOutcome::Refuse(refusal)) => Ok(Decision::Refuse(*refusal)),
        Err(EarlyOutcome::Lookup(lookup)) => Err(lookup),
    }
}

/// Why a pod is not injected, or not yet.
enum EarlyOutcome {
    Skip(SkipReason),
    Reorder(Box<Reordering<()>>),
    Refuse(Box<Refusal>),
    Lookup(Box<PendingLookup>),
}

impl From<Refusal> for EarlyOutcome {
    fn from(refusal: Refusal) -> Self {
        Self::Refuse(Box::new(refusal))
    }
}

impl From<PatchError> for EarlyOutcome {
    fn from(error: PatchError) -> Self {
        internal_error(&error).into()
    }
}

impl From<DoesNotApply> for EarlyOutcome {
    fn from(error: DoesNotApply) -> Self {
        internal_error(&error).into()
    }
}

fn inject(
    object: Json<'_>,
    origin: AdmissionContext<'_>,
    recipes: &PreparedProfiles,
    found: &LookupResults,
) -> Result<Injection<()>, EarlyOutcome> {
    let pod = read(&object)?;
    let Selected { because, named_by, recipe, inputs } = select(&object, &pod, origin, recipes, found)?;
    let Inputs { mut operations, boot, taken, left, mut warnings } = inputs;
    let decided = if operations.is_empty() {
        let decided = plan(&pod, origin, recipe, found, &boot)?;
        apply(object, &decided.patch)?;
        decided
    } else {
        // What it takes is named in the pod first: what is planned then sees a pod that names it itself.
        let object = apply(object, &operations)?;
        let decided = plan(&read(&object)?, origin, recipe, found, &boot)?;
        apply(object, &decided.patch)?;
        decided
    };
    let Planned { profile, warnings: of_plan, patch } = decided;
    operations.extend(patch);
    warnings.extend(of_plan);
    Ok(Injection { because, named_by, profile, warnings, taken, left, patch: operations, pod: () })
}

/// A task: by which profile it is booted, and what it takes from earlier ones.
struct Selected<'r> {
    because: MatchReason,
    named_by: ProfileSelectedBy,
    recipe: &'r PreparedProfile,
    inputs: Inputs,
}

fn select<'r>(
    object: &Json<'_>,
    pod: &Pod<'_>,
    origin: AdmissionContext<'_>,
    recipes: &'r PreparedProfiles,
    found: &LookupResults,
) -> Result<Selected<'r>, EarlyOutcome> {
    let (profile, named_by, because) = match selection::select(pod, recipes.default_of(origin.namespace)) {
        Selection::Task { profile, named_by, because } => (profile, named_by, because),
        Selection::Overtaken(places) => {
            let signature = signature(pod, origin, recipes)?;
            return Err(EarlyOutcome::Reorder(Box::new(reorder(object, pod, &places, signature)?)));
        }
        Selection::Skip(skip @ SkipReason::AlreadyInjected) => {
            return Err(match signature(pod, origin, recipes)? {
                Some(signed) => EarlyOutcome::Reorder(Box::new(reorder(object, pod, &[], Some(signed))?)),
                None => EarlyOutcome::Skip(skip),
            });
        }
        Selection::Skip(skip) => return Err(EarlyOutcome::Skip(skip)),
    };
    let recipe = recipe(pod, recipes, profile, named_by)?;
    let tasks = plan::task_containers(pod, recipe).map_err(|error| refuse_plan(pod, recipe, &error))?;
    let resolved = input::resolve(object, pod, &tasks, &recipe.profile.spec, found.pipes.as_ref());
    match resolved.map_err(|error| refuse_input(pod, recipe, &error))? {
        Resolution::Inputs(inputs) => Ok(Selected { because, named_by, recipe, inputs }),
        Resolution::Ask(runs) => {
            let namespace = origin.namespace.to_owned();
            Err(EarlyOutcome::Lookup(Box::new(PendingLookup::Pipes { namespace, runs })))
        }
    }
}

/// The operation that signs a pod which came injected, by `bootlace inject` or as a copy; none where it is signed, or nothing
/// is. What the store would do for it is checked against what would be planned for it now, and never taken on its word.
fn signature(
    pod: &Pod<'_>,
    origin: AdmissionContext<'_>,
    recipes: &PreparedProfiles,
) -> Result<Option<Operation>, EarlyOutcome> {
    let Some(keys) = recipes.keys().filter(|keys| !plan::is_signed(pod, origin.namespace, keys)) else {
        return Ok(None);
    };
    // What is injected without outputs may be a profile's that this cluster does not have, as ever.
    let recipe = if plan::hands_over(pod) {
        let (profile, named_by) = selection::profile(pod, recipes.default_of(origin.namespace));
        Some(recipe(pod, recipes, profile, named_by)?)
    } else {
        None
    };
    let signed = plan::of_injected(pod, origin.namespace, recipe, keys).map_err(|error| match recipe {
        Some(recipe) => refuse_plan(pod, recipe, &error),
        None => Refusal::invalid(error.code(), &sentence(pod, &error)),
    })?;
    Ok(patch::signature(signed, pod))
}

fn recipe<'r>(
    pod: &Pod<'_>,
    recipes: &'r PreparedProfiles,
    profile: &str,
    named_by: ProfileSelectedBy,
) -> Result<&'r PreparedProfile, Refusal> {
    let unknown =
        |error: NoProfile| Refusal::invalid(error.code(), &sentence(pod, &format!("{error} ({named_by})")));
    recipes.get(profile).map_err(unknown)
}

/// Puts the init containers at `places`, Bootlace's own, behind those that came behind boot, and signs the pod where it is not.
fn reorder(
    object: &Json<'_>,
    pod: &Pod<'_>,
    places: &[usize],
    signature: Option<Operation>,
) -> Result<Reordering<()>, DoesNotApply> {
    let signed = signature.is_some();
    let patch: Vec<_> = signature.into_iter().chain(patch::behind_all(places, pod)).collect();
    apply(object.clone(), &patch)?;
    let since_boot =
        pod.init_containers.iter().skip_while(|container| container.name != names::CONTAINER_BOOT);
    let behind = since_boot.filter(|container| !places.contains(&container.index));
    let behind = behind.map(|container| container.name.to_owned());
    let behind = if places.is_empty() { Vec::new() } else { behind.collect() };
    Ok(Reordering { behind, signed, patch, pod: () })
}

/// What is planned for a task, as operations.
struct Planned {
    profile: ProfileRef,
    warnings: Vec<String>,
    patch: Vec<Operation>,
}

fn plan(
    pod: &Pod<'_>,
    origin: AdmissionContext<'_>,
    recipe: &PreparedProfile,
    found: &LookupResults,
    inputs: &BootInputs,
) -> Result<Planned, EarlyOutcome> {
    let planned = plan::plan(pod, origin, recipe, found.images.as_ref(), inputs);
    let plan = match planned.map_err(|error| refuse_plan(pod, recipe, &error))? {
        plan::PlanOutcome::Plan(plan) => *plan,
        plan::PlanOutcome::Lookup(lookup) => {
            return Err(EarlyOutcome::Lookup(Box::new(PendingLookup::Images(lookup))));
        }
    };
    let (profile, warnings) = (plan.profile.clone(), plan.warnings.clone());
    let patch = patch::operations(plan, pod)?;
    Ok(Planned { profile, warnings, patch })
}

fn read<'a>(object: &'a Json<'a>) -> Result<Pod<'a>, Refusal> {
    Pod::read(object).map_err(|error| Refusal::bad_request(Code::PodMalformed, &format!("bootlace: {error}")))
}

fn sentence(pod: &Pod<'_>, error: &dyn fmt::Display) -> String {
    format!("bootlace: pod {}: {error}", pod.display_name())
}

fn refuse_plan(pod: &Pod<'_>, recipe: &PreparedProfile, error: &PlanError) -> Refusal {
    let refusal = if error.is_forbidden() { Refusal::forbidden } else { Refusal::invalid };
    refusal(error.code(), &sentence(pod, error))
        .with_profile(&recipe.profile.name)
        .with_undefined(error.undefined())
}

fn refuse_input(pod: &Pod<'_>, recipe: &PreparedProfile, error: &InputError) -> Refusal {
    let sentence = sentence(pod, error);
    let refusal = match error.passes() {
        Some(passing) => Refusal::new(passing.code, passing.reason, error.code(), &sentence)
            .with_retry_after(passing.retry_after_seconds),
        None => Refusal::invalid(error.code(), &sentence),
    };
    refusal.with_profile(&recipe.profile.name)
}

/// A defect of our own turns the pod away, because a task must not run without its boot process.
fn internal_error(error: &dyn fmt::Display) -> Refusal {
    Refusal::new(500, "InternalError", Code::InternalError, &format!("bootlace: {error}"))
}

/// Said where something is to be looked up although nothing can be.
const UNEXPECTED_LOOKUP: &str =
    "internal error: a lookup is required but none is available here; please report this bug";
