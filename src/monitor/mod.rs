//! The role that ends pods which would otherwise wait forever: `bootlace monitor`.
//!
//! One replica leads, elected by a Lease, and runs the controllers. The others wait. A controller keeps no
//! state that a new leader could not read from the API server.
//!
//! | module | content |
//! |---|---|
//! | [`launch`] | the controller that fails pods whose tasks do not start in time |
//! | [`args`], [`mod@run`], [`metrics`] | the process |
//!
//! The monitor has no permission to change the spec of a pod, to delete a pod, or to read a Secret.

pub mod args;
pub mod launch;
pub mod metrics;
pub mod run;

pub use args::MonitorArgs;
pub use run::run;
