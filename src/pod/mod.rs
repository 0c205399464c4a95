//! A pod as raw JSON, seen through a view that borrows and never panics.
//!
//! Only what Bootlace decides by is read; all else stays in the JSON untouched, whether this version of
//! Bootlace knows it or not. A typed `Pod` would drop fields that are newer than its types.

mod apply;
mod container;
mod field;
mod image;
mod json;
mod operation;
mod resources;

pub use apply::{DoesNotApply, apply};
pub use container::{Container, EnvFrom, HttpGet, Mount, PostStart, Variable};
pub use field::{Strings, WrongType};
pub use image::{Image, NotAnImage};
pub use json::{Fields, Json};
pub use operation::{Op, Operation};
pub use resources::{Amount, Class, PodResources, Resource, Resources, Share};

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
    /// The architecture that `spec.nodeSelector` asks for.
    pub architecture: Option<&'a str>,
    /// Whether `spec.os.name` is `windows`.
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
    /// Names of `spec.volumes`; `None` where the array is absent.
    pub volumes: Option<Vec<&'a str>>,
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
        Ok(Self {
            name: metadata.str("name")?.filter(|name| !name.is_empty()),
            generate_name: metadata.str("generateName")?.filter(|name| !name.is_empty()),
            labels: metadata.strings("labels")?,
            annotations: metadata.strings("annotations")?,
            owner: owner(&metadata)?,
            pull_secrets: spec.array("imagePullSecrets")?.map(names).transpose()?,
            run_as_user: spec.object("securityContext")?.integer("runAsUser")?,
            architecture: spec.object("nodeSelector")?.str(LABEL_ARCHITECTURE)?,
            windows: spec.object("os")?.str("name")? == Some("windows"),
            has_init_containers: init_containers.is_some(),
            init_containers: containers(init_containers)?,
            containers: containers(spec.array("containers")?)?,
            restart_policy: spec.str("restartPolicy")?,
            grace_seconds: spec.integer("terminationGracePeriodSeconds")?,
            volumes: spec.array("volumes")?.map(names).transpose()?,
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

/// Set by every kubelet on its node.
/// <https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-arch>
const LABEL_ARCHITECTURE: &str = "kubernetes.io/arch";

/// The names of an array's objects.
fn names(array: field::Array<'_>) -> Result<Vec<&str>, WrongType> {
    array.objects().map(|object| Ok(object?.str("name")?.unwrap_or_default())).collect()
}

fn containers(array: Option<field::Array<'_>>) -> Result<Vec<Container<'_>>, WrongType> {
    array.map_or_else(
        || Ok(Vec::new()),
        |array| array.objects().enumerate().map(|(index, object)| Container::read(index, &object?)).collect(),
    )
}

fn owner<'a>(metadata: &Object<'a>) -> Result<Option<Owner<'a>>, WrongType> {
    let Some(references) = metadata.array("ownerReferences")? else { return Ok(None) };
    let Some(first) = references.objects().next().transpose()? else { return Ok(None) };
    Ok(first.str("kind")?.zip(first.str("name")?).map(|(kind, name)| Owner { kind, name }))
}
