//! What the offline tools need in place of a cluster: profiles from files, and an image's name.

use std::path::PathBuf;

use crate::plan::{Recipes, Settings};
use crate::profile::{Profile, folder};

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
        let settings = Settings { boot_image: self.boot_image.clone(), ..Settings::default() };
        Ok(Recipes::new(profiles, &settings)?)
    }
}
