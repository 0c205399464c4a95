//! Settings of sources that are volumes of Kubernetes, with the field names of a pod spec.
//!
//! The types are those whose content exists before the task, and which namespaces with the pod security
//! standard `restricted` allow. `configMap` and `secret` have their own sources, an `emptyDir` and a generic
//! ephemeral volume start empty, and `hostPath` would let a profile read the files of the node.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mounted::{HasKeys, Item, Keys, SourceTarget, key_rules};
use super::pull_policy::PullPolicy;
use super::remote::an_hour;
use super::rule::{self, BrokenRule, CelRule, Validated};
use super::targets::{is_path, is_template};
use crate::entry::AssetPath;
use crate::exactly_one::exactly_one;
use crate::pod::Image;
use crate::template;

/// A volume of Kubernetes, which the kubelet mounts into the boot container, read-only, and into no other
/// container.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rule::cel::<VolumeSource>()))]
pub struct VolumeSource {
    /// An ephemeral volume of a CSI driver, for example of the Secrets Store CSI driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csi: Option<CsiVolume>,
    /// The files of an image, which the kubelet pulls. Requires Kubernetes 1.35.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageVolume>,
    /// A `PersistentVolumeClaim` in the namespace of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<ClaimVolume>,
    /// Several objects of the namespace, fields of the pod and tokens in one volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projected: Option<ProjectedVolume>,
    /// Folder in the volume to use. Its path is removed from the keys. Defaults to the whole volume. Can be a
    /// template.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253), regex(pattern = "^([^/]+(/[^/]+)*)?$"))]
    pub path: String,
    /// Target of the files of the volume: `Env` for variables, `Files` for files. Defaults to `Files`.
    #[serde(default)]
    pub into: SourceTarget,
    /// Files to use, with their names as variables or files. A key is the path of a file in the volume.
    /// Defaults to all files under their own paths. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub items: Vec<Item>,
    /// Paths of files and folders to leave out if all files are used. A `*` matches any characters. At most
    /// 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub exclude: Vec<String>,
    /// Prefix of all names: a folder such as `sql/` for files, or a prefix such as `DB_` for variables.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub prefix: String,
    /// Whether the task starts if the volume is empty, or a key of `items` does not exist. The kubelet does
    /// not start a pod whose volume it cannot mount. Defaults to false.
    #[serde(default)]
    pub optional: bool,
}

/// An ephemeral volume of a CSI driver.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CsiVolume {
    /// Name of the driver: `secrets-store.csi.k8s.io`. Required.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z0-9]([-.A-Za-z0-9]*[A-Za-z0-9])?$"))]
    pub driver: String,
    /// Attributes for the driver, by name: `secretProviderClass`. Each value can be a template. At most 64.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub volume_attributes: BTreeMap<String, String>,
    /// A `Secret` in the namespace of the pod that the kubelet passes to the driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_publish_secret_ref: Option<SecretReference>,
}

/// A Secret in the namespace of the pod.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretReference {
    /// Name of the Secret. Required.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
}

/// The files of an image.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImageVolume {
    /// Reference of the image: `registry.example.com/team/models:v3`. The kubelet pulls it with the
    /// credentials of the pod. Can be a template after the registry. Required.
    #[schemars(length(min = 1, max = 1024))]
    pub reference: String,
    /// When the kubelet pulls the image: `Always`, `IfNotPresent` or `Never`. Defaults to the default of
    /// Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_policy: Option<PullPolicy>,
}

/// A `PersistentVolumeClaim`.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rule::cel::<ClaimVolume>()))]
pub struct ClaimVolume {
    /// Name of the claim. Can be a template. Required.
    #[schemars(length(min = 1, max = 253))]
    pub claim_name: String,
}

/// Several parts in one volume.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProjectedVolume {
    /// The parts of the volume. At least 1, at most 16.
    #[schemars(length(min = 1, max = 16))]
    pub sources: Vec<Projection>,
}

