//! Bootlace gives every task pod its boot process.
//!
//! # The way of the data
//! ```text
//! AdmissionReview → selection → profile → identity → plan → patch → AdmissionResponse
//! ```
//! From [`review`] to [`patch`] all is pure: no async, no client, no clock. [`admission::admit`] walks the way
//! once; the webhook, `bootlace inject`, `bootlace explain`, the tests and the benches all call it.
//!
//! | step | module | what it answers |
//! |---|---|---|
//! | read the request | [`review`] | what does the API server ask, and how is it answered |
//! | see the pod | [`pod`] | what does the pod say, without a copy and without a panic |
//! | select | [`selection`] | is this pod a task, and which profile does it name |
//! | look up | [`profile`] | what does that profile say |
//! | identify | [`identity`] | which scheduler's task is it, and which container runs it |
//! | take | [`input`] | which objects of earlier tasks does the pod name |
//! | plan | [`plan`] | what does the pod become, and why |
//! | fill in | [`template`] | what do the profile's templates say for this pod |
//! | sign | [`signature`] | what of it may the store act on |
//! | patch | [`patch`] | the plan as JSON patch operations, applied once before they are returned |
//!
//! Around it stand the roles, one folder each; they use the pure way, it never uses them:
//! [`webhook`] serves it, [`store`] creates what pods may not (what the two have in common is [`server`]), [`boot`] is
//! what the injected init container runs, [`wait`] what runs before it where an input is still to come, [`pipe`] what the
//! sidecar of tasks with outputs does, [`cli`] is the command line. [`registry`] speaks with OCI registries for them,
//! `http` makes the requests. `entry` says which variables and files a source may give, to them and to [`profile`].
//! What they all are told in a pod stands in [`told`]. What runs in the task's own container is the package `bootlace-launch`.

pub mod admission;
pub mod boot;
pub mod cli;
mod crd;
mod entry;
mod http;
pub mod identity;
pub mod input;
mod json_error;
pub mod names;
pub mod output;
pub mod patch;
pub mod pipe;
pub mod plan;
pub mod pod;
pub mod profile;
pub mod quantity;
pub mod registry;
pub mod review;
pub mod selection;
pub mod server;
pub mod shorten;
pub mod signature;
pub mod store;
pub mod template;
pub mod told;
pub mod wait;
pub mod webhook;
mod yaml_list;
