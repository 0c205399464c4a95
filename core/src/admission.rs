//! The complete process of admission: from a review, or a pod alone, to the response.

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

/// Result of admission for a pod. `P` is the type of the resulting pod; the response to a review only needs
/// the patch.
pub enum Decision<P = Value> {
    /// The pod is a task and is injected.
    Inject(Box<Injection<P>>),
    /// The pod is an already injected task. Injected init containers that must be the last ones are moved to
    /// the end again, or the pod is signed.
    Reorder(Box<Reordering<P>>),
    /// The pod does not change.
    Skip(SkipReason),
    /// The pod is a task that cannot be booted.
    Refuse(Refusal),
}

/// Changes to a pod, and their reasons.
pub struct Injection<P = Value> {
    /// Why the pod is a task.
    pub because: MatchReason,
    /// What selected the profile.
    pub named_by: ProfileSelectedBy,
    /// The profile.
    pub profile: ProfileRef,
    /// Warnings for the author of the pod.
    pub warnings: Vec<String>,
    /// Resolved inputs from earlier tasks.
    pub taken: Vec<ResolvedInput>,
    /// Descriptions of inputs that are not resolved because lookups are not available: the pod still contains
    /// their keys.
    pub left: Vec<String>,
    /// The operations that inject the pod.
    pub patch: Vec<Operation>,
    /// The pod with the patch applied.
    pub pod: P,
}

/// Changes to an injected pod that has got further init containers since, or that has no valid signature.
pub struct Reordering<P = Value> {
    /// The init containers after which the injected ones are moved.
    pub behind: Vec<String>,
    /// Whether the pod gets a signature.
    pub signed: bool,
    /// The operations.
    pub patch: Vec<Operation>,
    /// The pod with the patch applied.
    pub pod: P,
}

/// Results of the lookups for a pod so far. `None` means that this kind of lookup is not available.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LookupResults {
    /// Configurations of images from registries.
    pub images: Option<ImageConfigs>,
    /// Pipes of the runs that the pod reads from.
    pub pipes: Option<PipeAnswers>,
}

/// A lookup that is required before admission of a pod can continue. A caller that can do it adds the result
/// to [`LookupResults`] and calls again.
#[derive(Debug, Clone, PartialEq)]
pub enum PendingLookup {
    /// Configurations of images from registries.
    Images(plan::ImageQuery),
    /// The Pipes of these runs in the namespace of the pod. Only scheduler, workflow and run of each identity
    /// are set.
    Pipes {
        /// The namespace.
        namespace: String,
        /// The runs.
        runs: Vec<Identity>,
    },
}

/// Outcome of a review, for metrics and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReviewOutcome {
    /// The pod is injected.
    Injected,
    /// The pod was already injected, and its init containers are reordered.
    Reordered,
    /// The pod was already injected, and is signed.
    Signed,
    /// The pod does not change, for this reason.
    Skipped(SkipReason),
    /// The pod is refused.
    Refused,
    /// The review is not about the creation of a pod.
    NotForUs,
    /// The review cannot be parsed.
    Malformed,
}

impl ReviewOutcome {
    /// The outcome as the label of a metric.
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

    /// The reason as the label of a metric: why a pod was skipped, else empty.
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

/// A review with its response, and the data for metrics and logs.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// The response.
    pub response: ReviewResponse,
    /// The outcome.
    pub outcome: ReviewOutcome,
    /// The pod of the review; empty if it cannot be parsed.
    pub subject: Subject,
}

/// The pod of a review, for logs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// The namespace of the request.
    pub namespace: String,
    /// The name of the pod, or the `generateName` from which the API server generates it.
    pub pod: String,
    /// The profile that the pod boots with, or for which it was refused; `None` if the pod does not change or
    /// there is no such profile.
    pub profile: Option<String>,
}

/// Reviews a request: `body` is the body that the API server sent. The response is well-formed for any input.
/// Lookups are not available.
#[must_use]
pub fn review(body: &[u8], profiles: &PreparedProfiles) -> Answered {
    review_with(body, profiles, &LookupResults::default()).unwrap_or_else(|_| {
        let response = ReviewResponse::refuse(String::new(), internal_error(&UNEXPECTED_LOOKUP));
        Answered { response, outcome: ReviewOutcome::Refused, subject: Subject::default() }
    })
}

