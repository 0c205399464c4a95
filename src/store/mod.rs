//! The role that creates what pods may not: `bootlace store`.
//!
//! ```text
//! token → caller (a pod) → grant (what its injection names) → body → object, owned by the pod or by a Pipe
//! ```
//! A pod holds no right in the API, and the store holds the right to create, not to read or to change: so each of them
//! can do little alone. What a pod may ask for was decided at admission, and stands in its annotation and its spec.
//!
//! | step | module | what it answers |
//! |---|---|---|
//! | who asks | [`caller`] | which pod does the token belong to, and is it still there |
//! | | `pods` | what counts of that pod, read in bounded memory |
//! | may it | [`authorize`] | what does the pod's injection, which the webhook signed, let it ask for (pure) |
//! | | [`signing`] | the keys by which that is verified |
//! | bound | `shares` | how many requests one pod and one namespace have at once |
//! | read | `body` | a body within its size and its time |
//! | make | [`mod@env`] | the Secret of a pod's boot env (pure) |
//! | | [`pipe`] | the Pipe of a task's output, and the object that it owns |
//! | | [`event`] | the Event that tells how a boot went, or that outputs are not stored (pure) |
//! | answer | [`api`] | the routes; one audit line a request |
//! | refuse | [`api_error`] | why not, in a sentence |
//! | clean up | [`garbage_collector`] | which Pipes are to go; one replica sees to it, under a Lease |
//!
//! [`crate::store_client`] has the protocol and the client. [`args`], [`mod@run`] and [`metrics`] are the process.
//!
//! Every call is idempotent: objects are named before they are made, and one that is there already is not an error. So a
//! caller may ask again, another replica as well as this one.

pub mod api;
pub mod api_error;
pub mod args;
pub mod authorize;
mod body;
pub mod caller;
pub mod env;
pub mod event;
pub mod garbage_collector;
pub mod metrics;
pub mod pipe;
mod pods;
pub mod run;
mod shares;
pub mod signing;

pub use args::StoreArgs;
pub use run::run;
