//! The steps of admission that a review and a pod alone share: select, resolve inputs, plan, patch.

use std::fmt;

use super::decision::{Decision, Injection, LookupResults, PendingLookup, Reordering};
use crate::code::{Code, Coded as _};
use crate::injected_config::ProfileRef;
use crate::input::{self, BootInputs, InputError, Inputs, Resolution};
use crate::names;
use crate::patch::{self, PatchError};
use crate::plan::{self, AdmissionContext, Plan, PlanError, PreparedProfile, PreparedProfiles};
use crate::pod::{DoesNotApply, Json, Operation, Pod, apply};
use crate::profile::NoProfile;
use crate::review::Refusal;
use crate::selection::{self, MatchReason, ProfileSelectedBy, Selection, SkipReason};

/// Decides about a pod. `view` reads the plan of a pod that is injected, and the pod with its inputs.
pub(super) fn decide<P>(
    object: Json<'_>,
    origin: AdmissionContext<'_>,
    profiles: &PreparedProfiles,
    found: &LookupResults,
    view: impl FnOnce(&Plan<'_>, &Pod<'_>) -> P,
) -> Result<Decision<P, ()>, Box<PendingLookup>> {
    match inject(object, origin, profiles, found, view) {
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

fn inject<P>(
    object: Json<'_>,
    origin: AdmissionContext<'_>,
    profiles: &PreparedProfiles,
    found: &LookupResults,
    view: impl FnOnce(&Plan<'_>, &Pod<'_>) -> P,
) -> Result<Injection<P>, EarlyOutcome> {
    let pod = read(&object)?;
    let Selected { reason, named_by, prepared, inputs } = select(&object, &pod, origin, profiles, found)?;
    let Inputs { edits, boot, resolved, unresolved, mut warnings } = inputs;
    let mut operations = patch::inputs(edits, &pod);
    let decided = if operations.is_empty() {
        let decided = plan(&pod, origin, prepared, found, &boot, view)?;
        apply(object, &decided.patch)?;
        decided
    } else {
        // The plan sees the pod with its inputs, as if it had named them itself. Only such a pod is read
        // twice: which inputs it has is known after the first time.
        let object = apply(object, &operations)?;
        let decided = plan(&read(&object)?, origin, prepared, found, &boot, view)?;
        apply(object, &decided.patch)?;
        decided
    };
    let Planned { profile, warnings: plan_warnings, patch, view: pod } = decided;
    operations.extend(patch);
    warnings.extend(plan_warnings);
    Ok(Injection { reason, named_by, profile, warnings, resolved, unresolved, patch: operations, pod })
}

/// A task, with its profile and the inputs from earlier tasks.
struct Selected<'r> {
    reason: MatchReason,
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
    let (profile, named_by, reason) = match selection::select(pod, default, profiles.schedulers()) {
        Selection::Task { profile, named_by, reason } => (profile, named_by, reason),
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
        Resolution::Inputs(inputs) => Ok(Selected { reason, named_by, prepared, inputs }),
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
            None => Refusal::new(error.code(), &message(pod, &error)),
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
        |error: NoProfile| Refusal::new(error.code(), &message(pod, &format!("{error} ({named_by})")));
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
struct Planned<P> {
    profile: ProfileRef,
    warnings: Vec<String>,
    patch: Vec<Operation>,
    view: P,
}

fn plan<P>(
    pod: &Pod<'_>,
    origin: AdmissionContext<'_>,
    prepared: &PreparedProfile,
    found: &LookupResults,
    inputs: &BootInputs,
    view: impl FnOnce(&Plan<'_>, &Pod<'_>) -> P,
) -> Result<Planned<P>, EarlyOutcome> {
    let planned = plan::plan(pod, origin, prepared, found.images.as_ref(), inputs);
    let plan = match planned.map_err(|error| refuse_plan(pod, prepared, &error))? {
        plan::PlanOutcome::Plan(plan) => *plan,
        plan::PlanOutcome::Lookup(lookup) => {
            return Err(EarlyOutcome::Lookup(Box::new(PendingLookup::Images(lookup))));
        }
    };
    let view = view(&plan, pod);
    let (profile, warnings) = (plan.config.profile.clone(), plan.warnings.clone());
    let patch = patch::operations(plan, pod)?;
    Ok(Planned { profile, warnings, patch, view })
}

fn read<'a>(object: &'a Json<'a>) -> Result<Pod<'a>, Refusal> {
    Pod::read(object).map_err(|error| Refusal::new(Code::PodMalformed, &format!("bootlace: {error}")))
}

fn message(pod: &Pod<'_>, error: &dyn fmt::Display) -> String {
    format!("bootlace: pod {}: {error}", pod.display_name())
}

fn refuse_plan(pod: &Pod<'_>, prepared: &PreparedProfile, error: &PlanError) -> Refusal {
    Refusal::new(error.code(), &message(pod, error))
        .with_profile(&prepared.profile.name)
        .with_undefined(error.undefined())
}

fn refuse_input(pod: &Pod<'_>, prepared: &PreparedProfile, error: &InputError) -> Refusal {
    Refusal::new(error.code(), &message(pod, error)).with_profile(&prepared.profile.name)
}

/// An internal error refuses the pod, because a task must not run without its boot process.
pub(super) fn internal_error(error: &dyn fmt::Display) -> Refusal {
    Refusal::new(Code::InternalError, &format!("bootlace: {error}"))
}

/// Message if a lookup is required although no lookups are available.
pub(super) const UNEXPECTED_LOOKUP: &str =
    "internal error: a lookup is required but none is available here; please report this bug";
