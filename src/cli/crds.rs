//! `bootlace crds`: the custom resource definitions, generated from the Rust types.

use anyhow::Context as _;
use kube::CustomResourceExt as _;

use crate::profile::BootProfile;

pub(super) fn run() -> anyhow::Result<()> {
    print!("{}", yaml()?);
    Ok(())
}

/// All definitions as YAML documents.
pub(super) fn yaml() -> anyhow::Result<String> {
    serde_saphyr::to_string(&BootProfile::crd()).context("the CRD of BootProfile cannot be written as YAML")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_chart_holds_what_the_types_say() {
        let chart = include_str!("../../charts/bootlace/crds/bootprofiles.yaml");
        assert!(
            chart == super::yaml().unwrap(),
            "the CRD differs from src/profile/spec.rs: run `make manifests` and commit what it writes"
        );
    }
}
