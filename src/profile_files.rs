//! Profiles from files, for use without a cluster: `inject`, `explain`, and `webhook --profiles`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bootlace_core::code::{Code, Coded};
use bootlace_core::profile::{BootProfile, Profile, Profiles};

/// A profile file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file or directory cannot be read.
    #[error("failed to read {path:?}: {source}")]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A document is invalid, or is a `BootProfile` without a name.
    #[error("document {document} of {path:?} is invalid: {message}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The number of the document. The first has the number 1.
        document: usize,
        /// The problem, with the line.
        message: String,
    },
    /// Two documents have the same name.
    #[error("BootProfile {name:?} in {path:?} already exists in another document: rename one of them")]
    Duplicate {
        /// The file of the second one.
        path: PathBuf,
        /// The name.
        name: String,
    },
}

/// Reads all profiles in a file, or in the `.yaml`, `.yml` and `.json` files of a directory. Documents of
/// other kinds are ignored, so that a directory of manifests can be used. An invalid profile is not active,
/// as on a cluster.
///
/// # Errors
/// A file cannot be read, or a `BootProfile` in it has no name.
pub fn read(path: &Path) -> Result<Profiles, FolderError> {
    let mut profiles = BTreeMap::new();
    for file in files(path)? {
        let text = std::fs::read_to_string(&file).map_err(read_error(&file))?;
        for (name, profile) in parse(&file, &text)? {
            if profiles.insert(name.clone(), profile).is_some() {
                return Err(FolderError::Duplicate { path: file, name });
            }
        }
    }
    let problem = |(name, profile): (&String, &Result<Profile, String>)| {
        Some((name.clone(), profile.as_ref().err()?.clone()))
    };
    let problems = profiles.iter().filter_map(problem).collect();
    let good: Profiles = profiles.into_values().filter_map(Result::ok).collect();
    Ok(good.with_not_in_force(problems))
}

fn read_error(path: &Path) -> impl FnOnce(std::io::Error) -> FolderError {
    let path = path.to_owned();
    move |source| FolderError::Unreadable { path, source }
}

fn files(path: &Path) -> Result<Vec<PathBuf>, FolderError> {
    if !std::fs::metadata(path).map_err(read_error(path))?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = std::fs::read_dir(path)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>())
        .map_err(read_error(path))?;
    let is_manifest = |file: &PathBuf| {
        file.extension()
            .is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known))
    };
    files.retain(is_manifest);
    files.sort();
    Ok(files)
}

impl Coded for FolderError {
    fn code(&self) -> Code {
        match self {
            Self::Unreadable { .. } => Code::FileUnreadable,
            Self::Invalid { .. } | Self::Duplicate { .. } => Code::ProfileFileInvalid,
        }
    }
}

#[derive(serde::Deserialize)]
struct Kind {
    #[serde(default)]
    kind: String,
}

/// The name of a profile, and the profile or its problem.
type Named = (String, Result<Profile, String>);

fn parse(file: &Path, text: &str) -> Result<Vec<Named>, FolderError> {
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
            let document = position + 1;
            let name = value.pointer("/metadata/name").and_then(serde_json::Value::as_str);
            let name = name
                .filter(|name| !name.is_empty())
                .ok_or_else(|| invalid(document, &"metadata.name is missing"))?;
            let name = name.to_owned();
            let profile = serde_json::from_value::<BootProfile>(value).map_err(|error| error.to_string());
            let profile =
                profile.and_then(|profile| Profile::try_from(profile).map_err(|error| error.to_string()));
            let file = file.display().to_string();
            let problem = |error| format!("document {document} of {file:?}: {error}");
            Ok((name, profile.map_err(problem)))
        })
        .collect()
}

/// Adds an empty spec to a profile without one, like the default of the CRD. All fields of a spec have
/// defaults.
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
    use bootlace_core::profile::BootProfileSpec;

    /// Parses the only profile in a file.
    fn parsed(text: &str) -> Result<Profile, String> {
        let mut profiles = parse(Path::new("profiles.yaml"), text).map_err(|error| error.to_string())?;
        assert_eq!(profiles.len(), 1);
        profiles.remove(0).1
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
        let profile = parsed(text).unwrap();
        assert_eq!((profile.name.as_str(), profile.spec.boot.timeout_seconds), ("etl", 120));
    }

    #[test]
    fn a_profile_without_a_spec_has_all_defaults() {
        for spec in ["", "spec:", "spec: null", "spec: {}"] {
            let text = format!(
                "apiVersion: bootlace.dev/v1alpha1\nkind: BootProfile\nmetadata: {{name: a}}\n{spec}\n"
            );
            assert_eq!(parsed(&text).unwrap().spec, BootProfileSpec::default(), "{spec:?}");
        }
    }

    #[test]
    fn an_invalid_template_is_reported() {
        let text = "apiVersion: bootlace.dev/v1alpha1\nkind: BootProfile\nmetadata: {name: a}\nspec: {sources: \
                    [{name: s, inline: {env: {A: '{{ run | shout }}'}}}]}\n";
        let message = parsed(text).unwrap_err();
        assert!(
            message.contains("source \"s\", inline.env[\"A\"]: line 1: ") && message.contains("\"shout\""),
            "{message}"
        );
    }

    #[test]
    fn a_spec_that_the_api_server_rejects_is_reported() {
        let text = "apiVersion: bootlace.dev/v1alpha1\nkind: BootProfile\nmetadata: {name: a}\nspec: {sources: \
                    [{name: s, inline: {}, secret: {name: b}}]}\n";
        let message = parsed(text).unwrap_err();
        assert!(message.contains("spec.sources[0]: "), "{message}");
    }

    #[test]
    fn an_error_names_file_and_field() {
        let text =
            "apiVersion: bootlace.dev/v1alpha1\nkind: BootProfile\nmetadata: {name: a}\nspec: {bot: {}}\n";
        let message = parsed(text).unwrap_err();
        assert!(
            message.contains("document 1 of \"profiles.yaml\"") && message.contains("`bot`"),
            "{message}"
        );
        let message = parsed("apiVersion: bootlace.dev/v1alpha1\nkind: BootProfile\nspec: {}\n").unwrap_err();
        assert!(
            message.contains("document 1 of \"profiles.yaml\"") && message.contains("metadata.name"),
            "{message}"
        );
    }

    #[test]
    fn an_inactive_profile_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let profile = |name: &str, spec: &str| {
            let text = format!(
                "apiVersion: bootlace.dev/v1alpha1\nkind: BootProfile\nmetadata: {{name: {name}}}\nspec: {spec}\n"
            );
            std::fs::write(folder.path().join(format!("{name}.yaml")), text).unwrap();
        };
        profile("good", "{}");
        profile("wrong", "{sources: [{name: s, inline: {files: {a//b: x}}}]}");
        let profiles = read(folder.path()).unwrap();
        assert_eq!(profiles.iter().map(|profile| profile.name.as_str()).collect::<Vec<_>>(), ["good"]);
        let message = profiles.missing("wrong").to_string();
        let (_, problem) = message.split_once("wrong.yaml\": ").unwrap();
        assert!(problem.starts_with("spec.sources[0].inline.files[\"a//b\"]: "), "{message}");
        std::fs::copy(folder.path().join("good.yaml"), folder.path().join("twice.yaml")).unwrap();
        let error = read(folder.path()).unwrap_err();
        assert!(matches!(&error, FolderError::Duplicate { name, .. } if name == "good"), "{error}");
    }
}