/// Like [`review()`], with lookups: `found` contains the results for this review so far.
///
/// # Errors
/// The lookup that is required. When its result is in `found`, the next call returns a response or requires
/// another lookup.
pub fn review_with(
    body: &[u8],
    profiles: &PreparedProfiles,
    found: &LookupResults,
) -> Result<Answered, Box<PendingLookup>> {
    let (response, outcome, subject) = match review::parse(body) {
        Ok(ParsedReview::Pod(mut request)) => {
            let mut subject = subject(&mut request);
            let ReviewRequest { uid, object, namespace: _ } = request;
            let origin = AdmissionContext { namespace: &subject.namespace, uid: Some(&uid) };
            let decision = decide(object, origin, profiles, found)?;
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

/// Maximum characters of the name of an object, which the API server only validates after admission.
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
        // The pod would wait forever for an object with such a name.
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

/// Admits a pod that is being created, and returns it injected if it is a task. `origin` can be a namespace
/// if there is no review. Lookups are not available.
#[must_use]
pub fn admit<'a>(
    object: Value,
    origin: impl Into<AdmissionContext<'a>>,
    profiles: &PreparedProfiles,
) -> Decision {
    admit_with(object, origin, profiles, &LookupResults::default())
        .unwrap_or_else(|_| Decision::Refuse(internal_error(&UNEXPECTED_LOOKUP)))
}

/// Like [`admit`], with lookups; see [`review_with`].
///
/// # Errors
/// The lookup that is required.
pub fn admit_with<'a>(
    mut object: Value,
    origin: impl Into<AdmissionContext<'a>>,
    profiles: &PreparedProfiles,
    found: &LookupResults,
) -> Result<Decision, Box<PendingLookup>> {
    Ok(match decide(Json::from(&object), origin.into(), profiles, found)? {
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
    // "Unsafe" means in json-patch that a patch that fails halfway is not undone; undoing it would require
    // copies.
    let operations: Vec<_> = patch.iter().map(PatchOperation::from).collect();
    json_patch::patch_unsafe(object, &operations)
}

fn decide(
    object: Json<'_>,
    origin: AdmissionContext<'_>,
    profiles: &PreparedProfiles,
    found: &LookupResults,
) -> Result<Decision<()>, Box<PendingLookup>> {
    match inject(object, origin, profiles, found) {
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
    profiles: &PreparedProfiles,
    found: &LookupResults,
) -> Result<Injection<()>, EarlyOutcome> {
    let pod = read(&object)?;
    let Selected { because, named_by, prepared, inputs } = select(&object, &pod, origin, profiles, found)?;
    let Inputs { edits, boot, taken, left, mut warnings } = inputs;
    let mut operations = patch::inputs(edits, &pod);
    let decided = if operations.is_empty() {
        let decided = plan(&pod, origin, prepared, found, &boot)?;
        apply(object, &decided.patch)?;
        decided
    } else {
        // The plan sees the pod with its inputs, as if it had named them itself. Only such a pod is read twice: which inputs it
        // has is known after the first time.
        let object = apply(object, &operations)?;
        let decided = plan(&read(&object)?, origin, prepared, found, &boot)?;
        apply(object, &decided.patch)?;
        decided
    };
    let Planned { profile, warnings: plan_warnings, patch } = decided;
    operations.extend(patch);
    warnings.extend(plan_warnings);
    Ok(Injection { because, named_by, profile, warnings, taken, left, patch: operations, pod: () })
}

/// A task, with its profile and the inputs from earlier tasks.
struct Selected<'r> {
    because: MatchReason,
    named_by: ProfileSelectedBy,
    prepared: &'r PreparedProfile,
    inputs: Inputs,
}

fn select<'r>(
    object: &Json<'_>,
    pod: &Pod<'_>,
    origin: AdmissionContext<'_>,
    profiles: &'r PreparedProfiles,
    found: &LookupResults,
) -> Result<Selected<'r>, EarlyOutcome> {
    let default = profiles.default_of(origin.namespace);
    let (profile, named_by, because) = match selection::select(pod, default, profiles.schedulers()) {
        Selection::Task { profile, named_by, because } => (profile, named_by, because),
        Selection::Overtaken(places) => {
            let signature = signature(pod, origin, profiles)?;
            return Err(EarlyOutcome::Reorder(Box::new(reorder(object, pod, &places, signature)?)));
        }
        Selection::Skip(skip @ SkipReason::AlreadyInjected) => {
            return Err(match signature(pod, origin, profiles)? {
                Some(signed) => EarlyOutcome::Reorder(Box::new(reorder(object, pod, &[], Some(signed))?)),
                None => EarlyOutcome::Skip(skip),
            });
        }
        Selection::Skip(skip) => return Err(EarlyOutcome::Skip(skip)),
    };
    let prepared = find_profile(pod, profiles, profile, named_by)?;
    let tasks = plan::task_containers(pod, prepared).map_err(|error| refuse_plan(pod, prepared, &error))?;
    let task = || profiles.schedulers().identify(pod);
    let resolved = input::resolve(object, pod, &tasks, task, &prepared.profile.spec, found.pipes.as_ref());
    match resolved.map_err(|error| refuse_input(pod, prepared, &error))? {
        Resolution::Inputs(inputs) => Ok(Selected { because, named_by, prepared, inputs }),
        Resolution::Ask(runs) => {
            let namespace = origin.namespace.to_owned();
            Err(EarlyOutcome::Lookup(Box::new(PendingLookup::Pipes { namespace, runs })))
        }
    }
}

/// The operation that signs an already injected pod, which `bootlace inject` or a copy of a pod produces;
/// `None` if it is already signed, or if nothing is signed. The configuration for the store is compared with
/// what would be planned now, and never trusted.
fn signature(
    pod: &Pod<'_>,
    origin: AdmissionContext<'_>,
    profiles: &PreparedProfiles,
) -> Result<Option<Operation>, EarlyOutcome> {
    let Some(keys) = profiles.keys().filter(|keys| !plan::is_signed(pod, origin.namespace, keys)) else {
        return Ok(None);
    };
    // The profile of a pod without outputs need not exist in this cluster.
    let prepared = if plan::stores_outputs(pod) {
        let (profile, named_by) = selection::profile(pod, profiles.default_of(origin.namespace));
        Some(find_profile(pod, profiles, profile, named_by)?)
    } else {
        None
    };
    let signed =
        plan::sign_injected(pod, origin.namespace, prepared, keys).map_err(|error| match prepared {
            Some(prepared) => refuse_plan(pod, prepared, &error),
            None => Refusal::invalid(error.code(), &message(pod, &error)),
        })?;
    Ok(patch::signature(signed, pod))
}

fn find_profile<'r>(
    pod: &Pod<'_>,
    profiles: &'r PreparedProfiles,
    profile: &str,
    named_by: ProfileSelectedBy,
) -> Result<&'r PreparedProfile, Refusal> {
    let unknown =
        |error: NoProfile| Refusal::invalid(error.code(), &message(pod, &format!("{error} ({named_by})")));
    profiles.get(profile).map_err(unknown)
}