/// A part of a projected volume. It must have exactly one kind.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rule::cel::<Projection>()))]
pub struct Projection {
    /// A `ConfigMap` in the namespace of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ProjectedObject>,
    /// A `Secret` in the namespace of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<ProjectedObject>,
    /// Fields of the pod.
    #[serde(default, rename = "downwardAPI", skip_serializing_if = "Option::is_none")]
    pub downward_api: Option<ProjectedFields>,
    /// A token of the service account of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_token: Option<ProjectedToken>,
}

/// An object in a projected volume.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProjectedObject {
    /// Name of the object. Required.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Keys to mount, with their paths in the volume. Defaults to all keys. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub items: Vec<ProjectedKey>,
    /// Whether the object and the keys in `items` can be missing. If not, the kubelet waits for them.
    /// Defaults to false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

/// A key of an object in a projected volume.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProjectedKey {
    /// The key. Required.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
    /// Path in the volume. Required.
    #[schemars(length(min = 1, max = 253), regex(pattern = VOLUME_PATH))]
    pub path: String,
}

/// Fields of the pod in a projected volume.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProjectedFields {
    /// The fields. At least 1, at most 64.
    #[schemars(length(min = 1, max = 64))]
    pub items: Vec<ProjectedField>,
}

/// A field of the pod in a projected volume.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProjectedField {
    /// Path in the volume. Required.
    #[schemars(length(min = 1, max = 253), regex(pattern = VOLUME_PATH))]
    pub path: String,
    /// The field. Required.
    pub field_ref: FieldReference,
}

/// A field of the pod.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FieldReference {
    /// The field: `metadata.labels['team']`. Required.
    #[schemars(length(min = 1, max = 512))]
    pub field_path: String,
}

/// A token in a projected volume.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProjectedToken {
    /// Audience of the token, which its receiver verifies. Required.
    #[schemars(length(min = 1, max = 253))]
    pub audience: String,
    /// Validity of the token, in seconds. Defaults to 3600. At least 600, at most 86400.
    #[serde(default = "an_hour")]
    #[schemars(range(min = 600, max = 86400))]
    pub expiration_seconds: i64,
    /// Path in the volume. Required.
    #[schemars(length(min = 1, max = 253), regex(pattern = VOLUME_PATH))]
    pub path: String,
}

/// A path that the API server accepts in a projected volume: relative, and without `.`, `..` and a leading
/// `..`.
const VOLUME_PATH: &str = "^([^/.]|[.][^/.])[^/]*(/([^/.]|[.][^/.])[^/]*)*$";

/// The content of a volume.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum VolumeContent<'a> {
    /// A volume of a CSI driver.
    Csi(&'a CsiVolume),
    /// The files of an image.
    Image(&'a ImageVolume),
    /// A `PersistentVolumeClaim`.
    Claim(&'a ClaimVolume),
    /// Several parts.
    Projected(&'a ProjectedVolume),
}

impl VolumeSource {
    /// The content; `None` if the volume has no type, which its rules refuse.
    #[must_use]
    pub fn content(&self) -> Option<VolumeContent<'_>> {
        let csi = self.csi.as_ref().map(VolumeContent::Csi);
        let image = self.image.as_ref().map(VolumeContent::Image);
        let claim = self.persistent_volume_claim.as_ref().map(VolumeContent::Claim);
        csi.or(image).or(claim).or_else(|| self.projected.as_ref().map(VolumeContent::Projected))
    }

    /// Checks the rules of its parts. `field` is the path of the source.
    pub(super) fn check_rules(&self, field: &str) -> Result<(), BrokenRule> {
        rule::check(field, self)?;
        let claim = self.persistent_volume_claim.as_ref();
        rule::check_optional(&format!("{field}.persistentVolumeClaim"), claim)?;
        let parts = self.projected.iter().flat_map(|projected| &projected.sources);
        for (position, part) in parts.enumerate() {
            rule::check(&format!("{field}.projected.sources[{position}]"), part)?;
        }
        Ok(())
    }

    /// Checks the values that boot or the kubelet would refuse for every pod.
    pub(super) fn check_values(&self, field: &str) -> Result<(), BrokenRule> {
        let invalid = |field: String, message: String| Err(BrokenRule { field, message });
        let claim = self.persistent_volume_claim.as_ref().map(|claim| &*claim.claim_name);
        if let Some(name) = claim.filter(|name| !template::is_one(name) && !is_claim_name(name)) {
            let message = format!("{name:?} is not {A_CLAIM}: correct it");
            return invalid(format!("{field}.persistentVolumeClaim.claimName"), message);
        }
        if !self.path.is_empty()
            && !template::is_one(&self.path)
            && let Err(error) = AssetPath::parse(&self.path)
        {
            return invalid(format!("{field}.path"), error.to_string());
        }
        for (position, item) in self.items.iter().enumerate() {
            if !is_path(&item.key) {
                let message = "must be the path of a file in the volume: write it without a leading or trailing \
                               slash, and without empty parts, . and ..";
                return invalid(format!("{field}.items[{position}].key"), message.to_owned());
            }
        }
        if let Some(image) = self.image.as_ref().filter(|image| !template::is_one(&image.reference))
            && let Err(error) = Image::parse(&image.reference)
        {
            return invalid(format!("{field}.image.reference"), error.to_string());
        }
        Ok(())
    }
}

impl HasKeys for VolumeSource {
    fn keys(&self) -> Keys<'_> {
        let Self { into, items, exclude, prefix, .. } = self;
        Keys { into: *into, items, exclude, prefix }
    }
}

impl Validated for VolumeSource {
    const RULES: &'static [CelRule<Self>] = &{
        let [variables, prefix_of_names, paths, prefix_of_paths, exclude] = key_rules();
        [ONE_TYPE, variables, prefix_of_names, paths, prefix_of_paths, exclude]
    };
}

