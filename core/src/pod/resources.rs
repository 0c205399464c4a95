//! Requests and limits of a container, or of a pod.

use super::amount::Amount;
use super::field::{Object, WrongType};
use crate::quantity::Quantity;

/// The resources that Bootlace handles: those that a namespace can restrict for every container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// `cpu`.
    Cpu,
    /// `memory`.
    Memory,
    /// `ephemeral-storage`.
    Storage,
}

impl Resource {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Memory, Self::Storage];
    /// The resources that determine the QoS class.
    pub const OF_CLASS: [Self; 2] = [Self::Cpu, Self::Memory];

    /// The name in `requests` and `limits`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Storage => "ephemeral-storage",
        }
    }
}

/// Request and limit of a container for one resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share<'a> {
    /// The request, if it is set.
    pub request: Option<Amount<'a>>,
    /// The limit, if it is set.
    pub limit: Option<Amount<'a>>,
}

impl Share<'_> {
    /// Whether the request or the limit is set.
    #[must_use]
    pub fn is_declared(&self) -> bool {
        self.request.is_some() || self.limit.is_some()
    }

    /// The effective request: the limit if only the limit is set, as in the API server.
    #[must_use]
    pub fn requested(&self) -> Option<Quantity> {
        self.request.as_ref().or(self.limit.as_ref()).map(|amount| amount.value)
    }

    /// The limit that the kubelet sets; `None` if it is zero.
    #[must_use]
    pub fn limited(&self) -> Option<Quantity> {
        self.limit.as_ref().map(|amount| amount.value).filter(|value| !value.is_zero())
    }

    /// Whether request and limit are equal and not zero.
    fn is_guaranteed(&self) -> bool {
        self.limited().is_some_and(|limit| self.requested() == Some(limit))
    }

    /// Whether neither request nor limit is greater than zero.
    fn is_nothing(&self) -> bool {
        self.limited().is_none() && self.requested().is_none_or(Quantity::is_zero)
    }
}

/// The resources of a container or pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources<'a> {
    cpu: Share<'a>,
    memory: Share<'a>,
    storage: Share<'a>,
    /// Whether they include huge pages.
    pub(super) huge_pages: bool,
}

impl<'a> Resources<'a> {
    /// Reads `resources` of a container or of the spec of a pod.
    ///
    /// # Errors
    /// If a field has the wrong type.
    pub(super) fn read(of: &Object<'a>) -> Result<Self, WrongType> {
        let resources = of.object("resources")?;
        if !resources.is_present() {
            return Ok(Self::default());
        }
        let (requests, limits) = (resources.object("requests")?, resources.object("limits")?);
        let share = |resource: Resource| {
            let name = resource.name();
            Ok(Share { request: requests.quantity(name)?, limit: limits.quantity(name)? })
        };
        Ok(Self {
            cpu: share(Resource::Cpu)?,
            memory: share(Resource::Memory)?,
            storage: share(Resource::Storage)?,
            huge_pages: [requests, limits].iter().any(|map| map.has_name_with("hugepages-")),
        })
    }

    /// Request and limit of one resource.
    #[must_use]
    pub fn of(&self, resource: Resource) -> &Share<'a> {
        match resource {
            Resource::Cpu => &self.cpu,
            Resource::Memory => &self.memory,
            Resource::Storage => &self.storage,
        }
    }

    /// The QoS class of a container, or of a pod with pod-level resources (`requirementsQOS`).
    pub(super) fn class(&self) -> Class {
        let mut shares = Resource::OF_CLASS.into_iter().map(|resource| self.of(resource));
        if shares.clone().all(Share::is_guaranteed) {
            Class::Guaranteed
        } else if shares.all(Share::is_nothing) {
            Class::BestEffort
        } else {
            Class::Burstable
        }
    }
}

/// QoS class of a pod.
/// <https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The requests of every container equal its limits.
    Guaranteed,
    /// Anything else.
    Burstable,
    /// No container has requests or limits.
    BestEffort,
}
