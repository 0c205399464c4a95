//! What the containers that Bootlace adds ask for and may use: as little as possible, so that a pod that was valid stays
//! valid, in its class, its quota and its limit ranges, which cannot be looked up here.
//!
//! # An init container that ends
//! It runs before the task and is over when the task starts. Kubernetes counts the larger of both, so it costs nothing while
//! it asks for no more than one of the pod's own containers does. It therefore gets, for each resource, exactly what the
//! largest of them has: whatever bounds a namespace sets for a container (least, most, and their ratio), that container is
//! within them. Where the pod's containers declare nothing, neither does it, and the class stays what it is.
//!
//! # A sidecar
//! It runs beside the task, so what it asks for is added. It asks for a fixed small amount.
//!
//! # Pod-level resources
//! Where `spec.resources` is set, it bounds the containers together and decides the class. What the containers request must
//! not be more than it, so nothing is added to their sum: init containers are as above, and a sidecar requests nothing.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::boot_spec::{BootSource, SourceKind};
use super::{PlanError, boot};
use crate::pod::{Amount, Class, Pod, PodResources, Resource, Share, WrongType};
use crate::profile::BootProfileSpec;
use crate::profile::spec::Resources;
use crate::quantity::Quantity;

/// Bytes of memory that a container of Bootlace's needs beside what it writes to a volume: its process (6 MB at most, see
/// `docs/figures.md`), its TLS sessions, the launcher that it copies, and what the runtime takes to start a container.
const NEED_BYTES: u64 = 16 * MIB;
/// A mebibyte.
const MIB: u64 = 1 << 20;
/// Bytes that a `ConfigMap` or a Secret may hold.
const OBJECT_BYTES: u64 = MIB;
/// The launcher with TLS, the task's identity and the env's files.
const OWN_BYTES: u64 = 3 * MIB;

/// What a sidecar gets of one resource.
struct PodTotals {
    request: Quantity,
    limit: Quantity,
    /// Its limit where limits may not be far above requests.
    least: Quantity,
}

fn beside(resource: Resource) -> Option<PodTotals> {
    let bytes = |mebibytes: u64| Quantity::from_bytes(mebibytes * MIB);
    match resource {
        Resource::Cpu => Some(PodTotals {
            request: Quantity::from_milli(5),
            limit: Quantity::from_milli(200),
            least: Quantity::from_milli(20),
        }),
        Resource::Memory => Some(PodTotals { request: bytes(16), limit: bytes(64), least: bytes(32) }),
        // It writes nothing to the node's disk.
        Resource::Storage => None,
    }
}

/// How much memory a profile's boot may take.
#[derive(Debug, Clone)]
pub(super) struct BootMemory {
    /// What boot needs at least.
    need: Quantity,
    /// What it may write to the volume at most.
    content: Quantity,
    /// The source that may bring most of it.
    largest: Option<(String, Quantity)>,
}

impl BootMemory {
    /// Of a profile whose sources are `sources`.
    pub(super) fn of(profile: &BootProfileSpec, sources: &[BootSource]) -> Self {
        let volume = boot::volume_bytes(profile);
        let bytes = |source: &BootSource| {
            let limit = source.limits.map_or(u64::MAX, |limits| limits.bytes);
            limit.min(match &source.from {
                SourceKind::Inline(inline) => {
                    let texts = inline.env.iter().chain(&inline.files);
                    texts.map(|(name, content)| (name.len() + content.len()) as u64).sum()
                }
                SourceKind::Mounted(_) => OBJECT_BYTES,
                SourceKind::Http(_)
                | SourceKind::Optimus(_)
                | SourceKind::ObjectStore(_)
                | SourceKind::Oci(_)
                | SourceKind::InitImage(_) => volume,
            })
        };
        let inline = |source: &&BootSource| matches!(source.from, SourceKind::Inline(_));
        let sum = |bytes: &mut dyn Iterator<Item = u64>| bytes.fold(0_u64, u64::saturating_add);
        let written = sum(&mut sources.iter().filter(inline).map(bytes));
        let content = sum(&mut sources.iter().map(bytes)).saturating_add(OWN_BYTES);
        let largest = sources.iter().max_by_key(|source| bytes(source));
        Self {
            need: Quantity::from_bytes(NEED_BYTES.saturating_add(written).div_ceil(MIB).saturating_mul(MIB)),
            content: Quantity::from_bytes(content.min(volume)),
            largest: largest.map(|source| (source.name.clone(), Quantity::from_bytes(bytes(source)))),
        }
    }

