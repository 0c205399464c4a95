//! Boot profiles: how the tasks of a cluster boot.

pub mod address;
mod defaults;
mod entries;
pub mod env;
pub mod hook;
pub mod image;
pub mod init_image;
pub mod object_store;
pub mod oci;
pub mod pipes;
pub mod remote;
pub mod rules;
pub mod run_as_user;
mod set;
pub mod size;
mod source;
pub mod spec;
mod status;
pub mod templates;

pub use defaults::NamespaceDefaults;
pub use entries::{MAX_SPEC_BYTES, is_object_key};
pub use set::{InvalidProfile, NoProfile, Profile, Profiles};
pub use source::SourceOrigin;
pub use spec::{BootProfile, BootProfileSpec};
pub use status::{BootProfileStatus, LastValid};
