//! What Bootlace does to a pod: from an admission review to the patch in the response.
//!
//! # Data flow
//! ```text
//! AdmissionReview → selection → profile → identity → overlay → input → plan → patch → AdmissionResponse
//! ```
//! [`admission`] runs these steps once, for the webhook, `bootlace inject`, `bootlace explain`, the tests,
//! the benches and the fuzz targets.
//!
//! | step | module | question that it answers |
//! |---|---|---|
//! | parse the request | [`review`] | what does the API server request, and what is the format of the response |
//! | view the pod | [`pod`] | what does the pod contain, without copying it and without panics |
//! | select | [`selection`] | is this pod a task, and which profile does it name |
//! | look up the profile | [`profile`] | what does that profile contain |
//! | identify | [`identity`] | which scheduler created the task, and which container runs it |
//! | change | [`overlay`] | how does the profile change the pod, before boot is added to it |
//! | resolve inputs | [`input`], [`output`] | which objects of earlier tasks does the pod name, and which does it store |
//! | render | [`template`] | which values do the templates of the profile have for this pod |
//! | plan | [`plan`] | which changes does the pod need, and why |
//! | sign | [`signature`] | which parts of the configuration can the store trust |
//! | patch | [`patch`] | the plan as JSON patch operations, applied once before they are returned |
//!
//! [`abort`] renders the hooks that run when a task ends, for the processes that send them. [`telemetry`]
//! derives what connects a task to its run in traces and in lineage.
//!
//! The crate depends on no client, no async runtime and no clock (`tests/dependencies.rs`), so the same input
//! always has the same result. The package `bootlace` contains the programs that use it. The package
//! `bootlace-launch` contains what runs in the task container.

pub mod abort;
pub mod admission;
pub mod code;
pub mod crd;
pub mod entry;
mod exactly_one;
mod hash;
pub mod identity;
pub mod injected_config;
pub mod input;
pub mod json_error;
pub mod names;
pub mod output;
pub mod overlay;
pub mod patch;
mod percent;
pub mod plan;
pub mod pod;
pub mod profile;
pub mod progress;
pub mod quantity;
pub mod quote;
pub mod review;
pub mod selection;
pub mod shorten;
pub mod signature;
pub mod telemetry;
pub mod template;
pub mod yaml_list;