const ONE_TYPE: CelRule<VolumeSource> = CelRule {
    cel: "[has(self.csi), has(self.image), has(self.persistentVolumeClaim), has(self.projected)].filter(kind, kind)\
          .size() == 1",
    message: "volume must have exactly one of csi, image, persistentVolumeClaim and projected: set one of them; boot \
              mounts no other types",
    is_met: |part| {
        let VolumeSource { csi, image, persistent_volume_claim, projected, .. } = part;
        exactly_one([csi.is_some(), image.is_some(), persistent_volume_claim.is_some(), projected.is_some()])
    },
};

impl Validated for ClaimVolume {
    const RULES: &'static [CelRule<Self>] = &[CelRule {
        cel: "self.claimName.contains('{') || self.claimName.matches('^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$')",
        message: "claimName must be the name of a PersistentVolumeClaim: lower case letters, digits, - and .",
        is_met: |part| is_template(&part.claim_name) || is_claim_name(&part.claim_name),
    }];
}

impl Validated for Projection {
    const RULES: &'static [CelRule<Self>] = &[CelRule {
        cel: "[has(self.configMap), has(self.secret), has(self.downwardAPI), has(self.serviceAccountToken)]\
              .filter(kind, kind).size() == 1",
        message: "a part of a projected volume must have exactly one of configMap, secret, downwardAPI and \
                  serviceAccountToken: set one of them",
        is_met: |part| {
            let Projection { config_map, secret, downward_api, service_account_token } = part;
            exactly_one([
                config_map.is_some(),
                secret.is_some(),
                downward_api.is_some(),
                service_account_token.is_some(),
            ])
        },
    }];
}

/// The field [`ClaimVolume::claim_name`] of a source, as in messages.
pub const CLAIM_NAME: &str = "volume.persistentVolumeClaim.claimName";
/// The format of the name of a claim, for messages.
pub const A_CLAIM: &str = "the name of a PersistentVolumeClaim: lower case letters, digits, `-` and `.`";

/// Whether `name` can be the name of a claim: the equivalent of `^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$`, with the
/// maximum length of the API server.
#[must_use]
pub fn is_claim_name(name: &str) -> bool {
    let is_alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= 253
        && name.bytes().all(|byte| is_alphanumeric(byte) || matches!(byte, b'-' | b'.'))
        && name.bytes().next().is_some_and(is_alphanumeric)
        && name.bytes().next_back().is_some_and(is_alphanumeric)
}
