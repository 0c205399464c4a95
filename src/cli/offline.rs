//! What the offline tools need in place of a cluster: profiles from files, and an image's name.

use std::path::PathBuf;

use anyhow::Context as _;

use super::manifest::Found;
use crate::plan::{Recipes, Settings};
use crate::profile::{Profile, folder};
use crate::review::Refusal;
use crate::told::Store;

/// Arguments that `inject` and `explain` share.
#[derive(Debug, clap::Args)]
pub(super) struct Offline {
    /// Manifests to read; `-` is standard input.
    #[arg(default_value = "-")]
    pub(super) files: Vec<PathBuf>,
    /// Folder or file of BootProfiles; without it there is one empty profile, `default`.
    #[arg(long, env = "BOOTLACE_PROFILES")]
    profiles: Option<PathBuf>,
    /// Image of the boot container where the profile names none.
    #[arg(long, env = "BOOTLACE_BOOT_IMAGE", default_value_t = Settings::default().boot_image)]
    boot_image: String,
    /// Where the store is reached, for pods that declare outputs.
    #[arg(long, env = "BOOTLACE_STORE_URL", requires = "store_ca")]
    store_url: Option<String>,
    /// File of the certificate authorities that the store is trusted by, as PEM.
    #[arg(long, requires = "store_url")]
    store_ca: Option<PathBuf>,
}

impl Offline {
    pub(super) fn load(&self) -> anyhow::Result<Recipes> {
        let profiles = match &self.profiles {
            Some(path) => folder::read(path)?,
            None => std::iter::once(Profile {
                name: crate::names::PROFILE_DEFAULT.to_owned(),
                ..Profile::default()
            })
            .collect(),
        };
        let store = match self.store_url.clone().zip(self.store_ca.as_ref()) {
            Some((url, file)) => {
                let ca = std::fs::read_to_string(file).with_context(|| {
                    format!("{} cannot be read: give another file with --store-ca", file.display())
                })?;
                Some(Store { url, ca })
            }
            None => None,
        };
        let settings = Settings { boot_image: self.boot_image.clone(), store, ..Settings::default() };
        Ok(Recipes::new(profiles, &settings)?)
    }
}

/// Why `found` is refused. Of a pod template it says, too, what is missing there and nowhere else: who a task is stands
/// in what its controller adds to each pod.
pub(super) fn why(found: &Found<'_>, refusal: &Refusal) -> String {
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
