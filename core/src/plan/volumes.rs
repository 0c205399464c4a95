//! The volumes of sources that are volumes of Kubernetes.

use k8s_openapi::api::core::v1 as core;

use super::boot_spec::{VolumeKind, VolumeSpec};
use crate::pod::Image;
use crate::profile::templates::{FieldError, InvalidField};
use crate::profile::volume::{
    A_CLAIM, CLAIM_NAME, ProjectedField, ProjectedKey, ProjectedObject, Projection, VolumeContent,
    VolumeSource, is_claim_name,
};

/// The configuration of boot for `source`, whose volume is mounted at `path`.
pub(super) fn spec(source: &VolumeSource, path: String) -> VolumeSpec {
    let (kind, name) = match source.content() {
        Some(VolumeContent::Csi(csi)) => (VolumeKind::Csi, &*csi.driver),
        Some(VolumeContent::Image(image)) => (VolumeKind::Image, &*image.reference),
        Some(VolumeContent::Claim(claim)) => (VolumeKind::PersistentVolumeClaim, &*claim.claim_name),
        // A volume without a type is refused when the profile is read.
        Some(VolumeContent::Projected(_)) | None => (VolumeKind::Projected, ""),
    };
    VolumeSpec {
        kind,
        name: name.to_owned(),
        path,
        folder: source.path.clone(),
        into: source.into,
        items: source.items.clone(),
        exclude: source.exclude.clone(),
        prefix: source.prefix.clone(),
        optional: source.optional,
    }
}

/// Checks values that the API server would refuse, once the templates of `source` are rendered for a pod.
pub(super) fn check_rendered(source: &VolumeSource) -> Result<(), InvalidField> {
    let invalid =
        |field, value: &str, expected| Err((field, FieldError::Format { value: value.to_owned(), expected }));
    match source.content() {
        Some(VolumeContent::Claim(claim)) if !is_claim_name(&claim.claim_name) => {
            invalid(CLAIM_NAME, &claim.claim_name, A_CLAIM)
        }
        Some(VolumeContent::Image(image)) if Image::parse(&image.reference).is_err() => {
            invalid("volume.image.reference", &image.reference, "a valid image reference")
        }
        _ => Ok(()),
    }
}

/// Sets the type of `volume`. It is read-only for the driver too, not only for the container: the Secrets
/// Store CSI driver refuses other volumes.
pub(super) fn set(volume: &mut core::Volume, source: &VolumeSource) {
    let read_only = Some(true);
    match source.content() {
        Some(VolumeContent::Csi(csi)) => {
            let secret = csi.node_publish_secret_ref.as_ref();
            volume.csi = Some(core::CSIVolumeSource {
                driver: csi.driver.clone(),
                node_publish_secret_ref: secret
                    .map(|secret| core::LocalObjectReference { name: secret.name.clone() }),
                read_only,
                volume_attributes: Some(csi.volume_attributes.clone()).filter(|all| !all.is_empty()),
                ..core::CSIVolumeSource::default()
            });
        }
        Some(VolumeContent::Image(image)) => {
            volume.image = Some(core::ImageVolumeSource {
                reference: Some(image.reference.clone()),
                pull_policy: image.pull_policy.map(|policy| policy.as_str().to_owned()),
            });
        }
        Some(VolumeContent::Claim(claim)) => {
            let claim_name = claim.claim_name.clone();
            volume.persistent_volume_claim =
                Some(core::PersistentVolumeClaimVolumeSource { claim_name, read_only });
        }
        Some(VolumeContent::Projected(projected)) => {
            let sources = projected.sources.iter().map(projection).collect();
            volume.projected =
                Some(core::ProjectedVolumeSource { sources: Some(sources), ..Default::default() });
        }
        None => {}
    }
}

