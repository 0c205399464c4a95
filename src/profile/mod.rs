//! Boot profiles: what a cluster's tasks boot with.

pub mod folder;
mod set;
pub mod spec;

pub use set::{Profile, Profiles, UnknownProfile};
pub use spec::{BootProfile, BootProfileSpec};
