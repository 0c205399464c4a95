//! A task's outputs, as every role means them: what the webhook plans, the sidecar hands on, the store records and a
//! later task's pod names. Pure.
//!
//! | module | what it holds |
//! |---|---|
//! | [`spec`] | what the webhook tells the sidecar, which is also what the pod may ask the store for |

pub mod spec;

pub use spec::{Declared, Kind, PipeSpec, Quota};
