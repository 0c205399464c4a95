//! The parts of a volume that Bootlace needs.

use super::WrongType;
use super::field::Object;

/// The parts of a volume that Bootlace needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Volume<'a> {
    /// `name`.
    pub name: &'a str,
    /// Whether data that a container writes is kept.
    pub keeps: Keeps,
}

/// Whether a volume keeps the data that a container writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// The volume is read-only: the kubelet mounts it read-only whatever the mount specifies.
    Nothing,
    /// The data is deleted with the pod.
    ForThePod,
    /// The data can outlive the pod.
    Lasting,
}

/// Volume types that the kubelet always mounts read-only.
const READ_ONLY: [&str; 5] = ["configMap", "secret", "downwardAPI", "projected", "image"];

impl<'a> Volume<'a> {
    pub(super) fn read(volume: &Object<'a>) -> Result<Self, WrongType> {
        let says_read_only = |source: Object<'_>| source.is_true("readOnly");
        let keeps =
            if READ_ONLY.iter().any(|source| volume.has(source)) || volume.objects().any(says_read_only) {
                Keeps::Nothing
            } else if volume.has("emptyDir") || volume.has("ephemeral") {
                Keeps::ForThePod
            } else {
                Keeps::Lasting
            };
        Ok(Self { name: volume.str("name")?.unwrap_or_default(), keeps })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pod::{Json, Pod};

    #[test]
    fn what_can_be_written_to_is_known_by_the_volumes_source() {
        for (source, keeps) in [
            (json!({"configMap": {"name": "a"}}), Keeps::Nothing),
            (json!({"projected": {"sources": []}}), Keeps::Nothing),
            (json!({"image": {"reference": "a"}}), Keeps::Nothing),
            (json!({"persistentVolumeClaim": {"claimName": "a", "readOnly": true}}), Keeps::Nothing),
            (json!({"csi": {"driver": "a", "readOnly": true}}), Keeps::Nothing),
            (json!({"csi": {"driver": "a", "readOnly": false}}), Keeps::Lasting),
            (json!({"persistentVolumeClaim": {"claimName": "a"}}), Keeps::Lasting),
            (json!({"hostPath": {"path": "/a"}}), Keeps::Lasting),
            (json!({"emptyDir": {}}), Keeps::ForThePod),
            (json!({"ephemeral": {"volumeClaimTemplate": {}}}), Keeps::ForThePod),
            (json!({"source-of-the-future": {}}), Keeps::Lasting),
        ] {
            let mut volume = source.clone();
            volume["name"] = json!("data");
            let pod = json!({"spec": {"volumes": [volume]}});
            let pod = Json::from(&pod);
            assert_eq!(
                Pod::read(&pod).unwrap().volumes.unwrap(),
                [Volume { name: "data", keeps }],
                "{source}"
            );
        }
    }
}
