//! The credentials for a store: the workload identity of the pod, or the keys of a Secret.

use std::path::{Path, PathBuf};

use ::object_store::RetryConfig;

use super::service::Connector;
use crate::boot::source::SourceError;
use crate::http::{HttpError, Keys, read_object};
use bootlace_core::plan::boot_spec::DIR_CREDENTIALS;
use bootlace_core::profile::object_store::ObjectStore;

/// Settings that all kinds of stores have in common.
pub(super) struct StoreConfig {
    pub(super) credentials: Credentials,
    pub(super) connector: Connector,
    pub(super) retry: RetryConfig,
}

/// The credentials for a store.
pub(super) enum Credentials {
    /// The workload identity of the pod.
    Workload,
    /// The keys of a Secret.
    Secret {
        /// The name of the Secret, for errors.
        name: String,
        keys: Keys,
    },
    /// No credentials.
    Anonymous,
}

impl Credentials {
    /// The value of a key, if it exists, without the newline of the file that the Secret may have been
    /// created from.
    pub(super) fn key(&self, key: &str) -> Result<Option<String>, SourceError> {
        let Self::Secret { name, keys } = self else { return Ok(None) };
        let text = |value: &Vec<u8>| str::from_utf8(value).map(|text| text.trim_end().to_owned());
        let text = keys.get(key).map(text).transpose();
        text.map_err(|_| refused(name, key, "is not UTF-8: correct it"))
    }

    /// The value of a key that must exist.
    pub(super) fn required(&self, key: &str, keys: &str) -> Result<String, SourceError> {
        let name = self.secret();
        self.key(key)?.filter(|value| !value.is_empty()).ok_or_else(|| {
            SourceError::Missing(format!("Secret {name} of credentials.secret has no key {key}: add {keys}"))
        })
    }

    /// An error for a key with an invalid value.
    pub(super) fn refused(&self, key: &str, reason: &str) -> SourceError {
        refused(self.secret(), key, reason)
    }

    fn secret(&self) -> &str {
        match self {
            Self::Secret { name, .. } => name,
            _ => "",
        }
    }
}

fn refused(secret: &str, key: &str, reason: &str) -> SourceError {
    HttpError::Setup(format!("key {key} of Secret {secret} of credentials.secret {reason}")).into()
}

/// Reads the credentials that are mounted below `mount`.
pub(super) async fn read(settings: &ObjectStore, mount: &Path) -> Result<Credentials, SourceError> {
    let Some(credentials) = &settings.credentials else { return Ok(Credentials::Workload) };
    let Some(name) = &credentials.secret else { return Ok(Credentials::Anonymous) };
    let keys = read_object(&mount.join(DIR_CREDENTIALS)).await?;
    if keys.is_empty() {
        return Err(SourceError::Missing(format!(
            "Secret {name} of credentials.secret does not exist in the pod's namespace, or has no keys: create it"
        )));
    }
    Ok(Credentials::Secret { name: name.clone(), keys })
}

/// A variable that the cloud set in the boot container.
pub(super) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The variables among `names` that are set. If one is the path of a file, the file must exist, because the
/// library's own error message would not name the cause.
pub(super) fn workload<K: Copy>(names: &[(&str, K)]) -> Result<Vec<(K, String)>, SourceError> {
    let mut variables = Vec::new();
    for &(name, key) in names {
        let Some(value) = env(name) else { continue };
        if name.ends_with("_FILE") {
            let unreadable = |error| SourceError::Unreadable { path: PathBuf::from(&value), error };
            std::fs::File::open(&value).map_err(unreadable)?;
        }
        variables.push((key, value));
    }
    Ok(variables)
}
