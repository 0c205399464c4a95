//! Arguments of the webhook for the entrypoints of images.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use kube::Client;
use tracing::warn;

use super::{EntrypointMetrics, EntrypointSettings, Entrypoints};
use crate::command_error::CommandError;
use crate::process::seconds;
use crate::server::tls::files;
use crate::webhook::lookups::{ImageLookup, PullSecretLookup};

/// The registries for lookups.
#[derive(Debug, Clone, clap::Args)]
pub struct EntrypointArgs {
    /// Registry in which the entrypoints of images are looked up, for tasks without a command. The format is
    /// that of pull secrets: registry.example.com, *.example.com:5000, registry.example.com/team. Without it,
    /// there are no lookups.
    #[arg(
        long = "entrypoint-registry", env = "BOOTLACE_ENTRYPOINT_REGISTRIES", value_name = "REGISTRY",
        value_delimiter = ',', value_parser = NonEmptyStringValueParser::new(),
    )]
    registries: Vec<String>,
    /// Timeout for all lookups of a review in seconds. Must be less than timeoutSeconds of the webhook.
    #[arg(
        long = "entrypoint-timeout", env = "BOOTLACE_ENTRYPOINT_TIMEOUT", value_name = "SECONDS", value_parser = seconds,
        default_value = "3",
    )]
    timeout: Duration,
    /// File with a CA of the registries, as PEM, in addition to the public ones. Reloaded when it changes.
    #[arg(
        long = "entrypoint-ca",
        env = "BOOTLACE_ENTRYPOINT_CA",
        value_name = "FILE",
        requires = "registries"
    )]
    ca: Option<PathBuf>,
    /// Namespace in which the webhook reads pull secrets, separated by commas. Needs the verb get for these
    /// Secrets.
    #[arg(
        long = "pull-secrets-of", env = "BOOTLACE_PULL_SECRETS_OF", value_name = "NAMESPACE", value_delimiter = ',',
        requires = "registries", conflicts_with = "profiles", value_parser = NonEmptyStringValueParser::new(),
    )]
    pull_secrets_of: Vec<String>,
}

impl EntrypointArgs {
    /// The lookup, or `None` without a registry. Without `client`, it reads no pull secrets.
    ///
    /// # Errors
    /// The file of the CA cannot be read or is invalid.
    pub(in crate::webhook) fn lookup(
        &self,
        client: Option<Client>,
        metrics: EntrypointMetrics,
    ) -> anyhow::Result<Option<Arc<ImageLookup>>> {
        if self.registries.is_empty() {
            return Ok(None);
        }
        let failed = |error| CommandError::CaFile { flag: "--entrypoint-ca", error };
        let read = |file: &PathBuf| {
            let read_error = |error| CommandError::ReadFile { path: file.clone(), error };
            std::fs::read(file).map_err(|error| failed(read_error(error).into()))
        };
        let ca = self.ca.as_ref().map(read).transpose()?;
        // A third for the pull secrets, which are read first.
        let secrets_timeout = self.timeout / 3;
        let settings = EntrypointSettings {
            deadline: self.timeout.saturating_sub(secrets_timeout),
            ca: ca.clone(),
            registries: self.registries.clone(),
            ..EntrypointSettings::default()
        };
        let secrets = client.map_or_else(PullSecretLookup::none, |client| {
            PullSecretLookup::new(client, self.pull_secrets_of.iter().cloned(), secrets_timeout)
        });
        let entrypoints = Entrypoints::new(&settings, metrics).map_err(|error| failed(error.into()))?;
        let lookup = Arc::new(ImageLookup::new(entrypoints, secrets));
        if let (Some(file), Some(ca)) = (self.ca.clone(), ca) {
            let lookup = Arc::clone(&lookup);
            tokio::spawn(async move {
                let trust = |ca: &[u8]| {
                    if let Err(error) = lookup.trust(ca) {
                        warn!(%error, "failed to reload the CA of registries; the previous one stays active");
                    }
                };
                files::follow_ca(&file, files::EVERY, ca, trust).await;
            });
        }
        Ok(Some(lookup))
    }
}
