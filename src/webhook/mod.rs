//! Serving the pure way to the API server.
//!
//! | module | what it is |
//! |---|---|
//! | [`args`] | the command line |
//! | [`boot_args`] | the part of it that is about injected containers, which the offline tools share |
//! | [`mod@run`] | brings the parts together, from binding to the drained end |
//! | [`reviews`] | `POST /mutate`: a body in, an `AdmissionReview` out |
//! | [`lookups`] | what a pod does not tell itself, looked up while its review waits |
//! | `store` | where boot reaches the store, and whom it trusts there |
//! | [`profiles`] | the profiles in force: from the API server's watch, or from a folder |
//! | [`mod@version`] | which version the API server is |
//! | [`entrypoints`] | what an image starts, looked up in its registry |
//! | [`metrics`] | what is counted |
//!
//! The listener, TLS and the second port are [`crate::server`]'s. What depends on a cluster here is [`profiles::watch`],
//! [`profiles::namespaces`] and [`mod@version`]; all else runs without one.

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
