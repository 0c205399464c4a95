//! What identifies a run.

use sha2::{Digest as _, Sha256};

use crate::hash;

/// The parts that identify a run. Names of runs are only unique within one scheduler, namespace and cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunKey<'a> {
    /// The cluster, if the profile names it.
    pub cluster: Option<&'a str>,
    /// The namespace of its pods.
    pub namespace: &'a str,
    /// The scheduler.
    pub scheduler: Option<&'a str>,
    /// The workflow, if the pods contain it.
    pub workflow: Option<&'a str>,
    /// The run.
    pub run: &'a str,
}

impl RunKey<'_> {
    /// A digest of the run. `purpose` starts the hashed bytes, so that digests for different purposes have
    /// nothing in common.
    pub(super) fn digest(&self, purpose: &[u8]) -> [u8; 32] {
        let Self { cluster, namespace, scheduler, workflow, run } = *self;
        let mut hash = Sha256::new_with_prefix(purpose);
        for part in [cluster, Some(namespace), scheduler, workflow, Some(run)] {
            hash::add(&mut hash, part.map(str::as_bytes));
        }
        hash.finalize().into()
    }
}
