//! Requests and limits of injected containers in a profile.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::{self, CelRule, Validated};
use crate::pod::Resource;
use crate::quantity::Quantity;

/// Requests and limits of an injected container: `cpu`, `memory` and `ephemeral-storage`.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-kubernetes-validations" = rule::cel::<ContainerResources>()))]
pub struct ContainerResources {
    /// Requests of the container. In a Guaranteed pod, the limits are raised to the requests.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "quantities")]
    pub requests: BTreeMap<String, String>,
    /// Limits of the container. In a Guaranteed pod, they are lowered to the limits of the largest container
    /// of the pod, and the requests equal the limits.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "quantities")]
    pub limits: BTreeMap<String, String>,
}

impl ContainerResources {
    /// Whether it has no requests and no limits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.limits.is_empty()
    }
}

/// The maximum lengths limit the cost that the API server estimates for rules.
fn quantities(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 3,
        "additionalProperties": {"type": "string", "maxLength": 32},
    })
}

impl Validated for ContainerResources {
    const RULES: &'static [CelRule<Self>] = &[
        CelRule {
            cel: "(!has(self.requests) || self.requests.all(k, isQuantity(self.requests[k]))) && \
                  (!has(self.limits) || self.limits.all(k, isQuantity(self.limits[k])))",
            message: "every value in requests and limits must be a quantity: use a value such as 10m, 0.5, 64Mi \
                      or 1Gi",
            is_met: |part| parsed(part).all(|(_, value)| value.is_some()),
        },
        CelRule {
            cel: "(!has(self.requests) || self.requests.all(k, k in ['cpu', 'memory', 'ephemeral-storage'])) && \
                  (!has(self.limits) || self.limits.all(k, k in ['cpu', 'memory', 'ephemeral-storage']))",
            message: "requests and limits must only contain cpu, memory and ephemeral-storage: remove the other \
                      resources",
            is_met: |part| {
                parsed(part).all(|(name, _)| Resource::ALL.iter().any(|resource| resource.name() == name))
            },
        },
        CelRule {
            cel: "(!has(self.requests) || self.requests.all(k, !isQuantity(self.requests[k]) || \
                  quantity(self.requests[k]).compareTo(quantity('0')) >= 0)) && (!has(self.limits) || self.limits.all(k, \
                  !isQuantity(self.limits[k]) || quantity(self.limits[k]).compareTo(quantity('0')) > 0))",
            message: "requests must not be negative, and limits must be greater than zero: correct the value, \
                      or remove it",
            is_met: |part| {
                let is_right = |map: &BTreeMap<String, String>, zero| {
                    let mut quantities = map.values().filter_map(|text| Quantity::parse(text).ok());
                    quantities.all(|quantity| !quantity.is_negative() && (zero || !quantity.is_zero()))
                };
                is_right(&part.requests, true) && is_right(&part.limits, false)
            },
        },
        CelRule {
            cel: "!has(self.requests) || !has(self.limits) || self.requests.all(k, !(k in self.limits) || \
                  !isQuantity(self.requests[k]) || !isQuantity(self.limits[k]) || \
                  quantity(self.requests[k]).compareTo(quantity(self.limits[k])) <= 0)",
            message: "requests must not exceed limits: raise the limit, or lower the request",
            is_met: |part| {
                part.requests.iter().all(|(name, request)| {
                    let limit = part.limits.get(name).and_then(|limit| Quantity::parse(limit).ok());
                    Quantity::parse(request).ok().zip(limit).is_none_or(|(request, limit)| request <= limit)
                })
            },
        },
    ];
}

fn parsed(part: &ContainerResources) -> impl Iterator<Item = (&str, Option<Quantity>)> {
    part.requests.iter().chain(&part.limits).map(|(name, text)| (&**name, Quantity::parse(text).ok()))
}
