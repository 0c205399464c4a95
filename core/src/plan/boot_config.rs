//! The configuration of the boot container for one pod.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    BootSpec, EnvDelivery, PlanError, PreparedProfile, TaskContainer, boot_spec, env_json, references,
};
use crate::identity::Identity;
use crate::pod::{Container, LifecycleHandler};
use crate::profile::MAX_SPEC_BYTES;

/// The configuration of boot for one pod, without the parts that depend on its namespace and inputs.
pub(super) fn spec<'a>(
    task: Identity,
    containers: &[&Container<'a>],
    tasks: &[TaskContainer],
    env_from_prefixes: BTreeMap<String, String>,
    prepared: &'a PreparedProfile,
) -> BootSpec<'a> {
    // Every task container has an entry, even an empty one: the launcher treats a missing entry as a boot
    // that did not finish.
    let keep = |container: &&Container<'a>| {
        (Cow::Borrowed(container.name), kept_names(container, prepared).map(Cow::Borrowed).collect())
    };
    let references = containers.iter().zip(tasks).filter_map(|(container, task)| {
        let texts = task.references(container, &prepared.env_names);
        (!texts.is_empty()).then_some((Cow::Borrowed(container.name), texts))
    });
    let by_file = containers.iter().zip(tasks).filter(|(_, task)| task.delivery == EnvDelivery::File);
    let built_on = by_file.filter_map(|(container, _)| {
        let needed = references::referenced_before_set(container);
        let names = kept_names(container, prepared).filter(|name| needed.contains(name));
        let names: Vec<_> = names.map(Cow::Borrowed).collect();
        (!names.is_empty()).then_some((Cow::Borrowed(container.name), names))
    });
    let env = &prepared.profile.spec.env;
    let by_file = tasks.iter().any(|task| task.delivery == EnvDelivery::File);
    BootSpec {
        task,
        info: BTreeMap::new(),
        profile: prepared.reference(),
        timeout_seconds: prepared.profile.spec.boot.timeout_seconds,
        store: prepared.store.as_deref().map(Cow::Borrowed),
        env_secret: None,
        log_format: prepared.profile.spec.boot.log_format,
        layout: prepared.profile.spec.assets.layout,
        sources: Cow::Borrowed(&prepared.sources),
        keep: containers.iter().map(keep).collect(),
        env_from_prefixes,
        references: references.collect(),
        built_on: built_on.collect(),
        http_get: containers.iter().zip(tasks).any(|(container, task)| {
            let is_request = |handler: &Option<_>| matches!(handler, Some(LifecycleHandler::HttpGet(_)));
            (task.hook.is_some() && is_request(&container.post_start))
                || (task.prestop.is_some() && is_request(&container.pre_stop))
        }),
        by_shell: tasks.iter().any(|task| task.delivery == EnvDelivery::Hook),
        file_keys: by_file.then_some(Cow::Borrowed(&*env.file.keys)),
        allow: Cow::Borrowed(&env.allow),
    }
}

/// The names that the container always sets and boot may set too. Boot itself finds the names of variables
/// that depend on optional objects.
fn kept_names<'a>(container: &Container<'a>, prepared: &PreparedProfile) -> impl Iterator<Item = &'a str> {
    let names = container.sure_variables().map(|variable| variable.name);
    names.filter(|name| prepared.env_names.may_contain(name))
}

/// The configuration as variables of the boot container.
pub(super) fn env(spec: &BootSpec<'_>, profile: &str) -> Result<Vec<Value>, PlanError> {
    let json = env_json::encode(spec)?;
    if json.len() > MAX_SPEC_BYTES {
        let (size, limit, profile) = (json.len(), MAX_SPEC_BYTES, profile.to_owned());
        return Err(PlanError::SpecTooLarge { size, limit, profile });
    }
    let values = env_json::split(&json).into_iter().enumerate();
    Ok(values.map(|(part, value)| json!({"name": boot_spec::env_name(part), "value": value})).collect())
}
