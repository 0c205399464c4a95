//! Pushes images from the archives that tools write to disk.
//! <https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md>

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{Blob, Registry};

impl Registry {
    /// Pushes the image of an OCI archive, with its configuration changed by `change`.
    ///
    /// # Errors
    /// If the archive contains no image, or the registry refuses it.
    pub async fn image(
        &self,
        repository: &str,
        tag: &str,
        archive: &Path,
        change: impl FnOnce(&mut Value),
    ) -> Result<Blob> {
        let blobs = read(archive).with_context(|| format!("read {}", archive.display()))?;
        let text = |value: Option<&Value>| {
            value.and_then(Value::as_str).map(str::to_owned).context("the archive has another shape")
        };
        let blob = |digest: &str| {
            let path = format!("blobs/{}", digest.replace(':', "/"));
            blobs.get(&path).with_context(|| format!("the archive has no {path}"))
        };
        let index: Value = serde_json::from_slice(blobs.get("index.json").context("it has no index.json")?)?;
        let mut manifest: Value =
            serde_json::from_slice(blob(&text(index.pointer("/manifests/0/digest"))?)?)?;
        for layer in manifest.get("layers").and_then(Value::as_array).into_iter().flatten() {
            let content = blob(&text(layer.get("digest"))?)?.clone();
            self.blob(repository, &text(layer.get("mediaType"))?, content).await?;
        }
        let mut config: Value = serde_json::from_slice(blob(&text(manifest.pointer("/config/digest"))?)?)?;
        change(&mut config);
        let media_type = text(manifest.pointer("/config/mediaType"))?;
        let config = self.blob(repository, &media_type, config.to_string()).await?;
        if let Some(described) = manifest.get_mut("config") {
            *described = config.descriptor().clone();
        }
        if let Some(manifest) = manifest.as_object_mut() {
            manifest.insert("mediaType".to_owned(), "application/vnd.oci.image.manifest.v1+json".into());
        }
        self.manifest(repository, tag, &manifest).await
    }
}

/// The files of an archive by path.
fn read(archive: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(File::open(archive)?).entries()? {
        let mut entry = entry?;
        let (path, mut content) = (entry.path()?.display().to_string(), Vec::new());
        entry.read_to_end(&mut content)?;
        files.insert(path, content);
    }
    Ok(files)
}
