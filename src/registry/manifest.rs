//! Manifests of images and artifacts. Docker schema 2 and OCI have the same structure.
//! <https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md>

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Digest, Platform};

/// The accepted media types: images and indexes of OCI and of Docker.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// Maximum size of a manifest: registries need not store larger ones (distribution-spec, "Pushing
/// Manifests").
pub(crate) const MAX_BYTES: u64 = 4 << 20;

/// The configuration media types of images that a runtime can start.
const IMAGE_CONFIGS: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];

/// The annotation with the file name of a blob.
const TITLE: &str = "org.opencontainers.image.title";
/// The annotation of a folder that ORAS packed: a tar, compressed or not.
const UNPACK: &str = "io.deis.oras.content.unpack";

/// A parsed manifest.
#[derive(Debug)]
pub(crate) enum Manifest {
    /// An image or artifact.
    Image(Image),
    /// An index, from which a platform selects an image.
    Index(Vec<Descriptor>),
}

/// An image or artifact.
#[derive(Debug)]
pub(crate) struct Image {
    /// The configuration.
    pub(crate) config: Descriptor,
    /// The layers, starting with the lowest; the blobs of an artifact.
    pub(crate) layers: Vec<Descriptor>,
}

/// A reference to a blob.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    /// The media type.
    pub(crate) media_type: String,
    /// The digest.
    pub(crate) digest: Digest,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// The annotations.
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
    /// The platform, in an index.
    #[serde(default)]
    pub(crate) platform: Option<Platform>,
}

/// Why a manifest is invalid. The error does not quote it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ManifestError {
    /// Not JSON, or of another structure.
    #[error(
        "failed to parse the manifest (line {line} column {column}): push the image again, in the OCI format or Docker \
         schema 2, with sha256 digests"
    )]
    Shape {
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// Docker schema 1.
    #[error("unsupported manifest (Docker schema 1): push the image again with a current client")]
    Schema1,
    /// It could be parsed as either, which can bypass a check (CVE-2021-41190).
    #[error("ambiguous manifest (neither an image nor an index, or both): push the image again")]
    Ambiguous,
}

impl Manifest {
    /// Parses a manifest.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Raw {
            schema_version: u64,
            config: Option<Descriptor>,
            layers: Option<Vec<Descriptor>>,
            manifests: Option<Vec<Descriptor>>,
        }
        let raw: Raw = serde_json::from_slice(bytes)
            .map_err(|error| ManifestError::Shape { line: error.line(), column: error.column() })?;
        match raw {
            Raw { schema_version: 1, .. } => Err(ManifestError::Schema1),
            Raw { config: Some(config), layers: Some(layers), manifests: None, .. } => {
                Ok(Self::Image(Image { config, layers }))
            }
            Raw { config: None, layers: None, manifests: Some(manifests), .. } => Ok(Self::Index(manifests)),
            _ => Err(ManifestError::Ambiguous),
        }
    }
}

impl Image {
    /// Whether a runtime could start it.
    pub(crate) fn is_image(&self) -> bool {
        IMAGE_CONFIGS.contains(&self.config.media_type.as_str())
    }
}

impl Descriptor {
    /// The file name, if the blob is a file.
    pub(crate) fn title(&self) -> Option<&str> {
        self.annotation(TITLE)
    }

    /// Whether the blob is a folder that ORAS packed.
    pub(crate) fn is_packed_folder(&self) -> bool {
        self.annotation(UNPACK) == Some("true")
    }

    /// Whether the media type of the blob is a tar: `…tar`, `…tar+gzip`, `…tar+zstd`, Docker's `…tar.gzip`.
    pub(crate) fn is_tar(&self) -> bool {
        ["tar", "tar+gzip", "tar+zstd", "tar.gzip", "tar.zstd"].iter().any(|end| {
            self.media_type.strip_suffix(end).is_some_and(|start| start.ends_with(['.', '/', '+']))
        })
    }

    fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn blob(media_type: &str) -> Value {
        json!({"mediaType": media_type, "digest": format!("sha256:{}", "a".repeat(64)), "size": 1, "annotations": null})
    }

    fn read(manifest: &Value) -> Result<Manifest, ManifestError> {
        Manifest::read(manifest.to_string().as_bytes())
    }

    #[test]
    fn images_and_indexes_are_distinguished_by_structure() {
        let config = blob("application/vnd.docker.container.image.v1+json");
        let image = json!({"schemaVersion": 2, "config": config, "layers": [blob("a.tar+gzip")]});
        assert!(
            matches!(read(&image).unwrap(), Manifest::Image(image) if image.is_image() && image.layers.len() == 1)
        );
        let index = json!({"schemaVersion": 2, "manifests": [blob("m"), blob("m")]});
        assert!(matches!(read(&index).unwrap(), Manifest::Index(all) if all.len() == 2));

        let both = json!({"schemaVersion": 2, "config": config, "layers": [], "manifests": []});
        assert_eq!(read(&both).unwrap_err(), ManifestError::Ambiguous);
        assert_eq!(read(&json!({"schemaVersion": 2})).unwrap_err(), ManifestError::Ambiguous);
        let first = json!({"schemaVersion": 1, "fsLayers": [], "history": []});
        assert_eq!(read(&first).unwrap_err(), ManifestError::Schema1);
        let sha512 =
            json!({"schemaVersion": 2, "manifests": [{"mediaType": "m", "digest": "sha512:00", "size": 1}]});
        assert!(matches!(read(&sha512).unwrap_err(), ManifestError::Shape { .. }));
    }

    #[test]
    fn layers_are_recognized_by_media_type() {
        for (media_type, tar) in [
            ("application/vnd.oci.image.layer.v1.tar", true),
            ("application/vnd.oci.image.layer.v1.tar+gzip", true),
            ("application/vnd.oci.image.layer.v1.tar+zstd", true),
            ("application/vnd.docker.image.rootfs.diff.tar.gzip", true),
            ("application/vnd.cncf.helm.chart.content.v1.tar+gzip", true),
            ("application/tar", true),
            ("application/x-guitar", false),
            ("application/vnd.wasm.content.layer.v1+wasm", false),
        ] {
            let blob: Descriptor = serde_json::from_value(blob(media_type)).unwrap();
            assert_eq!(blob.is_tar(), tar, "{media_type}");
        }
    }
}
