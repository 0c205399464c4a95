//! The steps of admission that a review and a pod alone share: select, apply overlays, resolve inputs, plan,
//! patch.

use std::fmt;

use super::decision::{AppliedOverlay, Decision, Injection, LookupResults, PendingLookup, Reordering};
use crate::code::{Code, Coded as _};
use crate::identity;
use crate::injected_config::ProfileRef;
use crate::input::{self, BootInputs, InputError, Inputs, Resolution};
use crate::names;
use crate::overlay::{Applied, Chain, OverlayError, Step};
use crate::patch::{self, PatchError};
use crate::plan::{self, AdmissionContext, Plan, PlanError, PreparedProfile, PreparedProfiles, SelectedTask};
use crate::pod::{DoesNotApply, Json, Operation, Pod, apply};
use crate::profile::NoProfile;
use crate::quote::quoted;
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
    mut object: Json<'_>,
    origin: AdmissionContext<'_>,
    profiles: &PreparedProfiles,
    found: &LookupResults,
    view: impl FnOnce(&Plan<'_>, &Pod<'_>) -> P,
) -> Result<Injection<P>, EarlyOutcome> {
    let pod = read(&object)?;
    let selected = select(&object, &pod, origin, profiles)?;
    // All that follows sees the pod with its overlays, as if its author had written them. Only such a pod is
    // read again.
    let (pod, overlaid) = match overlays(&pod, origin, &selected)? {
        None => (pod, Overlaid::default()),
        Some(chain) => {
            let name = pod.display_name().to_owned();
            drop(pod);
            let applied = chain.apply(&mut object);
            let applied = applied.map_err(|error| refuse_overlay(&name, selected.prepared, &error))?;
            let overlaid = Overlaid::from(applied);
            let pod = Pod::read(&object).map_err(PlanError::from);
            let pod = pod.and_then(|pod| plan::check_changed(&pod).map(|()| pod));
            (pod.map_err(|error| overlaid.refuse_plan(&name, selected.prepared, &error))?, overlaid)
        }
    };
    let Inputs { edits, boot, resolved, unresolved, warnings: input_warnings } =
        resolve_inputs(&object, &pod, origin, &selected, found)?;
    let input_operations = patch::inputs(edits, &pod);
    let decided = if input_operations.is_empty() {
        let decided = plan(&pod, origin, (&selected, &overlaid), found, &boot, view)?;
        apply(object, &decided.patch)?;
        decided
    } else {
        // The plan sees the pod with its inputs, as if it had named them itself. Only such a pod is read
        // twice: which inputs it has is known after the first time.
        let object = apply(object, &input_operations)?;
        let decided = plan(&read(&object)?, origin, (&selected, &overlaid), found, &boot, view)?;
        apply(object, &decided.patch)?;
        decided
    };
    let Planned { profile, warnings: plan_warnings, patch: plan_operations, view: pod } = decided;
    let Selected { reason, named_by, .. } = selected;
    let Overlaid { overlays, mut operations, mut warnings } = overlaid;
    operations.extend(input_operations);
    operations.extend(plan_operations);
    warnings.extend(input_warnings);
    warnings.extend(plan_warnings);
    Ok(Injection {
        reason,
        named_by,
        profile,
        overlays,
        warnings,
        resolved,
        unresolved,
        patch: operations,
        pod,
    })
}

/// A task, with its profile.
struct Selected<'r> {
    reason: MatchReason,
    named_by: ProfileSelectedBy,
    prepared: &'r PreparedProfile,
    task: SelectedTask<'r>,
}

fn select<'r>(
    object: &Json<'_>,
    pod: &Pod<'_>,
    origin: AdmissionContext<'_>,
    profiles: &'r PreparedProfiles,
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
    let task = SelectedTask::new(pod, prepared).map_err(|error| refuse_plan(pod, prepared, &error))?;
    Ok(Selected { reason, named_by, prepared, task })
}

/// The overlays that `pod` gets; `None` if it gets none.
fn overlays<'r>(
    pod: &Pod<'_>,
    origin: AdmissionContext<'_>,
    selected: &Selected<'r>,
) -> Result<Option<Chain<'r>>, Refusal> {
    let Selected { prepared, task, .. } = selected;
    let profile = (prepared.profile.name.as_str(), &*prepared.overlays);
    Chain::new(pod, origin.namespace, task.scheduler, &task.containers, profile)
        .map_err(|error| refuse_overlay(pod.display_name(), prepared, &error))
}

/// The overlays that were applied to a pod.
#[derive(Default)]
struct Overlaid {
    overlays: Vec<AppliedOverlay>,
    operations: Vec<Operation>,
    warnings: Vec<String>,
}

