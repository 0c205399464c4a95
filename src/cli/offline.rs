//! The arguments of the offline tools: profiles from files, and settings of the installation.

use std::path::PathBuf;

use serde_json::Value;

use super::manifest::PodInManifest;
use crate::command_error::CommandError;
use crate::profile_files;
use crate::webhook::boot_args::BootArgs;
use bootlace_core::injected_config::StoreEndpoint;
use bootlace_core::plan::{InstallationSettings, PreparedProfiles};
use bootlace_core::profile::Profile;
use bootlace_core::review::Refusal;

/// Arguments that `inject` and `explain` share.
#[derive(Debug, clap::Args)]
pub(super) struct Offline {
    /// Manifests to read. `-` is standard input.
    #[arg(default_value = "-")]
    pub(super) files: Vec<PathBuf>,
    /// Directory or file with BootProfiles. Defaults to an empty profile named `default`.
    #[arg(long, env = "BOOTLACE_PROFILES")]
    profiles: Option<PathBuf>,
    #[command(flatten)]
    boot: BootArgs,
    /// URL of the store, for pods that declare outputs.
    #[arg(long, env = "BOOTLACE_STORE_URL", requires = "store_ca")]
    store_url: Option<String>,
    /// File with the certificate authorities of the store, as PEM.
    #[arg(long, requires = "store_url")]
    store_ca: Option<PathBuf>,
}

impl Offline {
    pub(super) fn load(&self) -> anyhow::Result<PreparedProfiles> {
        let profiles = match &self.profiles {
            Some(path) => profile_files::read(path).map_err(CommandError::from)?,
            None => std::iter::once(Profile {
                name: bootlace_core::names::PROFILE_DEFAULT.to_owned(),
                ..Profile::default()
            })
            .collect(),
        };
        let store = match self.store_url.clone().zip(self.store_ca.as_ref()) {
            Some((url, file)) => {
                let failed = |error| CommandError::ReadFile { path: file.clone(), error };
                let ca = std::fs::read_to_string(file).map_err(failed)?;
                Some(StoreEndpoint { url, ca })
            }
            None => None,
        };
        for (name, problem) in profiles.not_in_force() {
            eprintln!("BootProfile {name:?} is not active: {problem}");
        }
        let settings = InstallationSettings { store, ..self.boot.settings() };
        Ok(PreparedProfiles::new(profiles, &settings)?)
    }
}

/// The warning for a pod that gets the pull secrets `added`, if an injection by the webhook would differ: the
/// API server adds the pull secrets of the service account only to a pod without pull secrets, and does so
/// before it calls the webhook. A pod that was injected offline already has those of Bootlace.
pub(super) fn hidden_pull_secrets(pod: &Value, added: &[String]) -> Option<String> {
    if added.is_empty() || !pull_secrets_of(pod).is_empty() {
        return None;
    }
    Some(format!(
        "the injected pod has the imagePullSecrets {} for the boot image, so the API server will not add those of its service \
         account: add them to the manifest, or apply the original manifest, because the webhook keeps them",
        added.join(", ")
    ))
}

/// The names of the pull secrets of a pod.
pub(super) fn pull_secrets_of(pod: &Value) -> Vec<String> {
    let entries = pod.pointer("/spec/imagePullSecrets").and_then(Value::as_array);
    pull_secrets(entries.into_iter().flatten())
}

/// The names in the entries of `imagePullSecrets`.
pub(super) fn pull_secrets<'v>(entries: impl Iterator<Item = &'v Value>) -> Vec<String> {
    entries.filter_map(|entry| entry.get("name")?.as_str()).map(str::to_owned).collect()
}

/// The reason of a refusal, without its code. For a pod template it explains which variables only the pods
/// have, because their controller adds labels and an owner.
pub(super) fn explain_refusal(found: &PodInManifest<'_>, refusal: &Refusal) -> String {
    let code = format!(" [{}]", refusal.message_code);
    let message = refusal.message.strip_suffix(&code).unwrap_or(&refusal.message);
    let can_be_added =
        |variable: &&str| !["env[", "annotations["].iter().any(|start| variable.starts_with(start));
    match (&found.template_of, refusal.undefined.as_deref().filter(can_be_added)) {
        (Some(object), Some(variable)) => format!(
            "{message}. This is the pod template of {object}: its controller adds names, owners and labels such as \
             batch.kubernetes.io/job-name to the pods, and may add {variable}. Apply the original manifest, so that the \
             webhook injects the pods. To explain one of them: kubectl get pod NAME --output yaml | bootlace explain"
        ),
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_without_the_pull_secrets_of_its_service_account_has_a_warning() {
        let pod = |names: &[&str]| {
            let entries: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
            json!({"spec": {"imagePullSecrets": entries}})
        };
        let added = pull_secrets_of(&pod(&["boot", "other"]));
        for before in [json!({"spec": {}}), json!({"spec": {"imagePullSecrets": null}}), pod(&[])] {
            let warning = hidden_pull_secrets(&before, &added).unwrap();
            assert!(warning.contains("imagePullSecrets boot, other for the boot image"), "{warning}");
        }
        assert_eq!(hidden_pull_secrets(&pod(&["own"]), &added), None);
        assert_eq!(hidden_pull_secrets(&json!({"spec": {}}), &[]), None);
    }
}
