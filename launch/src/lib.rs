//! The launcher, and the files that pass between it and Bootlace's other containers, as one source of truth for both
//! sides.
//!
//! - [`layout`]: where they lie
//! - [`environ`]: the boot env itself
//! - [`pod_env`]: the names that the pod's own spec sets, which the boot env must not replace
//! - [`references`]: what of the pod's own spec refers to the boot env, and [`expansion`]: what that means
//! - [`handover`]: a task's outputs, on their way to the sidecar that stores them
//! - [`termination`]: a container's last words
//! - [`launcher`]: the program, and all that is private here; [`tls`]: what it can be given
//!
//! It is a library because there are two such programs: this package's own, and that of `bootlace-launch-http`, which is
//! laid where a hook has a request to send. What they link is counted in bytes, which is also why the errors here implement
//! `Display` by hand.

pub mod environ;
pub mod expansion;
pub mod handover;
pub mod launcher;
pub mod layout;
pub mod pod_env;
pub mod references;
pub mod termination;
pub mod tls;

mod args;
mod boot_env;
mod child;
mod deadline;
mod env;
mod exec;
mod exit;
#[cfg(fuzzing)]
pub mod fuzzing;
mod hook;
mod init;
mod mark;
mod merge;
mod outputs;
mod program;
mod report;
mod resolve;
mod run;
mod signals;
mod supervise;
