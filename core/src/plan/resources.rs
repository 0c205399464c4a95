//! Resources of injected containers: as small as possible, so that a valid pod remains valid with its QoS
//! class, quotas and limit ranges, which cannot be looked up here.
//!
//! # Init containers that end
//! They exit before the task starts. Kubernetes counts the maximum of init containers and containers, so they
//! cost nothing as long as they do not request more than a container of the pod. They therefore get, for each
//! resource, the request and limit of the largest container: it complies with all limit ranges of the
//! namespace for containers (minimum, maximum and ratio). If the containers of the pod declare nothing, they
//! declare nothing either, and the QoS class does not change.
//!
//! # Sidecar
//! It runs together with the task, so its request is added to that of the pod. It requests a fixed small
//! amount.
//!
//! # Pod-level resources
//! If `spec.resources` is set, it limits the containers together and determines the QoS class. The sum of the
//! requests of the containers must not exceed it, so nothing is added to the sum: init containers are as
//! above, and the sidecar requests nothing.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::PlanError;
use super::boot_spec::{BootSource, SourceKind};
use super::container_parts::memory_volume_bytes;
use crate::pod::{Amount, Class, Pod, PodResources, Resource, Share, WrongType};
use crate::profile::{BootProfileSpec, ContainerResources};
use crate::quantity::Quantity;

/// Bytes of memory that an injected container needs in addition to its files in a volume: for its process (at
/// most 6 MB, see `docs/figures.md`), its TLS sessions, the launcher that it copies, and the start of the
/// container.
const NEED_BYTES: u64 = 16 * MIB;
/// Bytes of a mebibyte.
const MIB: u64 = 1 << 20;
/// Maximum bytes of a `ConfigMap` or Secret.
const OBJECT_BYTES: u64 = MIB;
/// Bytes of the launcher with TLS, the identity of the task and the files with the boot env.
const BOOT_FILE_BYTES: u64 = 3 * MIB;

/// The amounts of one resource for the sidecar.
struct SidecarAmounts {
    request: Quantity,
    limit: Quantity,
    /// The minimum of the limit, if the ratio of limit and request is bounded.
    min_limit: Quantity,
}

fn sidecar_amounts(resource: Resource) -> Option<SidecarAmounts> {
    let bytes = |mebibytes: u64| Quantity::from_bytes(mebibytes * MIB);
    match resource {
        Resource::Cpu => Some(SidecarAmounts {
            request: Quantity::from_milli(5),
            limit: Quantity::from_milli(200),
            min_limit: Quantity::from_milli(20),
        }),
        Resource::Memory => {
            Some(SidecarAmounts { request: bytes(16), limit: bytes(64), min_limit: bytes(32) })
        }
        // It writes no files to the disk of the node.
        Resource::Storage => None,
    }
}

/// The memory that boot of a profile uses.
#[derive(Debug, Clone)]
pub(super) struct BootMemory {
    /// The minimum that boot needs.
    need: Quantity,
    /// The maximum size of the files that it writes to the volume.
    content: Quantity,
    /// The source that can provide the largest part of them.
    largest: Option<(String, Quantity)>,
}

impl BootMemory {
    /// The memory for a profile with these sources.
    pub(super) fn new(profile: &BootProfileSpec, sources: &[BootSource]) -> Self {
        let volume = memory_volume_bytes(profile);
        let bytes = |source: &BootSource| {
            let limit = source.limits.map_or(u64::MAX, |limits| limits.bytes);
            limit.min(match &source.from {
                SourceKind::Inline(inline) => {
                    let texts = inline.env.iter().chain(&inline.files);
                    texts.map(|(name, content)| (name.len() + content.len()) as u64).sum()
                }
                SourceKind::Vault(vault) => {
                    OBJECT_BYTES.saturating_mul(vault.remote.request.secrets.len() as u64)
                }
                // A few variables with names of the pod.
                SourceKind::Mounted(_) | SourceKind::Context(_) => OBJECT_BYTES,
                SourceKind::Http(_)
                | SourceKind::Optimus(_)
                | SourceKind::ObjectStore(_)
                | SourceKind::Oci(_)
                | SourceKind::Volume(_)
                | SourceKind::InitImage(_) => volume,
            })
        };
        let inline = |source: &&BootSource| matches!(source.from, SourceKind::Inline(_));
        let sum = |bytes: &mut dyn Iterator<Item = u64>| bytes.fold(0_u64, u64::saturating_add);
        let written = sum(&mut sources.iter().filter(inline).map(bytes));
        let content = sum(&mut sources.iter().map(bytes)).saturating_add(BOOT_FILE_BYTES);
        let largest = sources.iter().max_by_key(|source| bytes(source));
        Self {
            need: Quantity::from_bytes(NEED_BYTES.saturating_add(written).div_ceil(MIB).saturating_mul(MIB)),
            content: Quantity::from_bytes(content.min(volume)),
            largest: largest.map(|source| (source.name.clone(), Quantity::from_bytes(bytes(source)))),
        }
    }

