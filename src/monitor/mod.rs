//! The role that acts for pods which cannot: `bootlace monitor`. It ends those that would otherwise wait
//! forever, and aborts tasks whose pod is gone.
//!
//! One replica leads, elected by a Lease, and runs the controllers. The others wait. A controller keeps no
//! state that a new leader could not read from the API server.
//!
//! | module | content |
//! |---|---|
//! | [`launch`] | the controller that fails pods whose tasks do not start in time |
//! | [`aborts`] | the controller that sends the abort hooks of pods that are gone |
//! | [`replica`] | what the controllers share |
//! | [`args`], [`mod@run`], [`metrics`] | the process |
//!
//! The monitor has no permission to change the spec of a pod, to delete a pod, or to read a Secret.

pub mod aborts;
pub mod args;
pub mod launch;
pub mod metrics;
pub mod replica;
pub mod run;

pub use args::MonitorArgs;
pub use run::run;
