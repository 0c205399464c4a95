//! What the roles that serve have in common: [`crate::webhook`] and [`crate::store`].
//!
//! | module | what it is |
//! |---|---|
//! | [`lifecycle`] | the life of a process that serves: bind first, drain last |
//! | [`api_client`] | the client of the API server, with a time limit on every request |
//! | [`listener`] | the accept loop: handshakes, limits, keep-alive, drain |
//! | [`memory`] | what may be held at once, with its sum |
//! | [`tls`] | certificates: made, kept in Secrets, read from files, swapped while serving |
//! | [`status`] | the second port: `/healthz`, `/readyz`, `/metrics` |
//! | [`readiness`] | what is still missing |
//! | [`liveness`] | which loops have stopped |
//! | [`metrics`] | what every role counts |
//! | [`sampler`] | which of many lines are, where callers decide how many there are |
//!
//! What depends on a cluster is [`tls::ca_secret`], [`tls::leaf_secret`] and [`tls::ca_bundle`]; all else runs without one.

pub mod api_client;
pub mod lifecycle;
pub mod listener;
pub mod liveness;
pub mod memory;
pub mod metrics;
pub mod readiness;
pub mod sampler;
pub mod status;
pub mod tls;
pub(crate) mod watch_errors;
