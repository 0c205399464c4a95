//! What connects a task to its run in traces and in lineage: the values of the variables that SDKs of
//! OpenTelemetry and clients of OpenLineage read. They are derived from the pod and its identity, without a
//! request to any server, so the tasks of a run need not know each other to agree on them.
//!
//! | module | content |
//! |---|---|
//! | [`resource`] | the resource attributes of a task |
//! | [`run_key`] | what identifies a run, and a digest of it |
//! | [`trace`] | the trace that the tasks of a run share |
//! | [`lineage`] | the parent run and the root run of a task in OpenLineage |
//! | [`airflow`] | the same, as Airflow's own provider computes them |

pub mod airflow;
pub mod lineage;
pub mod resource;
pub mod run_key;
pub mod trace;

pub use lineage::{JobRun, Lineage};
pub use run_key::RunKey;