fn projection(part: &Projection) -> core::VolumeProjection {
    let Projection { config_map, secret, downward_api, service_account_token } = part;
    core::VolumeProjection {
        config_map: config_map.as_ref().map(|object| core::ConfigMapProjection {
            name: object.name.clone(),
            items: keys(object),
            optional: optional(object),
        }),
        secret: secret.as_ref().map(|object| core::SecretProjection {
            name: object.name.clone(),
            items: keys(object),
            optional: optional(object),
        }),
        downward_api: downward_api.as_ref().map(|fields| {
            let file = |field: &ProjectedField| core::DownwardAPIVolumeFile {
                path: field.path.clone(),
                field_ref: Some(core::ObjectFieldSelector {
                    field_path: field.field_ref.field_path.clone(),
                    ..core::ObjectFieldSelector::default()
                }),
                ..core::DownwardAPIVolumeFile::default()
            };
            core::DownwardAPIProjection { items: Some(fields.items.iter().map(file).collect()) }
        }),
        service_account_token: service_account_token.as_ref().map(|token| {
            core::ServiceAccountTokenProjection {
                audience: Some(token.audience.clone()),
                expiration_seconds: Some(token.expiration_seconds),
                path: token.path.clone(),
                ..core::ServiceAccountTokenProjection::default()
            }
        }),
        ..core::VolumeProjection::default()
    }
}

/// As in the profile: if an object is missing, the kubelet waits for it, because boot cannot see which parts
/// a volume should have.
fn optional(object: &ProjectedObject) -> Option<bool> {
    object.optional.then_some(true)
}

fn keys(object: &ProjectedObject) -> Option<Vec<core::KeyToPath>> {
    let key = |item: &ProjectedKey| core::KeyToPath {
        key: item.key.clone(),
        path: item.path.clone(),
        ..core::KeyToPath::default()
    };
    (!object.items.is_empty()).then(|| object.items.iter().map(key).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn volume(source: &Value) -> Value {
        let source = serde_json::from_value(source.clone()).unwrap();
        let mut volume = core::Volume { name: "v".to_owned(), ..core::Volume::default() };
        set(&mut volume, &source);
        let mut volume = serde_json::to_value(volume).unwrap();
        volume.as_object_mut().unwrap().remove("name");
        volume
    }

    #[test]
    fn each_type_becomes_that_of_the_pod_and_is_read_only() {
        for (source, expected) in [
            (
                json!({"csi": {
                    "driver": "secrets-store.csi.k8s.io", "volumeAttributes": {"secretProviderClass": "a"},
                    "nodePublishSecretRef": {"name": "b"},
                }}),
                json!({"csi": {
                    "driver": "secrets-store.csi.k8s.io", "volumeAttributes": {"secretProviderClass": "a"},
                    "nodePublishSecretRef": {"name": "b"}, "readOnly": true,
                }}),
            ),
            (json!({"csi": {"driver": "a.b"}}), json!({"csi": {"driver": "a.b", "readOnly": true}})),
            (
                json!({"image": {"reference": "r.example.com/a:1", "pullPolicy": "Always"}}),
                json!({"image": {"reference": "r.example.com/a:1", "pullPolicy": "Always"}}),
            ),
            (json!({"image": {"reference": "a:1"}}), json!({"image": {"reference": "a:1"}})),
            (
                json!({"persistentVolumeClaim": {"claimName": "data"}}),
                json!({"persistentVolumeClaim": {"claimName": "data", "readOnly": true}}),
            ),
        ] {
            assert_eq!(volume(&source), expected, "{source}");
        }
    }

    #[test]
    fn the_parts_of_a_projected_volume_are_those_of_the_profile() {
        let projected = json!({"projected": {"sources": [
            {"secret": {"name": "a", "items": [{"key": "k", "path": "sub/k"}], "optional": true}},
            {"configMap": {"name": "b"}},
            {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
            {"serviceAccountToken": {"audience": "vault", "expirationSeconds": 600, "path": "token"}},
        ]}});
        assert_eq!(volume(&projected), projected);
    }
}
