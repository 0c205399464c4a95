//! Admission of a pod without a review, for the command line and tests.

use json_patch::PatchOperation;
use serde_json::Value;

use super::decide::{UNEXPECTED_LOOKUP, decide, internal_error};
use super::decision::{Decision, Injection, LookupResults, PendingLookup, Reordering};
use crate::plan::{AdmissionContext, Plan, PreparedProfiles};
use crate::pod::{Json, Operation, Pod};

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

/// Like [`admit`], with lookups; see [`super::review_with`].
///
/// # Errors
/// The lookup that is required.
pub fn admit_with<'a>(
    mut object: Value,
    origin: impl Into<AdmissionContext<'a>>,
    profiles: &PreparedProfiles,
    found: &LookupResults,
) -> Result<Decision, Box<PendingLookup>> {
    Ok(match decide(Json::from(&object), origin.into(), profiles, found, |_, _| ())? {
        Decision::Inject(injection) => {
            let Injection {
                reason,
                named_by,
                profile,
                overlays,
                warnings,
                resolved,
                unresolved,
                patch,
                pod: (),
            } = *injection;
            if let Err(error) = patched(&mut object, &patch) {
                return Ok(Decision::Refuse(internal_error(&error)));
            }
            let pod = object;
            let injection =
                Injection { reason, named_by, profile, overlays, warnings, resolved, unresolved, patch, pod };
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

/// Decides about a pod like [`admit`], but does not change it: `view` reads the plan and the pod with its
/// inputs, and returns what the caller needs of them.
#[must_use]
pub fn preview<'a, P>(
    object: &Value,
    origin: impl Into<AdmissionContext<'a>>,
    profiles: &PreparedProfiles,
    view: impl FnOnce(&Plan<'_>, &Pod<'_>) -> P,
) -> Decision<P, ()> {
    preview_with(object, origin, profiles, &LookupResults::default(), view)
        .unwrap_or_else(|_| Decision::Refuse(internal_error(&UNEXPECTED_LOOKUP)))
}

/// Like [`preview`], with lookups; see [`super::review_with`].
///
/// # Errors
/// The lookup that is required.
pub fn preview_with<'a, P>(
    object: &Value,
    origin: impl Into<AdmissionContext<'a>>,
    profiles: &PreparedProfiles,
    found: &LookupResults,
    view: impl FnOnce(&Plan<'_>, &Pod<'_>) -> P,
) -> Result<Decision<P, ()>, Box<PendingLookup>> {
    decide(Json::from(object), origin.into(), profiles, found, view)
}

fn patched(object: &mut Value, patch: &[Operation]) -> Result<(), json_patch::PatchError> {
    // "Unsafe" means in json-patch that a patch that fails halfway is not undone; undoing it would require
    // copies.
    let operations: Vec<_> = patch.iter().map(PatchOperation::from).collect();
    json_patch::patch_unsafe(object, &operations)
}