impl From<Applied> for Overlaid {
    fn from(applied: Applied) -> Self {
        let mut overlaid = Self { warnings: applied.warnings, ..Self::default() };
        for Step { name, edits, kept } in applied.steps {
            overlaid.overlays.push(AppliedOverlay { name, operations: edits.len(), kept });
            overlaid.operations.extend(patch::overlays(edits));
        }
        overlaid
    }
}

impl Overlaid {
    /// Refuses the pod. The message names the overlays, because the reason can be a part that only they have
    /// added.
    fn refuse_plan(&self, pod: &str, prepared: &PreparedProfile, error: &PlanError) -> Refusal {
        let names: Vec<_> = self.overlays.iter().map(|overlay| overlay.name.as_str()).collect();
        let pod = match &*names {
            [] => pod.to_owned(),
            [name] => format!("{pod} with overlay {name:?}"),
            names => format!("{pod} with overlays {}", quoted(names)),
        };
        Refusal::new(error.code(), &message(&pod, error))
            .with_profile(&prepared.profile.name)
            .with_undefined(error.undefined())
    }
}

fn resolve_inputs(
    object: &Json<'_>,
    pod: &Pod<'_>,
    origin: AdmissionContext<'_>,
    selected: &Selected<'_>,
    found: &LookupResults,
) -> Result<Inputs, EarlyOutcome> {
    let Selected { prepared, task, .. } = selected;
    let tasks = task.containers_in(pod);
    let identity = || identity::identify(pod, task.scheduler);
    let resolved =
        input::resolve(object, pod, &tasks, identity, &prepared.profile.spec, found.pipes.as_ref());
    match resolved.map_err(|error| refuse_input(pod, prepared, &error))? {
        Resolution::Inputs(inputs) => Ok(inputs),
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
            None => Refusal::new(error.code(), &message(pod.display_name(), &error)),
        })?;
    Ok(patch::signature(signed, pod))
}

fn find_profile<'r>(
    pod: &Pod<'_>,
    profiles: &'r PreparedProfiles,
    profile: &str,
    named_by: ProfileSelectedBy,
) -> Result<&'r PreparedProfile, Refusal> {
    let unknown = |error: NoProfile| {
        Refusal::new(error.code(), &message(pod.display_name(), &format!("{error} ({named_by})")))
    };
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
    (selected, overlaid): (&Selected<'_>, &Overlaid),
    found: &LookupResults,
    inputs: &BootInputs,
    view: impl FnOnce(&Plan<'_>, &Pod<'_>) -> P,
) -> Result<Planned<P>, EarlyOutcome> {
    let Selected { prepared, task, .. } = selected;
    let planned = plan::plan(pod, origin, (*prepared, task), found.images.as_ref(), inputs);
    let refuse = |error| overlaid.refuse_plan(pod.display_name(), prepared, &error);
    let mut plan = match planned.map_err(refuse)? {
        plan::PlanOutcome::Plan(plan) => *plan,
        plan::PlanOutcome::Lookup(lookup) => {
            return Err(EarlyOutcome::Lookup(Box::new(PendingLookup::Images(lookup))));
        }
    };
    plan.injected.overlays = overlaid.overlays.iter().map(|overlay| overlay.name.clone()).collect();
    let view = view(&plan, pod);
    let (profile, warnings) = (plan.config.profile.clone(), plan.warnings.clone());
    let patch = patch::operations(plan, pod)?;
    Ok(Planned { profile, warnings, patch, view })
}

fn read<'a>(object: &'a Json<'a>) -> Result<Pod<'a>, Refusal> {
    Pod::read(object).map_err(|error| Refusal::new(Code::PodMalformed, &format!("bootlace: {error}")))
}

/// The message of a refusal. `pod` is the name of the pod.
fn message(pod: &str, error: &dyn fmt::Display) -> String {
    format!("bootlace: pod {pod}: {error}")
}

fn refuse_plan(pod: &Pod<'_>, prepared: &PreparedProfile, error: &PlanError) -> Refusal {
    Overlaid::default().refuse_plan(pod.display_name(), prepared, error)
}

fn refuse_overlay(pod: &str, prepared: &PreparedProfile, error: &OverlayError) -> Refusal {
    Refusal::new(error.code(), &message(pod, error))
        .with_profile(&prepared.profile.name)
        .with_undefined(error.undefined())
}

fn refuse_input(pod: &Pod<'_>, prepared: &PreparedProfile, error: &InputError) -> Refusal {
    Refusal::new(error.code(), &message(pod.display_name(), error)).with_profile(&prepared.profile.name)
}

/// An internal error refuses the pod, because a task must not run without its boot process.
pub(super) fn internal_error(error: &dyn fmt::Display) -> Refusal {
    Refusal::new(Code::InternalError, &format!("bootlace: {error}"))
}

/// Message if a lookup is required although no lookups are available.
pub(super) const UNEXPECTED_LOOKUP: &str =
    "internal error: a lookup is required but none is available here; please report this bug";
