//! Serving the pure way to the API server.
//!
//! | module | what it is |
//! |---|---|
//! | [`args`] | the command line |
//! | [`mod@run`] | brings the parts together, from binding to the drained end |
//! | [`reviews`] | `POST /mutate`: a body in, an `AdmissionReview` out |
//! | [`profiles`] | the profiles in force: from the API server's watch, or from a folder |
//! | [`tls`] | the serving certificate: made, kept in a Secret, read from files, swapped while serving |
//! | [`listener`] | the accept loop: handshakes, limits, keep-alive, drain |
//! | [`entrypoints`] | what an image starts, looked up in its registry |
//! | [`status`] | the second port: `/healthz`, `/readyz`, `/metrics` |
//! | [`readiness`] | what is still missing |
//! | [`metrics`] | what is counted |
//! | [`logs`] | what is written |
//!
//! What depends on a cluster is [`profiles::watch`], [`tls::secret`] and [`tls::configuration`]; all else runs
//! without one.

pub mod args;
pub mod entrypoints;
pub mod listener;
pub mod logs;
pub mod metrics;
pub mod profiles;
pub mod readiness;
pub mod reviews;
pub mod run;
pub mod status;
pub mod tls;
mod watching;

pub use args::Args;
pub use run::run;
