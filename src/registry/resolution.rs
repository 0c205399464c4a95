//! Resolves a reference to an image for a platform: reads the manifest of the reference and, if it is an
//! index, the manifest that the index names for the platform.

use super::index::PlatformNotFound;
use super::manifest::ManifestError;
use super::{Digest, Image, Manifest, Platform};

/// Maximum number of nested indexes. One is usual.
const MAX_INDEXES: usize = 3;

/// The steps from a reference to an image. The caller fetches the manifest for each step, with its own limits
/// and retries.
pub(crate) struct Resolution<'p> {
    platform: &'p Platform,
    digest: Option<Digest>,
    indexes: usize,
}

/// Why a reference cannot be resolved. The message does not quote a manifest.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolutionError {
    /// A manifest is invalid.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// An index has no image for the platform.
    #[error("{0}")]
    Platform(PlatformNotFound),
    /// There are too many nested indexes.
    #[error("more than {MAX_INDEXES} nested indexes: push it again with a single index")]
    TooManyIndexes,
}

impl<'p> Resolution<'p> {
    /// Starts at the manifest of the reference.
    pub(crate) fn new(platform: &'p Platform) -> Self {
        Self { platform, digest: None, indexes: 0 }
    }

    /// The digest of the manifest for the next step; `None` for the manifest of the reference. After the last
    /// step, the digest of the image if an index names it.
    pub(crate) fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Reads the manifest of a step. Returns the image, or `None` if there is another step.
    pub(crate) fn read(&mut self, manifest: &[u8]) -> Result<Option<Image>, ResolutionError> {
        let index = match Manifest::read(manifest)? {
            Manifest::Image(image) => return Ok(Some(image)),
            Manifest::Index(index) => index,
        };
        self.indexes += 1;
        if self.indexes > MAX_INDEXES {
            return Err(ResolutionError::TooManyIndexes);
        }
        let chosen = self.platform.choose(&index).map_err(ResolutionError::Platform)?;
        self.digest = Some(chosen.digest.clone());
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn digest(digit: char) -> String {
        format!("sha256:{}", digit.to_string().repeat(64))
    }

    fn index(images: &[(char, &str)]) -> Vec<u8> {
        let images: Vec<_> = images
            .iter()
            .map(|(digit, architecture)| {
                let platform = json!({"os": "linux", "architecture": architecture});
                json!({"mediaType": "m", "digest": digest(*digit), "size": 1, "platform": platform})
            })
            .collect();
        json!({"schemaVersion": 2, "manifests": images}).to_string().into()
    }

    fn image() -> Vec<u8> {
        let config = json!({"mediaType": "m", "digest": digest('c'), "size": 7});
        json!({"schemaVersion": 2, "config": config, "layers": Value::Array(Vec::new())}).to_string().into()
    }

    #[test]
    fn a_reference_to_an_image_has_one_step() {
        let platform = Platform::linux("arm64");
        let mut resolution = Resolution::new(&platform);
        assert_eq!(resolution.digest(), None);
        assert_eq!(resolution.read(&image()).unwrap().unwrap().config.size, 7);
        assert_eq!(resolution.digest(), None);
    }

    #[test]
    fn each_index_leads_to_the_manifest_for_the_platform() {
        let platform = Platform::linux("arm64");
        let mut resolution = Resolution::new(&platform);
        for (next, other) in [('a', 'f'), ('b', 'f'), ('d', 'f')] {
            let index = index(&[(other, "amd64"), (next, "arm64")]);
            assert!(resolution.read(&index).unwrap().is_none());
            assert_eq!(resolution.digest().unwrap().to_string(), digest(next));
        }
        assert!(resolution.read(&image()).unwrap().is_some());
        assert_eq!(resolution.digest().unwrap().to_string(), digest('d'));
    }

    #[test]
    fn indexes_that_do_not_lead_to_an_image_are_refused() {
        let platform = Platform::linux("arm64");
        let mut resolution = Resolution::new(&platform);
        for _ in 0..MAX_INDEXES {
            resolution.read(&index(&[('a', "arm64")])).unwrap();
        }
        let error = resolution.read(&index(&[('a', "arm64")])).unwrap_err();
        assert!(matches!(error, ResolutionError::TooManyIndexes), "{error}");
        let error = Resolution::new(&platform).read(&index(&[('a', "amd64")])).unwrap_err();
        assert!(matches!(error, ResolutionError::Platform(_)), "{error}");
        let error = Resolution::new(&platform).read(b"hunter2").unwrap_err();
        assert!(matches!(error, ResolutionError::Manifest(_)), "{error}");
        assert!(!error.to_string().contains("hunter2"));
    }
}
