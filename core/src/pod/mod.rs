//! A pod as raw JSON, seen through a view that borrows and never panics.
//!
//! Only what Bootlace decides by is read; all else stays in the JSON untouched, whether this version of
//! Bootlace knows it or not. A typed `Pod` would drop fields that are newer than its types.

mod apply;
mod container;
mod env_value;
mod field;
mod image;
mod json;
mod node;
mod operation;
mod path;
mod resources;
mod volume;

pub use apply::{DoesNotApply, apply};
pub use container::{Container, Device, EnvFrom, HttpGet, List, Mount, PostStart, Variable};
pub use env_value::{UnknownValue, Unresolved};
pub use field::{Strings, WrongType};
pub use image::{Image, InvalidImage};
pub use json::{Fields, Json};
pub use operation::{Op, Operation};
pub use path::{FieldPath, PathStep};
pub use resources::{Amount, Class, PodResources, Resource, Resources, Share};
pub use volume::{Keeps, Volume};

use field::Object;

/// What Bootlace reads of a pod.
#[derive(Debug, Clone)]
pub struct Pod<'a> {
    /// `metadata.name`; absent at admission where the pod has a `generateName`.
    pub name: Option<&'a str>,
    /// `metadata.generateName`.
    pub generate_name: Option<&'a str>,
    /// `metadata.labels`.
    pub labels: Strings<'a>,
    /// `metadata.annotations`.
    pub annotations: Strings<'a>,
    /// `kind/name` of the first of `metadata.ownerReferences`, where there is one.
    pub owner: Option<Owner<'a>>,
    /// Names in `spec.imagePullSecrets`; `None` where the array is absent.
    pub pull_secrets: Option<Vec<&'a str>>,
    /// `spec.securityContext.runAsUser`.
    pub run_as_user: Option<i64>,
    /// The architectures of which its node must have one, by node selector or required affinity; `None` where any will do.
    pub architectures: Option<Vec<&'a str>>,
    /// Whether it runs on Windows, whichever way it says so.
    pub windows: bool,
    /// Whether `spec.initContainers` is there as an array.
    pub has_init_containers: bool,
    /// `spec.initContainers`.
    pub init_containers: Vec<Container<'a>>,
    /// `spec.containers`.
    pub containers: Vec<Container<'a>>,
    /// `spec.restartPolicy`; `None` where it is absent, which means `Always`.
    pub restart_policy: Option<&'a str>,
    /// `spec.terminationGracePeriodSeconds`.
    pub grace_seconds: Option<i64>,
    /// Why the names of Services cannot be looked up in it, as the fields that decide it; `None` where they can, or where
    /// the pod names its own servers.
    pub no_cluster_dns: Option<&'static str>,
    /// `spec.volumes`; `None` where the array is absent.
    pub volumes: Option<Vec<Volume<'a>>>,
    /// `spec` itself, for what is read only where it is needed.
    spec: Object<'a>,
}

/// Who owns a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner<'a> {
    /// `Job`, `Workflow`, …
    pub kind: &'a str,
    /// Its name.
    pub name: &'a str,
}

/// The rule is the kubelet's (`getPodDNSType`, `pkg/kubelet/network/dns/dns.go`): on the node's network, `ClusterFirst`
/// means the node's own resolver.
fn no_cluster_dns(spec: &Object<'_>) -> Result<Option<&'static str>, WrongType> {
    Ok(match spec.str("dnsPolicy")? {
        Some("Default") => Some("dnsPolicy: Default"),
        None | Some("ClusterFirst") if spec.is_true("hostNetwork") => Some("hostNetwork: true"),
        _ => None,
    })
}

impl<'a> Pod<'a> {
    /// Reads a pod's view.
    ///
    /// # Errors
    /// Where a field that Bootlace decides by has another type than the API gives it.
    pub fn read(pod: &'a Json<'a>) -> Result<Self, WrongType> {
        let root = Object::root(pod)?;
        let metadata = root.object("metadata")?;
        let spec = root.object("spec")?;
        let init_containers = spec.array("initContainers")?;
        let nodes = node::Nodes::read(&spec)?;
        Ok(Self {
            name: metadata.str("name")?.filter(|name| !name.is_empty()),
            generate_name: metadata.str("generateName")?.filter(|name| !name.is_empty()),
            labels: metadata.strings("labels")?,
            annotations: metadata.strings("annotations")?,
            owner: owner(&metadata)?,
            pull_secrets: spec.array("imagePullSecrets")?.map(names).transpose()?,
            run_as_user: spec.object("securityContext")?.integer("runAsUser")?,
            architectures: nodes.architectures()?,
            windows: node::is_windows(&spec, &nodes)?,
            has_init_containers: init_containers.is_some(),
            init_containers: containers(List::Init, init_containers)?,
            containers: containers(List::App, spec.array("containers")?)?,
            restart_policy: spec.str("restartPolicy")?,
            grace_seconds: spec.integer("terminationGracePeriodSeconds")?,
            no_cluster_dns: no_cluster_dns(&spec)?,
            volumes: spec.array("volumes")?.map(volumes).transpose()?,
            spec,
        })
    }

    /// The name, or the `generateName` that the API server will make one from, for messages.
    #[must_use]
    pub fn display_name(&self) -> &'a str {
        self.name.or(self.generate_name).unwrap_or("(unnamed)")
    }

    /// All containers that the pod itself brings, init containers first.
    pub fn all_containers(&self) -> impl Iterator<Item = &Container<'a>> {
        self.init_containers.iter().chain(&self.containers)
    }
}

fn volumes(array: field::Array<'_>) -> Result<Vec<Volume<'_>>, WrongType> {
    array.objects().map(|volume| Volume::read(&volume?)).collect()
}

/// The names of an array's objects.
fn names(array: field::Array<'_>) -> Result<Vec<&str>, WrongType> {
    array.objects().map(|object| Ok(object?.str("name")?.unwrap_or_default())).collect()
}

fn containers(list: List, array: Option<field::Array<'_>>) -> Result<Vec<Container<'_>>, WrongType> {
    array.map_or_else(
        || Ok(Vec::new()),
        |array| {
            array
                .objects()
                .enumerate()
                .map(|(index, object)| Container::read(list, index, &object?))
                .collect()
        },
    )
}

fn owner<'a>(metadata: &Object<'a>) -> Result<Option<Owner<'a>>, WrongType> {
    let Some(references) = metadata.array("ownerReferences")? else { return Ok(None) };
    let Some(first) = references.objects().next().transpose()? else { return Ok(None) };
    Ok(first.str("kind")?.zip(first.str("name")?).map(|(kind, name)| Owner { kind, name }))
}