    /// The minimum that boot needs.
    pub(super) fn need(&self) -> Quantity {
        self.need
    }
}

/// The minimum memory of other injected init containers.
pub(super) fn min_memory() -> Quantity {
    Quantity::from_bytes(NEED_BYTES)
}

/// The resources of an injected container.
#[derive(Debug, Default)]
pub(super) struct AddedResources {
    shares: Vec<(Resource, Share<'static>)>,
    /// The largest memory limit of the containers of the pod, if it was too low.
    raised_from: Option<Quantity>,
}

impl AddedResources {
    /// The memory limit.
    fn memory(&self) -> Option<Quantity> {
        let memory = self.shares.iter().find(|(resource, _)| *resource == Resource::Memory);
        memory.and_then(|(_, share)| share.limited())
    }

    /// Sets `resources` of the container, or removes the field if it would be empty.
    pub(super) fn set(&self, container: &mut Value) {
        let (mut requests, mut limits) = (Map::new(), Map::new());
        for (resource, share) in &self.shares {
            for (map, amount) in [(&mut requests, &share.request), (&mut limits, &share.limit)] {
                if let Some(amount) = amount {
                    map.insert(resource.name().to_owned(), (*amount.text).into());
                }
            }
        }
        let mut resources = Map::new();
        for (name, map) in [("requests", requests), ("limits", limits)] {
            if !map.is_empty() {
                resources.insert(name.to_owned(), map.into());
            }
        }
        if let Some(container) = container.as_object_mut() {
            container.remove("resources");
            if !resources.is_empty() {
                container.insert("resources".to_owned(), resources.into());
            }
        }
    }
}

/// The resources of a pod.
#[derive(Debug)]
pub(super) struct PodLimits<'a> {
    pod: PodResources<'a>,
    class: Class,
    profile: &'a str,
}

impl<'a> PodLimits<'a> {
    /// Reads the resources of `pod`.
    pub(super) fn new(pod: &Pod<'a>, profile: &'a str) -> Result<Self, WrongType> {
        let pod = PodResources::read(pod)?;
        let class = pod.class();
        Ok(Self { pod, class, profile })
    }

    /// The resources of an init container that exits before the task starts and needs at least `need` bytes
    /// of memory. `settings` are its resources in the profile.
    pub(super) fn init_container(
        &self,
        name: &'static str,
        settings: &ContainerResources,
        need: Quantity,
    ) -> Result<AddedResources, PlanError> {
        if let Some(limit) = self.pod.pod.as_ref().and_then(|pod| pod.of(Resource::Memory).limited())
            && limit < need
        {
            let profile = self.profile.to_owned();
            return Err(PlanError::PodMemory { container: name, limit, need, profile });
        }
        let mut added = AddedResources::default();
        for resource in Resource::ALL {
            let mut share = self.with_settings(resource, self.largest(resource), settings);
            if resource == Resource::Memory
                && let Some(limit) = share.limited()
                && limit < need
            {
                added.raised_from = Some(limit);
                let request = if self.must_equal(resource) { Some(need) } else { share.requested() };
                share = Share { request: request.map(Amount::from), limit: Some(need.into()) };
            }
            added.shares.push((resource, share));
        }
        Ok(added)
    }

