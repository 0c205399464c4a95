//! Settings of sources with the context of a task: its run in traces and in lineage.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::{self, CelRule, Validated};

/// Variables that connect a task to its run in OpenTelemetry and OpenLineage. They are derived from the pod,
/// without a request to any server. A variable whose value the pod does not determine is left out.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rule::cel::<RunContext>()))]
pub struct RunContext {
    /// Variables for SDKs of OpenTelemetry: `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` and
    /// `TRACEPARENT`. Not set by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_telemetry: Option<OpenTelemetry>,
    /// Variables for clients of OpenLineage: `OPENLINEAGE_CONTEXT`, `OPENLINEAGE_PARENT_ID` and
    /// `OPENLINEAGE_ROOT_PARENT_ID`. Not set by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_lineage: Option<OpenLineage>,
}

impl Validated for RunContext {
    const RULES: &'static [CelRule<Self>] = &[CelRule {
        cel: "has(self.openTelemetry) || has(self.openLineage)",
        message: "context must provide something: set openTelemetry (it can be {}), openLineage or both",
        is_met: |part| part.open_telemetry.is_some() || part.open_lineage.is_some(),
    }];
}

/// Variables for SDKs of OpenTelemetry.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct OpenTelemetry {
    /// Name of the cluster, as the attribute `k8s.cluster.name`. Runs with the same names in other clusters
    /// have other traces. Not set by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub cluster: Option<String>,
    /// Name of the service. Can be a template. Defaults to the workflow. The annotation
    /// `resource.opentelemetry.io/service.name` of a pod overrides it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub service_name: Option<String>,
    /// Resource attributes by name, in addition to those that Bootlace sets. Each value can be a template. An
    /// empty value removes the attribute. At most 64.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub attributes: BTreeMap<String, String>,
    /// Whether tasks get a `TRACEPARENT`, and whether its trace is sampled: `Sampled`, `NotSampled` or
    /// `None`. Samplers that follow the parent, like the default of SDKs, record no span of a trace that is
    /// not sampled. Defaults to `Sampled`.
    #[serde(skip_serializing_if = "TraceParent::is_default")]
    pub trace_parent: TraceParent,
}

/// The trace of a run.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum TraceParent {
    /// It is sampled.
    #[default]
    Sampled,
    /// It is not sampled.
    NotSampled,
    /// Tasks get none.
    None,
}

impl TraceParent {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature of skip_serializing_if")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Variables for clients of OpenLineage.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OpenLineage {
    /// Namespace of the jobs of the scheduler. For Airflow: the namespace that its provider is configured
    /// with, or else `default`. Can be a template. Required.
    #[schemars(length(min = 1, max = 1024))]
    pub namespace: String,
    /// What the pods of Airflow do not contain.
    #[serde(default, skip_serializing_if = "Airflow::is_default")]
    pub airflow: Airflow,
}

/// The field [`Airflow::logical_date`] of a source, as in messages.
pub const LOGICAL_DATE: &str = "context.openLineage.airflow.logicalDate";
/// The field [`Airflow::clear_number`] of a source, as in messages.
pub const CLEAR_NUMBER: &str = "context.openLineage.airflow.clearNumber";
/// The format of a logical date, for messages.
pub const A_DATE: &str = "a time in RFC 3339 format, such as 2026-01-31T00:00:00Z";
/// The format of a number, for messages.
pub const A_NUMBER: &str = "a number, such as 0";

/// What the pods of Airflow do not contain, for the run IDs of its OpenLineage provider (version 2).
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Airflow {
    /// Logical date of the run (RFC 3339), used if the pod does not contain it. Can be a template; an empty
    /// result is the same as no date. Not set by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub logical_date: Option<String>,
    /// How often the run was cleared, for the ID of the DAG run. Can be a template; an empty result is the
    /// same as no number. Not set by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub clear_number: Option<String>,
}

impl Airflow {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
