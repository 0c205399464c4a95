//! A source in a profile, and the kinds of sources. Only this module maps the fields of [`Source`], of which
//! a profile sets exactly one, to an enum. The compiler checks that every `match` on the enum covers all
//! kinds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::context::RunContext;
use super::inline::Inline;
use super::mounted::Mounted;
use super::object_store::ObjectStore;
use super::oci::Oci;
use super::pipes::Pipe;
use super::remote::{Client, Http, Limits, Optimus};
use super::rule::{self, CelRule, Validated};
use super::vault::Vault;
use super::volume::VolumeSource;

/// A source that boot fetches. It must have exactly one kind.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rule::cel::<Source>()))]
pub struct Source {
    /// Name of the source in logs and errors. Must be unique in the profile. Required.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Whether the task starts without the source if it does not exist, does not respond or responds with an
    /// error. Content that the source does provide must be valid. Defaults to false.
    #[serde(default)]
    pub optional: bool,
    /// Limits of the content of the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Variables and files in the profile itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inline: Option<Inline>,
    /// A `ConfigMap` in the namespace of the pod, mounted into boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map: Option<Mounted>,
    /// A `Secret` in the namespace of the pod, mounted into boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Mounted>,
    /// An HTTP request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
    /// The compiled input of a run, from an Optimus server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optimus: Option<Optimus>,
    /// Objects in S3, Google Cloud Storage or Azure Blob Storage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object_store: Option<ObjectStore>,
    /// An OCI artifact or image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oci: Option<Oci>,
    /// Secrets of `HashiCorp` Vault or `OpenBao`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vault: Option<Vault>,
    /// The output of an earlier task of the run, mounted into boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipe: Option<Pipe>,
    /// Variables that connect the task to its run in OpenTelemetry and OpenLineage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<RunContext>,
    /// A volume of Kubernetes, mounted into boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume: Option<VolumeSource>,
}

impl Validated for Source {
    const RULES: &'static [CelRule<Self>] = &[CelRule {
        cel: "[has(self.inline), has(self.configMap), has(self.secret), has(self.http), has(self.optimus), \
              has(self.objectStore), has(self.oci), has(self.vault), has(self.pipe), has(self.context), \
              has(self.volume)].filter(kind, kind).size() == 1",
        message: "a source must have exactly one kind: set one of inline, configMap, secret, http, optimus, \
                  objectStore, oci, vault, pipe, context or volume",
        is_met: |source| source.origins().count() == 1,
    }];
}

/// Kind of a source, with its settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SourceOrigin<'a> {
    /// Values in the profile.
    Inline(&'a Inline),
    /// A `ConfigMap` in the namespace of the pod.
    ConfigMap(&'a Mounted),
    /// A `Secret` in the namespace of the pod.
    Secret(&'a Mounted),
    /// An HTTP server.
    Http(&'a Http),
    /// An Optimus server.
    Optimus(&'a Optimus),
    /// An object store.
    ObjectStore(&'a ObjectStore),
    /// An OCI registry.
    Oci(&'a Oci),
    /// Vault.
    Vault(&'a Vault),
    /// An output of an earlier task.
    Pipe(&'a Pipe),
    /// What the pod and its identity determine.
    Context(&'a RunContext),
    /// A volume of Kubernetes.
    Volume(&'a VolumeSource),
}

/// The kind of a source that sets none, which the rules of the profile refuse.
static NO_ORIGIN: Inline =
    Inline { env: std::collections::BTreeMap::new(), files: std::collections::BTreeMap::new() };

impl Source {
    /// The kinds that are set. The rules of the profile refuse a source that does not set exactly one.
    pub fn origins(&self) -> impl Iterator<Item = SourceOrigin<'_>> {
        // Without `..`, so that the compiler reports this place when a kind is added.
        let Self {
            inline,
            config_map,
            secret,
            http,
            optimus,
            object_store,
            oci,
            vault,
            pipe,
            context,
            volume,
            name: _,
            optional: _,
            limits: _,
        } = self;
        [
            inline.as_ref().map(SourceOrigin::Inline),
            config_map.as_ref().map(SourceOrigin::ConfigMap),
            secret.as_ref().map(SourceOrigin::Secret),
            http.as_ref().map(SourceOrigin::Http),
            optimus.as_ref().map(SourceOrigin::Optimus),
            object_store.as_ref().map(SourceOrigin::ObjectStore),
            oci.as_ref().map(SourceOrigin::Oci),
            vault.as_ref().map(SourceOrigin::Vault),
            pipe.as_ref().map(SourceOrigin::Pipe),
            context.as_ref().map(SourceOrigin::Context),
            volume.as_ref().map(SourceOrigin::Volume),
        ]
        .into_iter()
        .flatten()
    }

    /// The kind of the source, in a valid profile.
    #[must_use]
    pub fn origin(&self) -> SourceOrigin<'_> {
        self.origins().next().unwrap_or(SourceOrigin::Inline(&NO_ORIGIN))
    }
}

impl<'a> SourceOrigin<'a> {
    /// Name of the field that sets this kind.
    #[must_use]
    pub fn field(self) -> &'static str {
        match self {
            Self::Inline(_) => "inline",
            Self::ConfigMap(_) => "configMap",
            Self::Secret(_) => "secret",
            Self::Http(_) => "http",
            Self::Optimus(_) => "optimus",
            Self::ObjectStore(_) => "objectStore",
            Self::Oci(_) => "oci",
            Self::Vault(_) => "vault",
            Self::Pipe(_) => "pipe",
            Self::Context(_) => "context",
            Self::Volume(_) => "volume",
        }
    }

    /// Whether nothing limits its size, so that boot always does.
    #[must_use]
    pub fn is_unbounded(self) -> bool {
        match self {
            Self::Http(_)
            | Self::Optimus(_)
            | Self::ObjectStore(_)
            | Self::Oci(_)
            | Self::Vault(_)
            | Self::Volume(_) => true,
            Self::Inline(_) | Self::ConfigMap(_) | Self::Secret(_) | Self::Pipe(_) | Self::Context(_) => {
                false
            }
        }
    }

    /// The settings of the HTTP client, for the kinds that support all of them.
    pub(crate) fn client(self) -> Option<&'a Client> {
        match self {
            Self::Http(http) => Some(&http.client),
            Self::Optimus(optimus) => Some(&optimus.client),
            Self::Oci(oci) => Some(&oci.client),
            Self::Vault(vault) => Some(&vault.client),
            Self::Inline(_)
            | Self::ConfigMap(_)
            | Self::Secret(_)
            | Self::ObjectStore(_)
            | Self::Pipe(_)
            | Self::Context(_)
            | Self::Volume(_) => None,
        }
    }
}