    /// What boot needs at least.
    pub(super) fn need(&self) -> Quantity {
        self.need
    }
}

/// What containers that speak to the store need at least.
pub(super) fn least() -> Quantity {
    Quantity::from_bytes(NEED_BYTES)
}

/// The resources of one container that is added, and its memory limit.
#[derive(Debug, Default)]
pub(super) struct AddedResources {
    shares: Vec<(Resource, Share<'static>)>,
    /// The memory that the pod's own containers have at most, where that was too little.
    too_little: Option<Quantity>,
}

impl AddedResources {
    /// The memory limit.
    fn memory(&self) -> Option<Quantity> {
        let memory = self.shares.iter().find(|(resource, _)| *resource == Resource::Memory);
        memory.and_then(|(_, share)| share.limited())
    }

    /// Sets the container's `resources`, where it has any.
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

/// What there is in a pod.
#[derive(Debug)]
pub(super) struct PodLimits<'a> {
    pod: PodResources<'a>,
    class: Class,
    profile: &'a str,
}

impl<'a> PodLimits<'a> {
    /// Reads what there is in `pod`.
    pub(super) fn of(pod: &Pod<'a>, profile: &'a str) -> Result<Self, WrongType> {
        let pod = PodResources::read(pod)?;
        let class = pod.class();
        Ok(Self { pod, class, profile })
    }

    /// What an init container gets that ends before the task starts and needs `need` bytes of memory, where the profile
    /// says `says` of it.
    pub(super) fn ends(
        &self,
        name: &'static str,
        says: &Resources,
        need: Quantity,
    ) -> Result<AddedResources, PlanError> {
        if let Some(limit) = self.pod.pod.as_ref().and_then(|own| own.of(Resource::Memory).limited())
            && limit < need
        {
            let profile = self.profile.to_owned();
            return Err(PlanError::PodMemory { container: name, limit, need, profile });
        }
        let mut given = AddedResources::default();
        for resource in Resource::ALL {
            let mut share = self.said(resource, self.largest(resource), says);
            if resource == Resource::Memory
                && let Some(limit) = share.limited()
                && limit < need
            {
                given.too_little = Some(limit);
                let request = if self.must_equal(resource) { Some(need) } else { share.requested() };
                share = Share { request: request.map(Amount::from), limit: Some(need.into()) };
            }
            given.shares.push((resource, share));
        }
        Ok(given)
    }

