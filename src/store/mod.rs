//! The role that creates objects which task pods may not create themselves: `bootlace store`.
//!
//! ```text
//! token → caller (a pod) → authorization (by its signed configuration) → body
//!       → object, owned by the pod or by a Pipe
//! ```
//! A task pod has no permissions in the API. The store has permission to create objects, but not to read or
//! change them. So neither can do much alone. What a pod may request was decided at admission and is in its
//! annotation and its spec.
//!
//! | step | module | content |
//! |---|---|---|
//! | authenticate | [`caller`] | the pod of the token, and whether it exists |
//! | | `pods` | reads a pod in bounded memory |
//! | authorize | [`authorize`] | what the signed configuration of the pod allows (pure) |
//! | | [`signing`] | the keys that verify the signature |
//! | limit | `request_quota` | concurrent requests of one pod and one namespace |
//! | | `newest` | the counts of the newest pods |
//! | read | `body` | the request body, with limits on size and time |
//! | create | [`mod@env`] | the Secret with the boot env of a pod (pure) |
//! | | [`pipe`] | the Pipe of an output of a task, and the object that it owns |
//! | | [`abort`] | the record of what the abort of a task needs |
//! | | [`event`] | the Event about boot, wait, outputs or hooks (pure) |
//! | | [`progress`] | the annotation with the progress of a task |
//! | respond | [`api`] | the routes |
//! | | `audit` | one audit line for each request |
//! | | [`api_error`], `crd_error` | error responses |
//! | clean up | [`garbage_collector`] | removes expired Pipes and Aborts, in one replica, which holds a Lease |
//!
//! [`crate::store_client`] has the protocol and the client. [`args`], [`mod@run`] and [`metrics`] are the
//! process.
//!
//! Every request is idempotent: the name of an object is determined before the object is created, and an
//! object that exists already is not an error. So a client can retry, with any replica.

pub mod abort;
pub mod api;
pub mod api_error;
pub mod args;
mod audit;
pub mod authorize;
pub(crate) mod body;
pub mod caller;
pub(crate) mod crd_error;
pub mod env;
pub mod event;
pub mod garbage_collector;
pub mod metrics;
mod newest;
pub mod pipe;
mod pods;
pub mod progress;
pub(crate) mod request_quota;
pub mod run;
pub mod signing;

pub use args::StoreArgs;
pub use run::run;
