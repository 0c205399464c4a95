//! Common parts of the roles that run as a Deployment: [`crate::webhook`], [`crate::store`] and
//! [`crate::monitor`].
//!
//! | module | content |
//! |---|---|
//! | [`lifecycle`] | the life of a process that serves: bind first, drain last |
//! | [`api_client`] | the client of the API server, with a timeout for every request |
//! | [`listener`] | the accept loop: handshakes, limits, keep-alive, drain |
//! | `body` | the beginning of a request body |
//! | [`memory`] | limits on memory, and their sum |
//! | [`lease`], [`leadership`] | the replica that does what only one should do |
//! | [`pipe_pages`] | lists of Pipes, page by page |
//! | `pod_event` | Events about pods |
//! | [`tls`] | certificates: issued, stored in Secrets, read from files, replaced while serving |
//! | [`status`] | the status port: `/healthz`, `/readyz`, `/metrics` |
//! | [`readiness`] | the parts that are missing |
//! | [`liveness`] | loops that have stopped |
//! | [`metrics`] | the metrics of all roles |
//! | [`sampler`] | limits the log lines that callers can cause |
//! | `ttl_cache` | a map with a limit on its entries, which can expire |
//!
//! Only [`pipe_pages`], [`tls::ca_secret`], [`tls::leaf_secret`] and [`tls::ca_bundle`] need a cluster.

pub mod api_client;
pub(crate) mod body;
pub mod leadership;
pub mod lease;
pub mod lifecycle;
pub mod listener;
pub mod liveness;
pub mod memory;
pub mod metrics;
pub mod pipe_pages;
pub(crate) mod pod_event;
pub mod readiness;
pub mod sampler;
pub mod status;
pub mod tls;
pub(crate) mod ttl_cache;
pub(crate) mod watch_errors;
