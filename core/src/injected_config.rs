//! Configuration common to all containers that Bootlace injects.

use serde::{Deserialize, Serialize};

/// Reference to a generation of a profile.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ProfileRef {
    /// Name of the profile.
    pub name: String,
    /// The `metadata.generation` of the profile; 0 for a profile from a file.
    pub generation: i64,
}

/// URL and certificate authorities of the store.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct StoreEndpoint {
    /// `https://` and the name of the Service.
    pub url: String,
    /// Certificate authorities of its certificate, in PEM format.
    pub ca: String,
}
