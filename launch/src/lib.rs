//! The files that `bootlace boot` writes and the launcher reads, as one source of truth for both.
//!
//! - [`layout`]: where they lie
//! - [`environ`]: the boot env itself
//! - [`keep`]: the names that the pod's own spec sets, which the boot env must not replace
//! - [`references`]: what of the pod's own spec refers to the boot env, and [`expansion`]: what that means
//!
//! The binary of this package is the launcher. Like the library it uses std alone; that is also why the
//! errors here implement `Display` by hand.

pub mod environ;
pub mod expansion;
pub mod keep;
pub mod layout;
pub mod references;
