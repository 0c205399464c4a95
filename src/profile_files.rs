//! Profiles from files, for work without a cluster: `inject`, `explain`, and a webhook on one's own machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bootlace_core::profile::{BootProfile, Profile, Profiles};

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
    /// A document cannot be read, or is a `BootProfile` without a name.
    #[error("{path}: document {document} cannot be read as a BootProfile: {message}", path = path.display())]
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
/// are passed over, so that a folder of manifests serves as it is. A profile that no pod could boot with is not in force,
/// as it is not on a cluster.
///
/// # Errors
/// Where a file cannot be read, or a document calls itself a `BootProfile` and has no name.
pub fn read(path: &Path) -> Result<Profiles, FolderError> {
    let mut profiles = BTreeMap::new();
    for file in files(path)? {
        let text = std::fs::read_to_string(&file).map_err(unreadable(&file))?;
        for (name, profile) in parse(&file, &text)? {
            if profiles.insert(name.clone(), profile).is_some() {
                return Err(FolderError::Twice { path: file, name });
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

/// A profile's name, and the profile or what is wrong with it.
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
                .ok_or_else(|| invalid(document, &"give it a metadata.name"))?;
            let name = name.to_owned();
            let profile = serde_json::from_value::<BootProfile>(value).map_err(|error| error.to_string());
            let profile =
                profile.and_then(|profile| Profile::try_from(profile).map_err(|error| error.to_string()));
            let problem = |error| format!("{}, document {document}: {error}", file.display());
            Ok((name, profile.map_err(problem)))
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
    use bootlace_core::profile::BootProfileSpec;

    /// The only profile, or what is wrong with it or with the file.
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
    fn a_template_that_cannot_be_read_is_told() {
        let text = "apiVersion: bootlace.dev/v1alpha1\nkind: BootProfile\nmetadata: {name: a}\nspec: {sources: \
                    [{name: s, inline: {env: {A: '{{ run | shout }}'}}}]}\n";
        let message = parsed(text).unwrap_err();
        assert!(
            message.contains("source \"s\", inline.env[\"A\"]: line 1: filter \"shout\" not found"),
            "{message}"
        );
    }

    #[test]
    fn what_the_api_server_would_refuse_is_told() {
        let text = "apiVersion: bootlace.dev/v1alpha1\nkind: BootProfile\nmetadata: {name: a}\nspec: {sources: \
                    [{name: s, inline: {}, secret: {name: b}}]}\n";
        let message = parsed(text).unwrap_err();
        assert!(message.contains("spec.sources[0]: a source must have exactly one kind"), "{message}");
    }

    #[test]
    fn an_error_names_file_and_field() {
        let text =
            "apiVersion: bootlace.dev/v1alpha1\nkind: BootProfile\nmetadata: {name: a}\nspec: {bot: {}}\n";
        let message = parsed(text).unwrap_err();
        assert!(message.contains("profiles.yaml, document 1") && message.contains("`bot`"), "{message}");
        let message = parsed("apiVersion: bootlace.dev/v1alpha1\nkind: BootProfile\nspec: {}\n").unwrap_err();
        assert!(
            message.contains(
                "profiles.yaml: document 1 cannot be read as a BootProfile: give it a metadata.name"
            )
        );
    }

    #[test]
    fn a_profile_that_is_not_in_force_is_known_beside_the_others() {
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
        let said = profiles.missing("wrong").to_string();
        let (exists, why) = said.split_once("wrong.yaml, document 1: ").unwrap();
        assert!(exists.starts_with("BootProfile \"wrong\""), "{said}");
        assert!(why.starts_with("spec.sources[0].inline.files[\"a//b\"]: "), "{said}");
        std::fs::copy(folder.path().join("good.yaml"), folder.path().join("twice.yaml")).unwrap();
        let message = read(folder.path()).unwrap_err().to_string();
        assert!(message.contains("\"good\" is there twice"), "{message}");
    }
}
