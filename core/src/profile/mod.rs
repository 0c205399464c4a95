//! Boot profiles: how the tasks of a cluster boot.
//!
//! | module | content |
//! |---|---|
//! | [`spec`] | the custom resource |
//! | `source` | a source, and its kinds: `inline`, `mounted`, [`remote`], [`object_store`], [`oci`], [`vault`], [`pipes`], [`context`], [`volume`] |
//! | [`overlay`] | changes to the pods of tasks |
//! | [`hooks`] | commands and requests at points in the life of a task |
//! | [`links`], [`task_info`] | links to a task, and information that its `task.json` contains |
//! | [`mod@env`], [`hook`], [`init_image`], [`launch`], `progress`, `resources`, [`run_as_user`] | its other parts |
//! | `rule`, `targets` | rules in CEL and in Rust, which are next to their types |
//! | [`rules`], `entries`, [`templates`] | what is checked when a profile is read |
//! | [`address`], [`image`], [`size`] | the formats of values |
//! | `set`, `defaults` | the active profiles, and the default of each namespace |
//! | `status`, `validity` | the status of the custom resource, and how it is computed |

pub mod address;
pub mod context;
mod defaults;
mod entries;
pub mod env;
pub mod hook;
pub mod hooks;
pub mod image;
pub mod init_image;
mod inline;
pub mod launch;
pub mod links;
mod mounted;
pub mod object_store;
pub mod oci;
pub mod overlay;
pub mod pipes;
mod progress;
pub mod pull_policy;
pub mod remote;
mod resources;
mod rule;
pub mod rules;
pub mod run_as_user;
mod set;
pub mod size;
mod source;
pub mod spec;
mod status;
mod targets;
pub mod task_info;
pub mod templates;
mod validity;
pub mod vault;
pub mod volume;

pub use defaults::NamespaceDefaults;
pub use entries::{MAX_SPEC_BYTES, is_object_key};
pub use inline::Inline;
pub use mounted::{Item, Mounted, SourceTarget};
pub use progress::Progress;
pub use resources::ContainerResources;
pub use rule::BrokenRule;
pub use set::{InvalidProfile, NoProfile, Profile, Profiles};
pub use source::{Source, SourceOrigin};
pub use spec::{BootProfile, BootProfileSpec};
pub use status::{BootProfileStatus, LastValid};