/// Moves the injected init containers, which are at `places`, after those that were added after boot, and
/// signs the pod if it is not signed.
fn reorder(
    object: &Json<'_>,
    pod: &Pod<'_>,
    places: &[usize],
    signature: Option<Operation>,
) -> Result<Reordering<()>, DoesNotApply> {
    let signed = signature.is_some();
    let patch: Vec<_> = signature.into_iter().chain(patch::move_to_end(places, pod)).collect();
    apply(object.clone(), &patch)?;
    let since_boot =
        pod.init_containers.iter().skip_while(|container| container.name != names::CONTAINER_BOOT);
    let behind = since_boot.filter(|container| !places.contains(&container.index));
    let behind = behind.map(|container| container.name.to_owned());
    let behind = if places.is_empty() { Vec::new() } else { behind.collect() };
    Ok(Reordering { behind, signed, patch, pod: () })
}

/// The plan for a task, as operations.
struct Planned {
    profile: ProfileRef,
    warnings: Vec<String>,
    patch: Vec<Operation>,
}

fn plan(
    pod: &Pod<'_>,
    origin: AdmissionContext<'_>,
    prepared: &PreparedProfile,
    found: &LookupResults,
    inputs: &BootInputs,
) -> Result<Planned, EarlyOutcome> {
    let planned = plan::plan(pod, origin, prepared, found.images.as_ref(), inputs);
    let plan = match planned.map_err(|error| refuse_plan(pod, prepared, &error))? {
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

fn message(pod: &Pod<'_>, error: &dyn fmt::Display) -> String {
    format!("bootlace: pod {}: {error}", pod.display_name())
}

fn refuse_plan(pod: &Pod<'_>, prepared: &PreparedProfile, error: &PlanError) -> Refusal {
    let refusal = if error.is_forbidden() { Refusal::forbidden } else { Refusal::invalid };
    refusal(error.code(), &message(pod, error))
        .with_profile(&prepared.profile.name)
        .with_undefined(error.undefined())
}

fn refuse_input(pod: &Pod<'_>, prepared: &PreparedProfile, error: &InputError) -> Refusal {
    let message = message(pod, error);
    let refusal = match error.passes() {
        Some(passing) => Refusal::new(passing.code, passing.reason, error.code(), &message)
            .with_retry_after(passing.retry_after_seconds),
        None => Refusal::invalid(error.code(), &message),
    };
    refusal.with_profile(&prepared.profile.name)
}

/// An internal error refuses the pod, because a task must not run without its boot process.
fn internal_error(error: &dyn fmt::Display) -> Refusal {
    Refusal::new(500, "InternalError", Code::InternalError, &format!("bootlace: {error}"))
}

/// Message if a lookup is required although no lookups are available.
const UNEXPECTED_LOOKUP: &str =
    "internal error: a lookup is required but none is available here; please report this bug";
