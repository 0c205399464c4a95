//! A pod as raw JSON, with a view that borrows and never panics.
//!
//! Only the fields that Bootlace needs are parsed. The rest of the JSON does not change, no matter if this
//! version of Bootlace knows it. A typed `Pod` would drop fields that are newer than its types.

mod amount;
mod apply;
mod container;
mod env_value;
mod field;
mod image;
mod json;
mod node;
mod operation;
mod path;
mod pod_resources;
mod resources;
mod volume;

pub use amount::Amount;
pub use apply::{DoesNotApply, apply, value_at};
pub use container::{Container, Device, EnvFrom, HttpGet, LifecycleHandler, List, Mount, Variable};
pub use env_value::{UnknownValue, Unresolved};
pub use field::{Strings, WrongType};
pub use image::{Image, InvalidImage};
pub use json::{Fields, Json};
pub use operation::{Op, Operation};
pub use path::{FieldPath, PathStep};
pub use pod_resources::PodResources;
pub use resources::{Class, Resource, Resources, Share};
pub use volume::{Keeps, Volume};

use field::Object;

/// The parts of a pod that Bootlace needs.
#[derive(Debug, Clone)]
pub struct Pod<'a> {
    /// `metadata.name`; absent at admission if the pod has a `generateName`.
    pub name: Option<&'a str>,
    /// `metadata.generateName`.
    pub generate_name: Option<&'a str>,
    /// `metadata.labels`.
    pub labels: Strings<'a>,
    /// `metadata.annotations`.
    pub annotations: Strings<'a>,
    /// Kind and name of the first of `metadata.ownerReferences`, if there is one.
    pub owner: Option<Owner<'a>>,
    /// `metadata`, for fields that are only read if needed.
    metadata: Object<'a>,
    /// Names in `spec.imagePullSecrets`; `None` if the array is absent.
    pub pull_secrets: Option<Vec<&'a str>>,
    /// `spec.securityContext.runAsUser`.
    pub run_as_user: Option<i64>,
    /// Architectures that the node selector or the required affinity allow; `None` if all are allowed.
    pub architectures: Option<Vec<&'a str>>,
    /// Whether the pod runs on Windows, in any of the ways to express this.
    pub windows: bool,
    /// Whether `spec.initContainers` is present as an array.
    pub has_init_containers: bool,
    /// `spec.initContainers`.
    pub init_containers: Vec<Container<'a>>,
    /// `spec.containers`.
    pub containers: Vec<Container<'a>>,
    /// `spec.restartPolicy`; `None` if it is absent, which means `Always`.
    pub restart_policy: Option<&'a str>,
    /// `spec.terminationGracePeriodSeconds`.
    pub grace_seconds: Option<i64>,
    /// `spec.activeDeadlineSeconds`.
    pub active_deadline_seconds: Option<i64>,
    /// The fields because of which the pod cannot resolve the names of Services; `None` if it can, or if it
    /// names its own DNS servers.
    pub no_cluster_dns: Option<&'static str>,
    /// `spec.volumes`; `None` if the array is absent.
    pub volumes: Option<Vec<Volume<'a>>>,
    /// `spec`, for fields that are only read if needed.
    spec: Object<'a>,
}

/// An owner of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner<'a> {
    /// `Job`, `Workflow`, ….
    pub kind: &'a str,
    /// Name of the owner.
    pub name: &'a str,
}

/// The object that controls a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Controller<'a> {
    /// `batch/v1`, …
    pub api_version: &'a str,
    /// `Job`, `Workflow`, …
    pub kind: &'a str,
    /// Name of the object.
    pub name: &'a str,
    /// UID of the object.
    pub uid: &'a str,
}

/// Same rule as in the kubelet (`getPodDNSType`, `pkg/kubelet/network/dns/dns.go`): with the host network,
/// `ClusterFirst` means the resolver of the node.
fn no_cluster_dns(spec: &Object<'_>) -> Result<Option<&'static str>, WrongType> {
    Ok(match spec.str("dnsPolicy")? {
        Some("Default") => Some("dnsPolicy: Default"),
        None | Some("ClusterFirst") if spec.is_true("hostNetwork") => Some("hostNetwork: true"),
        _ => None,
    })
}

impl<'a> Pod<'a> {
    /// Reads the view of a pod.
    ///
    /// # Errors
    /// If a field that Bootlace needs has the wrong type.
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
            metadata,
            pull_secrets: spec.array("imagePullSecrets")?.map(names).transpose()?,
            run_as_user: spec.object("securityContext")?.integer("runAsUser")?,
            architectures: nodes.architectures()?,
            windows: node::is_windows(&spec, &nodes)?,
            has_init_containers: init_containers.is_some(),
            init_containers: containers(List::Init, init_containers)?,
            containers: containers(List::App, spec.array("containers")?)?,
            restart_policy: spec.str("restartPolicy")?,
            grace_seconds: spec.integer("terminationGracePeriodSeconds")?,
            active_deadline_seconds: spec.integer("activeDeadlineSeconds")?,
            no_cluster_dns: no_cluster_dns(&spec)?,
            volumes: spec.array("volumes")?.map(volumes).transpose()?,
            spec,
        })
    }

    /// The name, or the `generateName` from which the API server generates it, for messages.
    #[must_use]
    pub fn display_name(&self) -> &'a str {
        self.name.or(self.generate_name).unwrap_or("(unnamed)")
    }

    /// The object that controls the pod, if there is one.
    #[must_use]
    pub fn controller(&self) -> Option<Controller<'a>> {
        let references = self.metadata.array("ownerReferences").ok()??;
        let mut references = references.objects().filter_map(Result::ok);
        let controller = references.find(|reference| reference.is_true("controller"))?;
        let text = |field: &str| controller.str(field).ok().flatten();
        Some(Controller {
            api_version: text("apiVersion")?,
            kind: text("kind")?,
            name: text("name")?,
            uid: text("uid")?,
        })
    }

    /// A container of a list.
    #[must_use]
    pub fn container(&self, list: List, index: usize) -> Option<&Container<'a>> {
        match list {
            List::Init => self.init_containers.get(index),
            List::App => self.containers.get(index),
        }
    }

    /// All containers of the original pod, init containers first.
    pub fn all_containers(&self) -> impl Iterator<Item = &Container<'a>> {
        self.init_containers.iter().chain(&self.containers)
    }
}

fn volumes(array: field::Array<'_>) -> Result<Vec<Volume<'_>>, WrongType> {
    array.objects().map(|volume| Volume::read(&volume?)).collect()
}

/// The names of the objects in an array.
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
