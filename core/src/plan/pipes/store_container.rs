//! What the containers that speak to the store are made from, beside the pod.

use k8s_openapi::api::core::v1 as core;
use serde::Serialize;
use serde_json::Value;

use super::PipesError;
use crate::identity::Schedulers;
use crate::injected_config::{ProfileRef, StoreEndpoint};
use crate::names;
use crate::plan::{PlanError, Version, boot};
use crate::profile::BootProfileSpec;
use crate::profile::run_as_user::RunAsUser;

/// Bytes of an env variable; see [`boot::env`].
const MAX_SPEC_BYTES: usize = 32 * 4096 - 64;

/// What they are made from.
#[derive(Debug)]
pub(in crate::plan) struct StoreContainer<'r> {
    pub(in crate::plan) spec: &'r BootProfileSpec,
    pub(in crate::plan) profile: ProfileRef,
    pub(in crate::plan) store: Option<&'r StoreEndpoint>,
    /// The API server's version, where it is known.
    pub(in crate::plan) kubernetes: Option<Version>,
    /// The user that they run as.
    pub(in crate::plan) run_as_user: RunAsUser,
    /// The boot container, whose image they share.
    pub(in crate::plan) boot: &'r Value,
    /// The table of schedulers.
    pub(in crate::plan) schedulers: &'r Schedulers,
}

impl StoreContainer<'_> {
    /// The container `name`, but for its resources. It runs `bootlace VERB`, is told `spec` in the variable `env`, and holds
    /// the token for the store.
    pub(super) fn container(
        &self,
        name: &'static str,
        verb: &str,
        (env, spec): (&str, &impl Serialize),
    ) -> Result<core::Container, PlanError> {
        let of_boot = |field| self.boot.get(field).and_then(Value::as_str).map(str::to_owned);
        Ok(core::Container {
            name: name.to_owned(),
            image: of_boot("image"),
            image_pull_policy: of_boot("imagePullPolicy"),
            command: Some(vec![names::IMAGE_BOOTLACE.to_owned(), verb.to_owned()]),
            env: Some(vec![core::EnvVar {
                name: env.to_owned(),
                value: Some(encode(name, spec)?),
                ..core::EnvVar::default()
            }]),
            volume_mounts: Some(vec![boot::read_only(names::VOLUME_STORE, names::MOUNT_STORE)]),
            security_context: Some(boot::security_context(self.run_as_user)),
            ..core::Container::default()
        })
    }
}

/// What `container` is told, as JSON; for its dollar signs see [`boot::env`].
fn encode(container: &'static str, spec: &impl Serialize) -> Result<String, PlanError> {
    let json = serde_json::to_string(spec).map_err(|error| PlanError::Unwritable(error.to_string()))?;
    let json = json.replace('$', "\\u0024");
    if json.len() > MAX_SPEC_BYTES {
        return Err(PipesError::TooLarge { container, size: json.len(), limit: MAX_SPEC_BYTES }.into());
    }
    Ok(json)
}
