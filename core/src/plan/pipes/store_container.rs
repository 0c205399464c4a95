//! The common parts of containers that send requests to the store.

use std::sync::Arc;

use k8s_openapi::api::core::v1 as core;
use serde::Serialize;
use serde_json::Value;

use super::PipesError;
use crate::identity::Scheduler;
use crate::injected_config::{ProfileRef, StoreEndpoint};
use crate::names;
use crate::plan::container_parts::{read_only_mount, security_context};
use crate::plan::{PlanError, Version, env_json};
use crate::profile::BootProfileSpec;
use crate::profile::run_as_user::RunAsUser;

/// The parts that do not depend on the pod.
#[derive(Debug)]
pub(in crate::plan) struct StoreContainer<'r> {
    pub(in crate::plan) spec: &'r BootProfileSpec,
    pub(in crate::plan) profile: ProfileRef,
    pub(in crate::plan) store: Option<&'r StoreEndpoint>,
    /// Version of the API server, if it is known.
    pub(in crate::plan) kubernetes: Option<Version>,
    /// User of the containers.
    pub(in crate::plan) run_as_user: RunAsUser,
    /// The boot container, which has the same image.
    pub(in crate::plan) boot: &'r Value,
    /// The scheduler that created the pod.
    pub(in crate::plan) scheduler: Option<&'r Arc<Scheduler>>,
}

impl StoreContainer<'_> {
    /// The container `name` without its resources. It runs `bootlace VERB` with `config` in the variable
    /// `env`, and mounts the token for the store.
    pub(super) fn container(
        &self,
        name: &'static str,
        verb: &str,
        (env, config): (&str, &impl Serialize),
    ) -> Result<core::Container, PlanError> {
        let boot_field = |field| self.boot.get(field).and_then(Value::as_str).map(str::to_owned);
        Ok(core::Container {
            name: name.to_owned(),
            image: boot_field("image"),
            image_pull_policy: boot_field("imagePullPolicy"),
            command: Some(vec![names::IMAGE_BOOTLACE.to_owned(), verb.to_owned()]),
            env: Some(vec![env_var(env, encode(name, config)?)]),
            volume_mounts: Some(vec![read_only_mount(names::VOLUME_STORE, names::MOUNT_STORE)]),
            security_context: Some(security_context(self.run_as_user)),
            ..core::Container::default()
        })
    }
}

/// The configuration of `container` as the value of one variable.
fn encode(container: &'static str, config: &impl Serialize) -> Result<String, PlanError> {
    let json = env_json::encode(config)?;
    if json.len() > env_json::MAX_VALUE_BYTES {
        let (size, limit) = (json.len(), env_json::MAX_VALUE_BYTES);
        return Err(PipesError::TooLarge { container, size, limit }.into());
    }
    Ok(json)
}

/// A variable with a value.
pub(super) fn env_var(name: &str, value: String) -> core::EnvVar {
    core::EnvVar { name: name.to_owned(), value: Some(value), ..core::EnvVar::default() }
}
