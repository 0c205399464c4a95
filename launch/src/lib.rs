//! The files that pass between the launcher and Bootlace's other containers, as one source of truth for both
//! sides.
//!
//! - [`layout`]: where they lie
//! - [`environ`]: the boot env itself
//! - [`keep`]: the names that the pod's own spec sets, which the boot env must not replace
//! - [`references`]: what of the pod's own spec refers to the boot env, and [`expansion`]: what that means
//! - [`handover`]: a task's outputs, on their way to the sidecar that stores them
//!
//! The binary of this package is the launcher. What it links is counted in bytes, which is also why the errors
//! here implement `Display` by hand.

pub mod environ;
pub mod expansion;
pub mod handover;
pub mod keep;
pub mod layout;
pub mod references;
