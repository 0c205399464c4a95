//! `bootlace crds`: the custom resource definitions, generated from the Rust types.

use anyhow::Context as _;
use kube::CustomResourceExt as _;

use crate::output::Pipe;
use crate::profile::BootProfile;

/// Print the custom resource definitions.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Of this resource alone.
    #[arg(value_name = "PLURAL")]
    resource: Option<Resource>,
}

/// A custom resource, as its definition calls it in the plural.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "lower")]
pub(super) enum Resource {
    BootProfiles,
    Pipes,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let all = [Resource::BootProfiles, Resource::Pipes];
    let chosen = all.into_iter().filter(|resource| args.resource.is_none_or(|one| one == *resource));
    let definitions = chosen.map(yaml).collect::<Result<Vec<_>, _>>()?;
    print!("{}", definitions.join("---\n"));
    Ok(())
}

/// A definition as YAML.
pub(super) fn yaml(resource: Resource) -> anyhow::Result<String> {
    let crd = match resource {
        Resource::BootProfiles => BootProfile::crd(),
        Resource::Pipes => Pipe::crd(),
    };
    serde_saphyr::to_string(&crd)
        .with_context(|| format!("the CRD of {resource:?} cannot be written as YAML"))
}

#[cfg(test)]
mod tests {
    use super::{Resource, yaml};

    #[test]
    fn the_chart_holds_what_the_types_say() {
        let differs = "differs from the types: run `make manifests` and commit what it writes";
        let chart = include_str!("../../charts/bootlace/crds/bootprofiles.yaml");
        assert!(chart == yaml(Resource::BootProfiles).unwrap(), "the CRD of src/profile/spec.rs {differs}");
        let chart = include_str!("../../charts/bootlace/crds/pipes.yaml");
        assert!(chart == yaml(Resource::Pipes).unwrap(), "the CRD of src/output/record.rs {differs}");
    }
}
