//! Boot profiles: what a cluster's tasks boot with.

pub mod folder;
pub mod remote;
mod set;
pub mod size;
pub mod spec;

pub use set::{Profile, Profiles, UnknownProfile};
pub use spec::{BootProfile, BootProfileSpec};
