//! Signatures of the configuration of injected containers, which the store verifies. A pod that is already
//! injected is only signed if its configuration is the same as in a plan for it.

use std::fmt::Display;

use serde::Deserialize;
use serde_json::{Value, json};

use super::pipes::{self, Outputs};
use super::{AdmissionContext, PlanError, PreparedProfile, containers, hooks, progress};
use crate::identity;
use crate::input::{AwaitedOutput, WaitSpec};
use crate::names;
use crate::output::SidecarConfig;
use crate::pod::Pod;
use crate::signature::{self, PodName, Signature, SigningKeys, Specs};

/// Adds the signature of the configuration of all added containers to the boot container.
pub(super) fn sign(
    keys: &SigningKeys,
    pod: &Pod<'_>,
    origin: AdmissionContext<'_>,
    boot: &mut [Value],
    wait: &[Value],
) {
    let added = || boot.iter().chain(wait);
    let specs =
        Specs::of(|container, name| env(added().find(|added| text(added, "name") == Some(container))?, name));
    let value = signature::sign(keys, origin.namespace, pod_name(pod), &specs);
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

fn pod_name<'a>(pod: &Pod<'a>) -> PodName<'a> {
    PodName::of(pod.name, pod.generate_name)
}

/// The configuration of the injected containers of a pod.
fn specs<'a>(pod: &Pod<'a>) -> Specs<'a> {
    Specs::of(|container, name| {
        let container = pod.init_containers.iter().find(|found| found.name == container)?;
        container.variables().find(|variable| variable.name == name)?.text
    })
}

/// Whether an injected pod has a valid signature.
#[must_use]
pub fn is_signed(pod: &Pod<'_>, namespace: &str, keys: &SigningKeys) -> bool {
    let boot = pod.init_containers.iter().find(|container| container.name == names::CONTAINER_BOOT);
    let text =
        boot.and_then(|boot| boot.variables().find(|variable| variable.name == names::ENV_SIGNATURE)?.text);
    let Some(signature) = text.and_then(Signature::read) else { return false };
    let names = (pod.name.unwrap_or_default(), pod.generate_name);
    match pod_name(pod) {
        PodName::Name(_) => signature::verify(keys, &signature, namespace, names, &specs(pod)).is_ok(),
        // The API server has not generated the name yet.
        PodName::Prefix(prefix) => {
            signature::verify(keys, &signature, namespace, (prefix, Some(prefix)), &specs(pod)).is_ok()
        }
    }
}

/// Whether an injected pod stores outputs. Its profile determines which outputs it may store.
#[must_use]
pub fn stores_outputs(pod: &Pod<'_>) -> bool {
    !specs(pod).pipes.is_empty()
}

/// The signature of a pod that is already injected, by `bootlace inject` or as a copy of another pod.
/// `prepared` is its profile, if it stores outputs.
///
/// # Errors
/// If the store would act for the pod in a way that a plan for it does not allow.
pub fn sign_injected(
    pod: &Pod<'_>,
    namespace: &str,
    prepared: Option<&PreparedProfile>,
    keys: &SigningKeys,
) -> Result<String, PlanError> {
    let specs = specs(pod);
    check_boot(&specs.boot)?;
    if let Some(prepared) = prepared {
        check_pipes(&specs.pipes, pod, prepared)?;
    }
    check_wait(&specs.wait)?;
    Ok(signature::sign(keys, namespace, pod_name(pod), &specs))
}

/// The part of the configuration of boot that the store uses.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SignedBootSpec {
    env_secret: Option<String>,
}

fn check_boot(text: &str) -> Result<(), PlanError> {
    if text.is_empty() {
        return Ok(());
    }
    let spec: SignedBootSpec = parse(text, names::CONTAINER_BOOT, names::ENV_BOOT_SPEC)?;
    match spec.env_secret {
        // The name is derived from the review of the pod that it was created for.
        Some(secret) => Err(differs("the Secret of the boot env", &secret, &"a Secret for this pod")),
        None => Ok(()),
    }
}

fn check_pipes(text: &str, pod: &Pod<'_>, prepared: &PreparedProfile) -> Result<(), PlanError> {
    let spec: SidecarConfig<'_> = parse(text, names::CONTAINER_PIPE, names::ENV_PIPES)?;
    let scheduler = prepared.schedulers.detect(pod);
    let task = identity::identify(pod, scheduler);
    if spec.task != task {
        return Err(differs("the task of the outputs", &spec.task.describe(), &task.describe()));
    }
    let pipes = &prepared.profile.spec.pipes;
    let seconds = u64::from(pipes.time_to_live_seconds);
    if spec.time_to_live_seconds != seconds {
        return Err(differs(
            "the time to live of the outputs in seconds",
            &spec.time_to_live_seconds,
            &seconds,
        ));
    }
    if spec.quota != pipes.quota {
        let json = |quota| serde_json::to_string(quota).unwrap_or_default();
        return Err(differs("the quota of the outputs", &json(&spec.quota), &json(&pipes.quota)));
    }
    // A pod that came injected can report less than its profile allows, but not more.
    if !spec.progress.is_empty() && !progress::is_available(prepared) {
        return Err(differs("the progress of the task", &"reported", &"not reported"));
    }
    let owners = pipes::run_owners(pod, scheduler);
    if spec.run_owners != owners {
        return Err(differs("the owners of the outputs", &spec.run_owners.join(", "), &owners.join(", ")));
    }
    let tasks = containers::tasks(pod, &prepared.profile, scheduler)?;
    let hooks = &prepared.profile.spec.hooks;
    let is_planned =
        |name: &&String| tasks.iter().any(|task| task.name == **name && hooks::is_supervised(task, hooks));
    if let Some(found) = spec.supervised.iter().find(|name| !is_planned(name)) {
        return Err(differs("a container with hooks", found, &"a task of a profile with hooks"));
    }
    let outputs = Outputs::declared(pod, &tasks, &prepared.profile)?;
    for found in &spec.outputs {
        let declared = outputs.of_container(&found.container).any(|output| {
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
    let spec: WaitSpec<'_> = parse(text, names::CONTAINER_WAIT, names::ENV_WAIT)?;
    for awaits in spec.awaits.iter() {
        let planned =
            AwaitedOutput::new(&awaits.key, awaits.kind, awaits.from.clone(), awaits.seconds).object;
        if awaits.object != planned {
            return Err(differs("the object that it waits for", &awaits.object, &planned));
        }
    }
    Ok(())
}

fn parse<'t, T: Deserialize<'t>>(
    text: &'t str,
    container: &'static str,
    env: &'static str,
) -> Result<T, PlanError> {
    serde_json::from_str(text).map_err(|_| PlanError::InjectedConfigInvalid { container, env })
}

fn differs(part: &'static str, found: &dyn Display, planned: &dyn Display) -> PlanError {
    PlanError::InjectedConfigDiffers { part, found: found.to_string(), planned: planned.to_string() }
}
