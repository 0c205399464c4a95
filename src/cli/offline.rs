//! What the offline tools need in place of a cluster: profiles from files, and an image's name.

use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::Value;

use super::manifest::PodInManifest;
use crate::profile_files;
use crate::webhook::boot_args::BootArgs;
use bootlace_core::admission::Injection;
use bootlace_core::injected_config::StoreEndpoint;
use bootlace_core::plan::{InstallationSettings, PreparedProfiles};
use bootlace_core::profile::Profile;
use bootlace_core::review::Refusal;

/// Arguments that `inject` and `explain` share.
#[derive(Debug, clap::Args)]
pub(super) struct Offline {
    /// Manifests to read; `-` is standard input.
    #[arg(default_value = "-")]
    pub(super) files: Vec<PathBuf>,
    /// Folder or file of BootProfiles; without it there is one empty profile, `default`.
    #[arg(long, env = "BOOTLACE_PROFILES")]
    profiles: Option<PathBuf>,
    #[command(flatten)]
    boot: BootArgs,
    /// Where the store is reached, for pods that declare outputs.
    #[arg(long, env = "BOOTLACE_STORE_URL", requires = "store_ca")]
    store_url: Option<String>,
    /// File of the certificate authorities that the store is trusted by, as PEM.
    #[arg(long, requires = "store_url")]
    store_ca: Option<PathBuf>,
}

impl Offline {
    pub(super) fn load(&self) -> anyhow::Result<PreparedProfiles> {
        let profiles = match &self.profiles {
            Some(path) => profile_files::read(path)?,
            None => std::iter::once(Profile {
                name: bootlace_core::names::PROFILE_DEFAULT.to_owned(),
                ..Profile::default()
            })
            .collect(),
        };
        let store = match self.store_url.clone().zip(self.store_ca.as_ref()) {
            Some((url, file)) => {
                let ca = std::fs::read_to_string(file).with_context(|| {
                    format!("{} cannot be read: give another file with --store-ca", file.display())
                })?;
                Some(StoreEndpoint { url, ca })
            }
            None => None,
        };
        for (name, problem) in profiles.not_in_force() {
            eprintln!("BootProfile {name:?} is not in force: {problem}");
        }
        let settings = InstallationSettings { store, ..self.boot.settings() };
        Ok(PreparedProfiles::new(profiles, &settings)?)
    }
}

/// What the author of `found` should know of its injection: the webhook's own warnings, and what differs from it here.
pub(super) fn warnings(found: &PodInManifest<'_>, injection: &Injection) -> Vec<String> {
    injection.warnings.iter().cloned().chain(hidden_pull_secrets(found.pod, &injection.pod)).collect()
}

/// The API server gives a pod the pull secrets of its service account only where it names none itself, and does so before
/// it calls the webhook. A pod that is injected beforehand comes with Bootlace's.
fn hidden_pull_secrets(before: &Value, after: &Value) -> Option<String> {
    let names = |pod: &Value| -> Vec<String> {
        let entries = pod.pointer("/spec/imagePullSecrets").and_then(Value::as_array);
        let names = entries.into_iter().flatten().filter_map(|entry| entry.get("name")?.as_str());
        names.map(str::to_owned).collect()
    };
    let added = names(after);
    if added.is_empty() || !names(before).is_empty() {
        return None;
    }
    Some(format!(
        "the pod names no imagePullSecrets, and now has {} for the boot image: the API server will not add those of its \
         service account any more. If that has some, list them in the manifest, or apply the manifest as it is: the webhook \
         keeps them",
        added.join(", ")
    ))
}

/// Why `found` is refused. Of a pod template it says, too, what is missing there and nowhere else: who a task is stands
/// in what its controller adds to each pod.
pub(super) fn explain_refusal(found: &PodInManifest<'_>, refusal: &Refusal) -> String {
    let told_by_pods =
        |variable: &&str| !["env[", "annotations["].iter().any(|start| variable.starts_with(start));
    match (&found.template_of, refusal.undefined.as_deref().filter(told_by_pods)) {
        (Some(object), Some(variable)) => format!(
            "{refusal}\n  This is the template that the pods of {object} are made from, and not yet one of them: their \
             names, their owner, and labels such as batch.kubernetes.io/job-name are added when they are made, and {variable} \
             may stand there. Leave the manifest as it is, and the webhook boots each pod by what it tells. To see that, \
             make one and give it to bootlace: kubectl get pod NAME --output yaml | bootlace explain"
        ),
        _ => refusal.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::hidden_pull_secrets;

    #[test]
    fn a_pod_that_would_lose_its_service_accounts_pull_secrets_comes_with_a_warning() {
        let pod = |names: &[&str]| {
            let entries: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
            json!({"spec": {"imagePullSecrets": entries}})
        };
        for before in [json!({"spec": {}}), json!({"spec": {"imagePullSecrets": null}}), pod(&[])] {
            let warning = hidden_pull_secrets(&before, &pod(&["boot", "other"])).unwrap();
            assert!(warning.contains("now has boot, other for the boot image"), "{warning}");
        }
        assert_eq!(hidden_pull_secrets(&pod(&["own"]), &pod(&["own", "boot"])), None);
        assert_eq!(hidden_pull_secrets(&json!({"spec": {}}), &json!({"spec": {}})), None);
    }
}
