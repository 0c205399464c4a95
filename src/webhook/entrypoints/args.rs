//! The part of the webhook's command line that is about images' entrypoints.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::builder::NonEmptyStringValueParser;
use kube::Client;
use tracing::warn;

use super::{EntrypointMetrics, EntrypointSettings, Entrypoints};
use crate::process::seconds;
use crate::server::tls::files;
use crate::webhook::lookups::{ImageLookup, PullSecretLookup};

/// Which registries are asked, and how.
#[derive(Debug, Clone, clap::Args)]
pub struct EntrypointArgs {
    /// Look up in this registry what its images start, for tasks that name no command. As in a pull secret:
    /// registry.example.com, *.example.com:5000, registry.example.com/team. Without it no registry is asked.
    #[arg(
        long = "entrypoint-registry", env = "BOOTLACE_ENTRYPOINT_REGISTRIES", value_name = "REGISTRY",
        value_delimiter = ',', value_parser = NonEmptyStringValueParser::new(),
    )]
    registries: Vec<String>,
    /// Seconds for all of a review's lookups. Has to stay below the webhook's own timeoutSeconds.
    #[arg(
        long = "entrypoint-timeout", env = "BOOTLACE_ENTRYPOINT_TIMEOUT", value_name = "SECONDS", value_parser = seconds,
        default_value = "3",
    )]
    timeout: Duration,
    /// The authority that registries' certificates are under, as PEM, beside the public ones; its changes are kept up with.
    #[arg(
        long = "entrypoint-ca",
        env = "BOOTLACE_ENTRYPOINT_CA",
        value_name = "FILE",
        requires = "registries"
    )]
    ca: Option<PathBuf>,
    /// Read the pull secrets of pods of this namespace, which takes the right to get them.
    #[arg(
        long = "pull-secrets-of", env = "BOOTLACE_PULL_SECRETS_OF", value_name = "NAMESPACE", value_delimiter = ',',
        requires = "registries", conflicts_with = "profiles", value_parser = NonEmptyStringValueParser::new(),
    )]
    pull_secrets_of: Vec<String>,
}

impl EntrypointArgs {
    /// What asks registries as these say; `None` where none is to be asked. Without `client` it reads no pull secrets.
    ///
    /// # Errors
    /// Where the authority's file cannot be read.
    pub(in crate::webhook) fn lookup(
        &self,
        client: Option<Client>,
        metrics: EntrypointMetrics,
    ) -> anyhow::Result<Option<Arc<ImageLookup>>> {
        if self.registries.is_empty() {
            return Ok(None);
        }
        let read = |file: &PathBuf| {
            std::fs::read(file).with_context(|| {
                format!("{} cannot be read: give another file with --entrypoint-ca", file.display())
            })
        };
        let ca = self.ca.as_ref().map(read).transpose()?;
        // A third for the pull secrets, which come first.
        let of_secrets = self.timeout / 3;
        let settings = EntrypointSettings {
            deadline: self.timeout.saturating_sub(of_secrets),
            ca: ca.clone(),
            registries: self.registries.clone(),
            ..EntrypointSettings::default()
        };
        let secrets = client.map_or_else(PullSecretLookup::none, |client| {
            PullSecretLookup::new(client, self.pull_secrets_of.iter().cloned(), of_secrets)
        });
        let lookup = Arc::new(ImageLookup::new(Entrypoints::new(&settings, metrics)?, secrets));
        if let (Some(file), Some(ca)) = (self.ca.clone(), ca) {
            let lookup = Arc::clone(&lookup);
            tokio::spawn(async move {
                let trust = |ca: &[u8]| {
                    if let Err(error) = lookup.trust(ca) {
                        warn!("{error}; those in force stay");
                    }
                };
                files::follow_ca(&file, files::EVERY, ca, trust).await;
            });
        }
        Ok(Some(lookup))
    }
}
