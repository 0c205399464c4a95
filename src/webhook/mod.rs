//! The admission webhook.
//!
//! | module | content |
//! |---|---|
//! | [`args`] | the command line |
//! | [`boot_args`] | arguments for injected containers, shared with the offline tools |
//! | [`mod@run`] | the process, from its start to its shutdown |
//! | [`reviews`] | `POST /mutate`: responds to an `AdmissionReview` |
//! | [`lookups`] | lookups during a review: images, pull secrets, Pipes |
//! | `store_ca` | the CA of the store, for injected containers |
//! | [`profiles`] | the active profiles, from the API server or from files |
//! | [`signing`] | the keys that sign the configuration of injected containers |
//! | [`mod@version`] | the version of the API server |
//! | [`entrypoints`] | the entrypoints of images, from their registries |
//! | [`metrics`] | the metrics |
//!
//! [`crate::server`] contains the listener, TLS and the status port. Only [`profiles::watch`],
//! [`profiles::namespaces`], [`signing`], [`mod@version`] and some lookups need a cluster.

pub mod args;
pub mod boot_args;
pub mod entrypoints;
pub mod lookups;
pub mod metrics;
pub mod profiles;
pub mod reviews;
pub mod run;
pub mod signing;
mod store_ca;
pub mod version;

pub use args::WebhookArgs;
pub use run::run;
