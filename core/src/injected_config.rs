//! What each container is told that Bootlace injects, whatever it does.

use serde::{Deserialize, Serialize};

/// Which profile, in which state.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ProfileRef {
    /// The profile's name.
    pub name: String,
    /// The profile's `metadata.generation`; 0 for a profile that was read from a file.
    pub generation: i64,
}

/// Where the store is reached, and who is trusted there.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct StoreEndpoint {
    /// `https://` and the Service's name.
    pub url: String,
    /// The certificate authorities that its certificate may be under, as PEM.
    pub ca: String,
}