    /// The amounts of `resource` of the largest container of the pod: one without a limit, otherwise the one
    /// with the highest limit.
    fn largest(&self, resource: Resource) -> Share<'static> {
        let shares = self.pod.containers.iter().map(|container| container.of(resource));
        // `min_by_key` returns the first of several equal containers.
        let size = |share: &&Share<'_>| {
            let limit = share.limited();
            Reverse((limit.is_none(), limit, share.requested()))
        };
        shares.min_by_key(size).map(owned).unwrap_or_default()
    }

    /// `share`, changed according to the settings of the profile.
    fn with_settings(
        &self,
        resource: Resource,
        share: Share<'static>,
        settings: &ContainerResources,
    ) -> Share<'static> {
        let (request, limit) = (amount(&settings.requests, resource), amount(&settings.limits, resource));
        if self.pod.pod.is_some() || (request.is_none() && limit.is_none()) {
            return share;
        }
        if self.must_equal(resource) {
            let Some(max) = share.limit.clone() else { return share };
            let limit = limit.filter(|limit| limit.value < max.value).unwrap_or(max);
            let both = request.filter(|request| request.value > limit.value).unwrap_or(limit);
            return Share { request: Some(both.clone()), limit: Some(both) };
        }
        let capped = |amount: Amount<'static>| match &limit {
            Some(limit) if limit.value < amount.value => limit.clone(),
            _ => amount,
        };
        let request = request.or_else(|| share.request.or_else(|| share.limit.clone()).map(capped));
        let min = request.as_ref().map_or(Quantity::ZERO, |request| request.value);
        let limit = limit.or(share.limit).map(|limit| match &request {
            Some(request) if limit.value < min => request.clone(),
            _ => limit,
        });
        Share { request, limit }
    }

    /// Whether request and limit must be equal, so that the pod remains Guaranteed.
    fn must_equal(&self, resource: Resource) -> bool {
        self.pod.pod.is_none() && self.class == Class::Guaranteed && Resource::OF_CLASS.contains(&resource)
    }

    /// The resources of the sidecar. `settings` are its resources in the profile.
    pub(super) fn sidecar(&self, settings: &ContainerResources) -> AddedResources {
        let share = |resource| Some((resource, self.sidecar_share(resource, settings)?));
        AddedResources { shares: Resource::ALL.into_iter().filter_map(share).collect(), raised_from: None }
    }

    fn sidecar_share(&self, resource: Resource, settings: &ContainerResources) -> Option<Share<'static>> {
        let is_declared = self.pod.all().any(|container| container.of(resource).is_declared());
        if self.pod.pod.is_some() {
            // An explicit zero, because a limit range would set a default.
            let zero = || Share { request: Some(Quantity::ZERO.into()), limit: None };
            return is_declared.then(zero);
        }
        let (request, limit) = (amount(&settings.requests, resource), amount(&settings.limits, resource));
        if let Some(max) = [&request, &limit].into_iter().flatten().max_by_key(|amount| amount.value) {
            let both = self.must_equal(resource).then(|| max.clone());
            return Some(Share { request: both.clone().or(request), limit: both.or(limit) });
        }
        let SidecarAmounts { request, limit, min_limit } =
            sidecar_amounts(resource).filter(|_| is_declared)?;
        let (request, limit) =
            self.within_ratio(resource, request, limit, min_limit).unwrap_or((request, limit));
        Some(Share { request: Some(request.into()), limit: Some(limit.into()) })
    }

    /// The request and limit of the sidecar if all containers of the pod have limits: neither the limit nor
    /// its ratio to the request is higher than in one of the containers. In a Guaranteed pod, both are
    /// `min_limit`.
    fn within_ratio(
        &self,
        resource: Resource,
        request: Quantity,
        limit: Quantity,
        min_limit: Quantity,
    ) -> Option<(Quantity, Quantity)> {
        let pairs = self.pod.all().map(|container| {
            let share = container.of(resource);
            let request = share.requested().filter(|request| !request.is_zero())?;
            Some((request, share.limited()?))
        });
        let pairs: Vec<_> = pairs.collect::<Option<_>>()?;
        let highest = pairs.iter().map(|(_, limit)| *limit).max()?;
        let allowed = pairs.iter().map(|(other, limit)| request.scaled(*limit, *other, false)).max()?;
        let limit = allowed.clamp(min_limit, limit).min(highest).max(request);
        let scaled = pairs.iter().map(|(other, max)| limit.scaled(*other, *max, true)).min()?;
        Some((scaled.clamp(request, limit), limit))
    }

    /// Warnings about memory for the author of the pod. `boot` are the resources of the init containers that
    /// exit.
    pub(super) fn warnings(
        &self,
        memory: &BootMemory,
        boot: &[&AddedResources],
        sidecar: Option<&AddedResources>,
    ) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(limit) = boot.iter().filter_map(|added| added.raised_from).min() {
            warnings.push(format!(
                "bootlace: the memory limit of the containers of the pod is at most {limit}, but the injected containers need {}: \
                 they get a higher limit, which a quota or limit range of the namespace may reject. Raise limits.memory of a \
                 container to {}",
                memory.need, memory.need
            ));
        }
        let ends: Vec<_> = boot.iter().map(|added| added.memory()).collect();
        let sidecars: Vec<_> = sidecar.iter().map(|added| added.memory()).collect();
        let Some(limit) = self.pod.memory_limit(&ends, &sidecars) else { return warnings };
        let content = memory.content;
        // A quarter of the limit: the memory of the task is unknown.
        if content.scaled(Quantity::from_milli(4000), Quantity::from_milli(1000), false) > limit {
            let largest = memory.largest.as_ref();
            let largest =
                largest.map_or_else(String::new, |(name, bytes)| format!(" (source {name:?}: {bytes})"));
            warnings.push(format!(
                "bootlace: BootProfile {:?} may write up to {content} to a volume in memory{largest}, which counts against the memory \
                 limit of the pod of {limit}, so less remains for the containers. Raise their limits.memory, or set \
                 limits.size of the source or a smaller volume.sizeLimit in the profile",
                self.profile
            ));
        }
        warnings
    }
}

/// The amount of a resource in the profile. A value that is not a quantity is refused when the profile is
/// read.
fn amount(map: &BTreeMap<String, String>, resource: Resource) -> Option<Amount<'static>> {
    let text = map.get(resource.name())?;
    Some(Amount { text: text.clone().into(), value: Quantity::parse(text).ok()? })
}

fn owned(share: &Share<'_>) -> Share<'static> {
    let amount = |amount: &Option<Amount<'_>>| {
        amount
            .as_ref()
            .map(|amount| Amount { text: amount.text.clone().into_owned().into(), value: amount.value })
    };
    Share { request: amount(&share.request), limit: amount(&share.limit) }
}
