//! Profiles from files, for work without a cluster: `inject`, `explain`, and a webhook on one's own machine.

use std::path::{Path, PathBuf};

use super::{BootProfile, Profile, Profiles, rules};

/// Why profiles cannot be read from files.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file or folder cannot be read.
    #[error("{path}: cannot be read ({source}): check that it exists and may be read", path = path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A document is no `BootProfile`.
    #[error("{path}: document {document} is no BootProfile: {message}", path = path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Which of its documents, counted from 1.
        document: usize,
        /// What is wrong, with the line.
        message: String,
    },
    /// Two documents have one name.
    #[error("{path}: BootProfile {name:?} is there twice: rename one of the two", path = path.display())]
    Twice {
        /// The file of the second one.
        path: PathBuf,
        /// The name.
        name: String,
    },
}

/// Reads all profiles of a file, or of a folder's `.yaml`, `.yml` and `.json` files. Documents of other kinds
/// are passed over, so that a folder of manifests serves as it is.
///
/// # Errors
/// Where a file cannot be read, or a document calls itself a `BootProfile` and is none.
pub fn read(path: &Path) -> Result<Profiles, FolderError> {
    let mut profiles: Vec<Profile> = Vec::new();
    for file in files(path)? {
        let text = std::fs::read_to_string(&file).map_err(unreadable(&file))?;
        for profile in parse(&file, &text)? {
            if profiles.iter().any(|known| known.name == profile.name) {
                return Err(FolderError::Twice { path: file, name: profile.name });
            }
            profiles.push(profile);
        }
    }
    Ok(profiles.into_iter().collect())
}

fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> FolderError {
    let path = path.to_owned();
    move |source| FolderError::Unreadable { path, source }
}

fn files(path: &Path) -> Result<Vec<PathBuf>, FolderError> {
    if !std::fs::metadata(path).map_err(unreadable(path))?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = std::fs::read_dir(path)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>())
        .map_err(unreadable(path))?;
    let is_manifest = |file: &PathBuf| {
        file.extension()
            .is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known))
    };
    files.retain(is_manifest);
    files.sort();
    Ok(files)
}

#[derive(serde::Deserialize)]
struct Kind {
    #[serde(default)]
    kind: String,
}

fn parse(file: &Path, text: &str) -> Result<Vec<Profile>, FolderError> {
    let invalid = |document: usize, error: &dyn std::fmt::Display| FolderError::Invalid {
        path: file.to_owned(),
        document,
        message: error.to_string(),
    };
    let kinds: Vec<Option<Kind>> = serde_saphyr::from_multiple(text).map_err(|error| invalid(1, &error))?;
    if kinds.iter().flatten().all(|document| document.kind != "BootProfile") {
        return Ok(Vec::new());
    }
    let documents: Vec<serde_json::Value> =
        serde_saphyr::from_multiple(text).map_err(|error| invalid(1, &error))?;
    documents
        .into_iter()
        .enumerate()
        .filter(|(_, value)| value.get("kind").and_then(serde_json::Value::as_str) == Some("BootProfile"))
        .map(|(position, mut value)| {
            default_spec(&mut value);
            let profile: BootProfile =
                serde_json::from_value(value).map_err(|error| invalid(position + 1, &error))?;
            rules::check(&profile.spec).map_err(|error| invalid(position + 1, &error))?;
            Profile::try_from(profile).map_err(|error| invalid(position + 1, &error))
        })
        .collect()
}

/// Gives a profile without a spec an empty one, as the CRD's default does: all of a spec's fields have defaults.
fn default_spec(profile: &mut serde_json::Value) {
    let Some(profile) = profile.as_object_mut() else { return };
    let spec = profile.entry("spec").or_insert(serde_json::Value::Null);
    if spec.is_null() {
        *spec = serde_json::json!({});
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::BootProfileSpec;

    fn parsed(text: &str) -> Result<Vec<Profile>, String> {
        parse(Path::new("profiles.yaml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn several_documents_of_several_kinds() {
        let text = "\
kind: ConfigMap
---
apiVersion: bootlace.dev/v1alpha1
kind: BootProfile
metadata: {name: etl}
spec: {sources: [{name: a, inline: {env: {A: b}}}]}
---
";
        let profiles = parsed(text).unwrap();
        assert_eq!(profiles.len(), 1);
        assert_eq!(profiles[0].name, "etl");
        assert_eq!(profiles[0].spec.boot.timeout_seconds, 120);
    }

    #[test]
    fn a_profile_without_a_spec_has_all_defaults() {
        for spec in ["", "spec:", "spec: null", "spec: {}"] {
            let text = format!(
                "apiVersion: bootlace.dev/v1alpha1\nkind: BootProfile\nmetadata: {{name: a}}\n{spec}\n"
            );
            let profiles = parsed(&text).unwrap();
            assert_eq!(profiles[0].spec, BootProfileSpec::default(), "{spec:?}");
        }
    }

    #[test]
    fn a_template_that_cannot_be_read_is_an_error_here() {
        let text = "apiVersion: bootlace.dev/v1alpha1\nkind: BootProfile\nmetadata: {name: a}\nspec: {sources: \
                    [{name: s, inline: {env: {A: '{{ run | shout }}'}}}]}\n";
        let message = parsed(text).unwrap_err();
        assert!(
            message.contains("source \"s\", inline.env[\"A\"]: line 1: there is no filter \"shout\""),
            "{message}"
        );
    }

    #[test]
    fn what_the_api_server_would_refuse_is_an_error_here() {
        let text = "apiVersion: bootlace.dev/v1alpha1\nkind: BootProfile\nmetadata: {name: a}\nspec: {sources: \
                    [{name: s, inline: {}, secret: {name: b}}]}\n";
        let message = parsed(text).unwrap_err();
        assert!(message.contains("spec.sources[0]: a source has exactly one kind"), "{message}");
    }

    #[test]
    fn an_error_names_file_and_field() {
        let text =
            "apiVersion: bootlace.dev/v1alpha1\nkind: BootProfile\nmetadata: {name: a}\nspec: {bot: {}}\n";
        let message = parsed(text).unwrap_err();
        assert!(message.contains("profiles.yaml: document 1") && message.contains("`bot`"), "{message}");
    }
}
