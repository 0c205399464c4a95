//! Writes an image as a tar file with an OCI image layout, for `ctr images import` and `skopeo`.
//!
//! The format is that of the OCI Image Format Specification 1.1, `image-layout.md`, `manifest.md` and
//! `config.md`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::EntryType;

use crate::layer::{Layer, header};

/// The creation time of all images. The real one would change the digest.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// The configuration of an image. Empty fields mean the default of the container runtime.
#[derive(Default)]
pub struct Config {
    /// `NAME=value` records.
    pub env: Vec<String>,
    /// The program and its first arguments.
    pub entrypoint: Vec<String>,
    /// The arguments, which `args` of a pod replaces.
    pub cmd: Vec<String>,
    /// `uid:gid` as numbers, because `runAsNonRoot` cannot check names.
    pub user: String,
    /// Labels, such as `org.opencontainers.image.version`.
    pub labels: BTreeMap<String, String>,
}

/// Writes the image `reference` to the file `output`, and returns the digest of its manifest (`sha256:…`).
///
/// # Errors
/// If `output` cannot be written.
pub fn write(output: &Path, reference: &str, layer: &Layer, config: &Config) -> Result<String> {
    let mut plain = Vec::new();
    layer.write(&mut plain)?;
    let packed = gzip(&plain)?;
    let config = serde_json::to_vec(&json!({
        "created": CREATED,
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "User": config.user,
            "Env": config.env,
            "Entrypoint": config.entrypoint,
            "Cmd": config.cmd,
            "Labels": config.labels,
        },
        "rootfs": { "type": "layers", "diff_ids": [digest(&plain)] },
        "history": [{ "created": CREATED, "created_by": "bootlace-image" }],
    }))?;
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", &packed)],
    }))?;
    let mut described = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
    if let Some(described) = described.as_object_mut() {
        // containerd reads the full name of the image from the first annotation, other tools the tag from the
        // second.
        let tag = reference.rsplit_once(':').map_or("latest", |(_, tag)| tag);
        described.insert(
            "annotations".to_owned(),
            json!({ "io.containerd.image.name": reference, "org.opencontainers.image.ref.name": tag }),
        );
    }
    let index = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [described],
    }))?;

    let file = std::fs::File::create(output).with_context(|| format!("create {}", output.display()))?;
    let mut tar = tar::Builder::new(std::io::BufWriter::new(file));
    let layout = br#"{"imageLayoutVersion":"1.0.0"}"#;
    add(&mut tar, "oci-layout", layout)?;
    add(&mut tar, "index.json", &index)?;
    for blob in [&manifest, &config, &packed] {
        add(&mut tar, &format!("blobs/sha256/{}", sha256(blob)), blob)?;
    }
    tar.into_inner()
        .and_then(|mut out| out.flush())
        .with_context(|| format!("write {}", output.display()))?;
    Ok(digest(&manifest))
}

fn add(tar: &mut tar::Builder<impl Write>, path: &str, content: &[u8]) -> Result<()> {
    let mut header = header(EntryType::Regular, 0o644, content.len());
    tar.append_data(&mut header, path, content).with_context(|| format!("add {path} to the archive"))
}

fn gzip(plain: &[u8]) -> Result<Vec<u8>> {
    let mut out = GzBuilder::new().mtime(0).write(Vec::new(), Compression::default());
    out.write_all(plain).and_then(|()| out.finish()).context("compress the layer")
}

fn descriptor(media_type: &str, blob: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest(blob), "size": blob.len() })
}

fn digest(blob: &[u8]) -> String {
    format!("sha256:{}", sha256(blob))
}

fn sha256(blob: &[u8]) -> String {
    hex::encode(Sha256::digest(blob))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn build(name: &str) -> (Vec<u8>, String) {
        let path = std::env::temp_dir().join(format!("bootlace-image-test-{name}-{}", std::process::id()));
        let layer = Layer::new().file("/bin/tool", 0o755, vec![7; 5000]).symlink("/bin/alias", "tool");
        let config = Config { entrypoint: vec!["/bin/tool".to_owned()], ..Config::default() };
        let digest = write(&path, "localhost/tool:test", &layer, &config).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        (bytes, digest)
    }

    #[test]
    fn the_same_files_give_the_same_bytes() {
        assert_eq!(build("first"), build("second"));
    }

    #[test]
    fn every_blob_is_named_by_its_digest_and_the_index_names_the_manifest() {
        let (bytes, manifest) = build("blobs");
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut blobs = Vec::new();
        let mut index = Value::Null;
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            if let Some(name) = path.strip_prefix("blobs/sha256/") {
                assert_eq!(name, sha256(&content));
                blobs.push(digest(&content));
            } else if path == "index.json" {
                index = serde_json::from_slice(&content).unwrap();
            }
        }
        assert_eq!(blobs.len(), 3);
        assert_eq!(index["manifests"][0]["digest"], json!(manifest));
        assert!(blobs.contains(&manifest));
    }
}
