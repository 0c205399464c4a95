//! The settings of an installation.

use std::sync::Arc;

use super::Version;
use crate::identity::Schedulers;
use crate::injected_config::StoreEndpoint;
use crate::profile::pull_policy::PullPolicy;
use crate::profile::run_as_user::RunAsUser;
use crate::signature::SigningKeys;

/// Settings of the installation of the webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallationSettings {
    /// Image of the boot container if the profile sets none.
    pub boot_image: String,
    /// Pull policy of that image; `None` for the default of the API server.
    pub boot_image_pull_policy: Option<PullPolicy>,
    /// Names of the pull secrets of all task pods, in addition to those of the profile.
    pub boot_image_pull_secrets: Vec<String>,
    /// User of injected containers if the profile sets none.
    pub boot_run_as_user: RunAsUser,
    /// The store, if it is installed.
    pub store: Option<StoreEndpoint>,
    /// Whether tasks can report their progress.
    pub allows_progress: bool,
    /// Keys that sign the configuration of pods for the store; `None` if nothing is signed, as on the command
    /// line.
    pub keys: Option<Arc<SigningKeys>>,
    /// Version of the API server, if it is known.
    pub kubernetes: Option<Version>,
    /// The table of schedulers.
    pub schedulers: Arc<Schedulers>,
}

impl Default for InstallationSettings {
    fn default() -> Self {
        Self {
            // A reserved domain (RFC 2606): no image is published, and another name could belong to someone.
            boot_image: concat!("registry.example.com/bootlace:", env!("CARGO_PKG_VERSION")).to_owned(),
            boot_image_pull_policy: None,
            boot_image_pull_secrets: Vec::new(),
            boot_run_as_user: RunAsUser::default(),
            store: None,
            allows_progress: false,
            keys: None,
            kubernetes: None,
            schedulers: Schedulers::built_in(),
        }
    }
}
