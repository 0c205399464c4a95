//! What the pod is given, signed for the store; and whether what a pod came with is what would be planned for it.

use std::fmt::Display;

use serde::Deserialize;
use serde_json::{Value, json};

use super::pipes::{self, Outputs};
use super::{AdmissionContext, PlanError, PreparedProfile, containers};
use crate::input::{AwaitedOutput, WaitSpec};
use crate::names;
use crate::output::SidecarConfig;
use crate::pod::Pod;
use crate::signature::{self, Keys, PodName, Signature, Specs};

/// Gives the boot container the signature of all that the added containers are told.
pub(super) fn sign(
    keys: &Keys,
    pod: &Pod<'_>,
    origin: AdmissionContext<'_>,
    boot: &mut [Value],
    wait: &[Value],
) {
    let added = || boot.iter().chain(wait);
    let specs =
        Specs::of(|container, name| env(added().find(|added| text(added, "name") == Some(container))?, name));
    let value = signature::sign(keys, origin.namespace, name(pod), &specs);
    let boot = boot.iter_mut().find(|added| text(added, "name") == Some(names::CONTAINER_BOOT));
    if let Some(env) = boot.and_then(|boot| boot.get_mut("env")).and_then(Value::as_array_mut) {
        env.push(json!({"name": names::ENV_SIGNATURE, "value": value}));
    }
}

fn env<'v>(container: &'v Value, name: &str) -> Option<&'v str> {
    let env = container.get("env")?.as_array()?;
    text(env.iter().find(|variable| text(variable, "name") == Some(name))?, "value")
}

fn text<'v>(value: &'v Value, field: &str) -> Option<&'v str> {
    value.get(field).and_then(Value::as_str)
}

fn name<'a>(pod: &Pod<'a>) -> PodName<'a> {
    PodName::of(pod.name, pod.generate_name)
}

/// What the containers of a pod that came injected are told.
fn specs<'a>(pod: &Pod<'a>) -> Specs<'a> {
    Specs::of(|container, name| {
        let container = pod.init_containers.iter().find(|found| found.name == container)?;
        container.variables().find(|variable| variable.name == name)?.text
    })
}

/// Whether a pod that came injected carries a signature which holds for it.
#[must_use]
pub fn is_signed(pod: &Pod<'_>, namespace: &str, keys: &Keys) -> bool {
    let boot = pod.init_containers.iter().find(|container| container.name == names::CONTAINER_BOOT);
    let text =
        boot.and_then(|boot| boot.variables().find(|variable| variable.name == names::ENV_SIGNATURE)?.text);
    let Some(signature) = text.and_then(Signature::read) else { return false };
    let names = (pod.name.unwrap_or_default(), pod.generate_name);
    match name(pod) {
        PodName::Name(_) => signature::verify(keys, &signature, namespace, names, &specs(pod)).is_ok(),
        // The API server has not made a name of it yet.
        PodName::Prefix(prefix) => {
            signature::verify(keys, &signature, namespace, (prefix, Some(prefix)), &specs(pod)).is_ok()
        }
    }
}

/// Whether a pod that came injected has outputs stored: what may be stored of them its profile says.
#[must_use]
pub fn hands_over(pod: &Pod<'_>) -> bool {
    !specs(pod).pipes.is_empty()
}

/// The signature of a pod that came injected, by `bootlace inject` or as a copy of another. `recipe` is that of its profile,
/// where it has outputs stored.
///
/// # Errors
/// Where the store would do for it what would not be planned for it now.
pub fn of_injected(
    pod: &Pod<'_>,
    namespace: &str,
    recipe: Option<&PreparedProfile>,
    keys: &Keys,
) -> Result<String, PlanError> {
    let specs = specs(pod);
    check_boot(&specs.boot)?;
    if let Some(recipe) = recipe {
        check_pipes(&specs.pipes, pod, recipe)?;
    }
    check_wait(&specs.wait)?;
    Ok(signature::sign(keys, namespace, name(pod), &specs))
}

/// The part of boot's spec that the store acts on.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SignedBootSpec {
    env_secret: Option<String>,
}

fn check_boot(text: &str) -> Result<(), PlanError> {
    if text.is_empty() {
        return Ok(());
    }
    let spec: SignedBootSpec = read(text, names::CONTAINER_BOOT, names::ENV_BOOT_SPEC)?;
    match spec.env_secret {
        // It is named by the review of the pod that it was made for.
        Some(secret) => Err(differs("the Secret of the boot env", &secret, &"a Secret for this pod")),
        None => Ok(()),
    }
}

fn check_pipes(text: &str, pod: &Pod<'_>, recipe: &PreparedProfile) -> Result<(), PlanError> {
    let spec: SidecarConfig<'_> = read(text, names::CONTAINER_PIPE, names::ENV_PIPES)?;
    let task = recipe.schedulers.identify(pod);
    if spec.task != task {
        return Err(differs("the task of the outputs", &spec.task.describe(), &task.describe()));
    }
    let says = &recipe.profile.spec.pipes;
    let seconds = u64::from(says.time_to_live_seconds);
    if spec.time_to_live_seconds != seconds {
        return Err(differs(
            "the time to live of the outputs in seconds",
            &spec.time_to_live_seconds,
            &seconds,
        ));
    }
    if spec.quota != says.quota {
        let json = |quota| serde_json::to_string(quota).unwrap_or_default();
        return Err(differs("the quota of the outputs", &json(&spec.quota), &json(&says.quota)));
    }
    let owners = pipes::run_owners(pod, &recipe.schedulers);
    if spec.run_owners != owners {
        return Err(differs("the owners of the outputs", &spec.run_owners.join(", "), &owners.join(", ")));
    }
    let tasks = containers::tasks(pod, recipe)?;
    let outputs = Outputs::declared(pod, &tasks, &recipe.profile)?;
    for found in &spec.outputs {
        let declared = outputs.of(&found.container).any(|output| {
            (&output.key, output.kind, output.awaited) == (&found.key, found.kind, found.awaited)
        });
        if !declared {
            let found = format!("{} {} of container {}", found.kind, found.key, found.container);
            return Err(differs("an output", &found, &"one that is declared"));
        }
    }
    Ok(())
}

fn check_wait(text: &str) -> Result<(), PlanError> {
    if text.is_empty() {
        return Ok(());
    }
    let spec: WaitSpec<'_> = read(text, names::CONTAINER_WAIT, names::ENV_WAIT)?;
    for awaits in spec.awaits.iter() {
        let planned =
            AwaitedOutput::new(&awaits.key, awaits.kind, awaits.from.clone(), awaits.seconds).object;
        if awaits.object != planned {
            return Err(differs("the object that it waits for", &awaits.object, &planned));
        }
    }
    Ok(())
}

fn read<'t, T: Deserialize<'t>>(
    text: &'t str,
    container: &'static str,
    env: &'static str,
) -> Result<T, PlanError> {
    serde_json::from_str(text).map_err(|_| PlanError::InjectedUnreadable { container, env })
}

fn differs(what: &'static str, has: &dyn Display, planned: &dyn Display) -> PlanError {
    PlanError::InjectedOtherwise { what, has: has.to_string(), planned: planned.to_string() }
}
