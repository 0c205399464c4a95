//! The launcher, and the formats of the files that it exchanges with the other containers of Bootlace.
//!
//! - [`layout`]: the paths of the files
//! - [`environ`]: the boot env
//! - [`pod_env`]: the variables in the spec of the pod, which the boot env must not override
//! - [`references`]: the texts in the spec of the pod that refer to the boot env, and [`expansion`]: the
//!   syntax of references
//! - [`handover`]: the protocol that passes the outputs of a task to the sidecar
//! - [`termination`]: the termination message of a container
//! - [`code`]: the codes of messages
//! - [`launcher`]: the program; [`tls`]: its interface for TLS
//!
//! It is a library because there are two programs: that of this package, and that of `bootlace-launch-http`,
//! which is installed in pods with an `httpGet` handler. Their size matters, which is also why errors
//! implement `Display` by hand.

pub mod code;
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
mod invocation;
mod mark;
mod merge;
#[cfg(test)]
mod messages;
mod outputs;
mod prestop;
mod program;
mod report;
mod resolve;
mod run;
mod signals;
mod supervise;
mod task_hook;