    /// What the largest container of the pod has of `resource`: the one without a limit, else the one with the highest.
    fn largest(&self, resource: Resource) -> Share<'static> {
        let shares = self.pod.containers.iter().map(|container| container.of(resource));
        // The first of those that are alike.
        let size = |share: &&Share<'_>| {
            let limit = share.limited();
            Reverse((limit.is_none(), limit, share.requested()))
        };
        shares.min_by_key(size).map(owned).unwrap_or_default()
    }

    /// `own`, changed to what the profile says.
    fn said(&self, resource: Resource, own: Share<'static>, says: &Resources) -> Share<'static> {
        let (request, limit) = (amount(&says.requests, resource), amount(&says.limits, resource));
        if self.pod.pod.is_some() || (request.is_none() && limit.is_none()) {
            return own;
        }
        if self.must_equal(resource) {
            let Some(most) = own.limit.clone() else { return own };
            let least = limit.filter(|limit| limit.value < most.value).unwrap_or(most);
            let both = request.filter(|request| request.value > least.value).unwrap_or(least);
            return Share { request: Some(both.clone()), limit: Some(both) };
        }
        let capped = |amount: Amount<'static>| match &limit {
            Some(limit) if limit.value < amount.value => limit.clone(),
            _ => amount,
        };
        let asks = request.or_else(|| own.request.or_else(|| own.limit.clone()).map(capped));
        let least = asks.as_ref().map_or(Quantity::ZERO, |asks| asks.value);
        let limit = limit.or(own.limit).map(|limit| match &asks {
            Some(asks) if limit.value < least => asks.clone(),
            _ => limit,
        });
        Share { request: asks, limit }
    }

    /// Whether request and limit must be one amount, so that the pod stays Guaranteed.
    fn must_equal(&self, resource: Resource) -> bool {
        self.pod.pod.is_none() && self.class == Class::Guaranteed && Resource::OF_CLASS.contains(&resource)
    }

    /// What a sidecar gets, where the profile says `says` of it.
    pub(super) fn beside(&self, says: &Resources) -> AddedResources {
        let share = |resource| Some((resource, self.beside_share(resource, says)?));
        AddedResources { shares: Resource::ALL.into_iter().filter_map(share).collect(), too_little: None }
    }

    fn beside_share(&self, resource: Resource, says: &Resources) -> Option<Share<'static>> {
        let is_declared = self.pod.all().any(|container| container.of(resource).is_declared());
        if self.pod.pod.is_some() {
            // Written, because a limit range would fill in what is left out.
            let nothing = || Share { request: Some(Quantity::ZERO.into()), limit: None };
            return is_declared.then(nothing);
        }
        let (request, limit) = (amount(&says.requests, resource), amount(&says.limits, resource));
        if let Some(most) = [&request, &limit].into_iter().flatten().max_by_key(|amount| amount.value) {
            let both = self.must_equal(resource).then(|| most.clone());
            return Some(Share { request: both.clone().or(request), limit: both.or(limit) });
        }
        let PodTotals { request, limit, least } = beside(resource).filter(|_| is_declared)?;
        let (request, limit) = self.within_ratio(resource, request, limit, least).unwrap_or((request, limit));
        Some(Share { request: Some(request.into()), limit: Some(limit.into()) })
    }

    /// The same where all containers of the pod are limited: a limit that is no further above its request, and no higher,
    /// than it is in one of them. Of a Guaranteed pod both are `least`.
    fn within_ratio(
        &self,
        resource: Resource,
        request: Quantity,
        limit: Quantity,
        least: Quantity,
    ) -> Option<(Quantity, Quantity)> {
        let pairs = self.pod.all().map(|container| {
            let share = container.of(resource);
            let asks = share.requested().filter(|asks| !asks.is_zero())?;
            Some((asks, share.limited()?))
        });
        let pairs: Vec<_> = pairs.collect::<Option<_>>()?;
        let highest = pairs.iter().map(|(_, limit)| *limit).max()?;
        let allowed = pairs.iter().map(|(asks, limit)| request.scaled(*limit, *asks, false)).max()?;
        let limit = allowed.clamp(least, limit).min(highest).max(request);
        let asks = pairs.iter().map(|(asks, most)| limit.scaled(*asks, *most, true)).min()?;
        Some((asks.clamp(request, limit), limit))
    }

    /// What the pod's author should know of its memory: `boot` are the init containers that end, `sidecar` is the one that
    /// stays.
    pub(super) fn warnings(
        &self,
        memory: &BootMemory,
        boot: &[&AddedResources],
        sidecar: Option<&AddedResources>,
    ) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(has) = boot.iter().filter_map(|given| given.too_little).min() {
            warnings.push(format!(
                "bootlace: the memory limit of the containers of the pod is at most {has}, but the injected containers need {}: \
                 they get a higher limit, which a quota or limit range of the namespace may reject. Raise limits.memory of a \
                 container to {}",
                memory.need, memory.need
            ));
        }
        let ends: Vec<_> = boot.iter().map(|given| given.memory()).collect();
        let sidecars: Vec<_> = sidecar.iter().map(|given| given.memory()).collect();
        let Some(limit) = self.pod.memory_limit(&ends, &sidecars) else { return warnings };
        let content = memory.content;
        // A quarter is what a limit leaves for what nobody has measured.
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

/// What a profile says of a resource. Anything but a quantity is refused when the profile is read.
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
