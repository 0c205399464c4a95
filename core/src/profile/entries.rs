//! Finds content that boot would refuse for every pod: names of variables, paths, URLs and sizes in the
//! profile. Fields with templates depend on the pod, so they are checked at admission.

mod vault;

use std::collections::BTreeMap;

use http::HeaderValue;

use super::address;
use super::context::{A_DATE, A_NUMBER, RunContext};
use super::inline::Inline;
use super::mounted::{Item, SourceTarget};
use super::object_store::ObjectStore;
use super::remote::{Archive, Client, Http, JsonPart, Limits};
use super::rule::BrokenRule;
use super::size::Size;
use super::source::Source;
use super::source::SourceOrigin;
use super::spec::{BootProfileSpec, Layout};
use crate::entry::{self, AssetPath, EnvName, EnvValue, FileTree, Rename};
use crate::names;
use crate::pod::Image;
use crate::telemetry::{lineage, resource};
use crate::template;

/// Maximum bytes of the boot configuration. The API server accepts objects of about 1.5 MiB, including the
/// rest of the pod.
pub const MAX_SPEC_BYTES: usize = 512 * 1024;

/// Checks the names and sizes in `spec`.
///
/// # Errors
/// The first entry that boot would refuse for every pod.
pub(super) fn check(spec: &BootProfileSpec) -> Result<(), BrokenRule> {
    // Files that every boot with the profile provides, with the fields that name them.
    let mut certain_files: FileTree<String> = FileTree::new();
    if spec.assets.layout == Layout::Optimus {
        for name in [names::FILE_OPTIMUS_ENV, names::FILE_OPTIMUS_SECRET] {
            if let Ok(path) = AssetPath::parse(name) {
                certain_files.insert(path, "assets.layout Optimus".to_owned());
            }
        }
    }
    let mut inline_bytes = 0;
    for (position, source) in spec.sources.iter().enumerate() {
        let field = format!("spec.sources[{position}]");
        let one = OneSource { spec, field: &field };
        let files = one.check(source)?;
        for (path, named) in &files {
            if let Some((other, by)) = certain_files.obstacle(path) {
                let message = format!(
                    "{by} provides the file {:?}, and a path cannot be both a file and a folder",
                    other.to_string()
                );
                return Err(invalid(named, format!("{message}: rename one of them")));
            }
            if spec.assets.layout == Layout::Optimus
                && let Some(by) = certain_files.get(path).filter(|by| by.starts_with("assets.layout"))
            {
                let path = path.to_string();
                return Err(invalid(
                    named,
                    format!("{by} already writes an env file to {path:?}: rename the file"),
                ));
            }
        }
        if !is_optional(source) {
            for (path, named) in files {
                certain_files.insert(path, named);
            }
        }
        inline_bytes += source.inline.as_ref().map_or(0, size);
    }
    if inline_bytes > MAX_SPEC_BYTES {
        let message = format!(
            "the inline sources have {inline_bytes} bytes, the limit of the boot configuration is {MAX_SPEC_BYTES}: move them to \
             a ConfigMap"
        );
        return Err(invalid("spec.sources", message));
    }
    Ok(())
}

fn invalid(field: impl std::convert::Into<String>, message: impl std::fmt::Display) -> BrokenRule {
    BrokenRule { field: field.into(), message: message.to_string() }
}

/// Whether the task can start without the content of the source.
fn is_optional(source: &Source) -> bool {
    source.optional
        || match source.origin() {
            SourceOrigin::ConfigMap(object) | SourceOrigin::Secret(object) => object.optional,
            SourceOrigin::Volume(volume) => volume.optional,
            // If the output does not exist, an optional source is skipped.
            SourceOrigin::Pipe(_) => true,
            SourceOrigin::Inline(_)
            | SourceOrigin::Http(_)
            | SourceOrigin::Optimus(_)
            | SourceOrigin::ObjectStore(_)
            | SourceOrigin::Oci(_)
            | SourceOrigin::Vault(_)
            | SourceOrigin::Context(_) => false,
        }
}

/// Minimum bytes of an inline source in any encoding.
fn size(inline: &Inline) -> usize {
    inline.env.iter().chain(&inline.files).map(|(name, value)| name.len() + value.len()).sum()
}

/// A source of the profile.
struct OneSource<'a> {
    spec: &'a BootProfileSpec,
    field: &'a str,
}

/// Files of a source, with the fields that name them.
type Files = Vec<(AssetPath, String)>;

impl OneSource<'_> {
    fn check(&self, source: &Source) -> Result<Files, BrokenRule> {
        let origin = source.origin();
        let field = format!("{}.{}", self.field, origin.field());
        let at = |name: &str| format!("{field}.{name}");
        match origin {
            SourceOrigin::Inline(inline) => self.inline(&field, inline, source.limits.as_ref()),
            SourceOrigin::ConfigMap(object) | SourceOrigin::Secret(object) => {
                self.keys(&field, object.into, &object.prefix, &object.items)
            }
            SourceOrigin::Pipe(pipe) => self.keys(&field, pipe.into, &pipe.prefix, &pipe.items),
            SourceOrigin::Volume(volume) => {
                volume.check_values(&field)?;
                self.keys(&field, volume.into, &volume.prefix, &volume.items)
            }
            SourceOrigin::Http(http) => check_http(&field, http),
            SourceOrigin::Optimus(optimus) => {
                client(&at("client"), &optimus.client)?;
                address::join(&optimus.host, "", []).map_err(|error| invalid(at("host"), error))?;
                Ok(Files::new())
            }
            SourceOrigin::ObjectStore(store) => check_object_store(&field, store),
            SourceOrigin::Vault(vault) => self.vault(&field, vault),
            SourceOrigin::Context(context) => check_context(&field, context),
            SourceOrigin::Oci(oci) => {
                start_of_path(&at("prefix"), &oci.prefix)?;
                client(&at("client"), &oci.client)?;
                if !template::is_one(&oci.reference) {
                    Image::parse(&oci.reference).map_err(|error| invalid(at("reference"), error))?;
                }
                Ok(Files::new())
            }
        }
    }

    fn inline(&self, field: &str, inline: &Inline, limits: Option<&Limits>) -> Result<Files, BrokenRule> {
        let mut bytes = 0;
        for (name, value) in &inline.env {
            let field = format!("{field}.env[{name:?}]");
            let name = self.variable(&field, name, Rename::Inline)?;
            if !template::is_one(value) {
                bytes += value.len();
                EnvValue::parse(&name, value.clone().into(), false)
                    .map_err(|error| invalid(&field, error))?;
            }
        }
        let mut files = Tree::default();
        for (path, content) in &inline.files {
            files.add(&format!("{field}.files[{path:?}]"), path)?;
            bytes += if template::is_one(content) { 0 } else { content.len() };
        }
        if let Some(limits) = limits {
            let field = format!("{}.limits", self.field);
            let most = limits.size.as_ref().map_or(u64::MAX, Size::bytes);
            if bytes as u64 > most {
                return Err(invalid(
                    field,
                    format!("size is lower than the {bytes} bytes of the source: raise it"),
                ));
            }
            if inline.files.len() > limits.files as usize {
                let files = inline.files.len();
                return Err(invalid(
                    field,
                    format!("files is lower than the {files} files of the source: raise it"),
                ));
            }
        }
        Ok(files.0.into_iter().collect())
    }

    /// Checks how the keys of an object or the files of an output are used.
    fn keys(
        &self,
        field: &str,
        into: SourceTarget,
        prefix: &str,
        items: &[Item],
    ) -> Result<Files, BrokenRule> {
        let mut files = Tree::default();
        let mut variables = BTreeMap::new();
        match into {
            SourceTarget::Env => start_of_name(&format!("{field}.prefix"), prefix)?,
            SourceTarget::Files => start_of_path(&format!("{field}.prefix"), prefix)?,
        }
        for (position, item) in items.iter().enumerate() {
            let field = format!("{field}.items[{position}].as");
            let name = format!("{prefix}{}", item.target);
            match into {
                SourceTarget::Files => files.add(&field, &name)?,
                SourceTarget::Env => {
                    let name = self.variable(&field, &name, Rename::Keys)?;
                    if let Some(earlier) = variables.insert(name, field.clone()) {
                        return Err(twice(&field, &earlier));
                    }
                }
            }
        }
        Ok(files.0.into_iter().collect())
    }

    /// Checks a variable that the profile names.
    fn variable(&self, field: &str, name: &str, rename: Rename) -> Result<EnvName, BrokenRule> {
        if let Some(decides) = entry::decides(name, &self.spec.env.allow) {
            let message = format!(
                "variable {name:?} controls {decides}, so a source cannot set it unless the profile allows it: add it to env.allow, \
                 or {rename}"
            );
            return Err(invalid(field, message));
        }
        let parsed = EnvName::parse(name, rename).map_err(|error| invalid(field, error))?;
        if self.spec.assets.layout == Layout::Optimus && !entry::can_be_sourced(name) {
            let message = format!(
                "variable {name:?} cannot be sourced by a shell from the env files of assets.layout Optimus: {rename}, of letters, \
                 digits and \"_\", or set the layout to Bootlace"
            );
            return Err(invalid(field, message));
        }
        Ok(parsed)
    }
}

fn check_http(field: &str, settings: &Http) -> Result<Files, BrokenRule> {
    client(&format!("{field}.client"), &settings.client)?;
    let path = if template::is_one(&settings.path) { "" } else { &settings.path };
    address::join(&settings.url, path, []).map_err(|error| invalid(field, error))?;
    check_target(field, settings.file.as_deref(), &settings.json, settings.archive.as_ref())
}

/// Checks the names of attributes, and values that are not templates.
fn check_context(field: &str, settings: &RunContext) -> Result<Files, BrokenRule> {
    let attributes = settings.open_telemetry.iter().flat_map(|telemetry| telemetry.attributes.keys());
    for name in attributes {
        let field = format!("{field}.openTelemetry.attributes[{name:?}]");
        if name == resource::SERVICE_NAME {
            return Err(invalid(field, "SDKs read the name of the service from a variable: set serviceName"));
        }
        if !resource::is_name(name) {
            let message = "a name must have at most 255 letters, digits, `.`, `_`, `-` and `/`, because SDKs do not decode it: rename it";
            return Err(invalid(field, message));
        }
    }
    let Some(lineage) = &settings.open_lineage else { return Ok(Files::new()) };
    let is_date = |text: &str| lineage::instant(text).is_some();
    let is_number = |text: &str| text.parse::<u32>().is_ok();
    let airflow = &lineage.airflow;
    for (name, text, is_valid, expected) in [
        ("logicalDate", &airflow.logical_date, &is_date as &dyn Fn(&str) -> bool, A_DATE),
        ("clearNumber", &airflow.clear_number, &is_number, A_NUMBER),
    ] {
        if let Some(text) = text.as_deref().filter(|text| !template::is_one(text) && !is_valid(text)) {
            let field = format!("{field}.openLineage.airflow.{name}");
            return Err(invalid(field, format!("{text:?} is not {expected}: correct it")));
        }
    }
    Ok(Files::new())
}

fn check_object_store(field: &str, settings: &ObjectStore) -> Result<Files, BrokenRule> {
    for (name, key) in [("object", &settings.object), ("prefix", &settings.prefix)] {
        let Some(key) = key.as_deref().filter(|key| !template::is_one(key)) else { continue };
        let written = if name == "prefix" { key.trim_end_matches('/') } else { key };
        if !is_object_key(written) {
            let message =
                "must not contain empty parts, \".\" or \"..\" as parts, or control characters: correct it";
            return Err(invalid(format!("{field}.{name}"), message));
        }
    }
    if let Some(folder) = &settings.folder {
        start_of_path(&format!("{field}.folder"), &format!("{folder}/"))?;
    }
    check_target(field, settings.file.as_deref(), &settings.json, settings.archive.as_ref())
}

/// Whether the client for object stores accepts `key` unchanged: its parts are not empty, `.` or `..`, and
/// contain no ASCII control character. Implemented here because the crate of the client depends on an async
/// runtime; the test `object_keys_are_those_of_the_client` of the package `bootlace` compares the two.
#[must_use]
pub fn is_object_key(key: &str) -> bool {
    let is_part = |part: &str| {
        !["", ".", ".."].contains(&part) && !part.chars().any(|character| character.is_ascii_control())
    };
    key.is_empty() || key.split('/').all(is_part)
}

/// Files of one source.
#[derive(Default)]
struct Tree(FileTree<String>);

impl Tree {
    /// Adds the file that `field` names, unless its path is a template.
    fn add(&mut self, field: &str, path: &str) -> Result<(), BrokenRule> {
        if template::is_one(path) {
            return Ok(());
        }
        let path = AssetPath::parse(path).map_err(|error| invalid(field, error))?;
        if let Some(earlier) = self.0.get(&path) {
            return Err(twice(field, earlier));
        }
        if let Some((other, _)) = self.0.obstacle(&path) {
            let other = other.to_string();
            let message = format!(
                "the source also provides the file {other:?}, and a path cannot be both a file and a folder: rename one of them"
            );
            return Err(invalid(field, message));
        }
        self.0.insert(path, field.to_owned());
        Ok(())
    }
}

fn twice(field: &str, earlier: &str) -> BrokenRule {
    invalid(field, format!("has the same target as {earlier}: rename one of them"))
}

/// Checks how a response or an object is used.
fn check_target(
    field: &str,
    file: Option<&str>,
    json: &[JsonPart],
    archive: Option<&Archive>,
) -> Result<Files, BrokenRule> {
    let mut files = Tree::default();
    if let Some(path) = file {
        files.add(&format!("{field}.file"), path)?;
    }
    for (position, part) in json.iter().enumerate() {
        let field = format!("{field}.json[{position}].prefix");
        match part.into {
            SourceTarget::Env => start_of_name(&field, &part.prefix)?,
            SourceTarget::Files => start_of_path(&field, &part.prefix)?,
        }
    }
    if let Some(archive) = archive {
        start_of_path(&format!("{field}.archive.prefix"), &archive.prefix)?;
    }
    Ok(files.0.into_iter().collect())
}

/// Checks the prefix of the paths of a source.
fn start_of_path(field: &str, prefix: &str) -> Result<(), BrokenRule> {
    if template::is_one(prefix) {
        return Ok(());
    }
    AssetPath::parse(&format!("{prefix}x")).map(drop).map_err(|error| invalid(field, error))
}

/// Checks the prefix of the names of a source.
fn start_of_name(field: &str, prefix: &str) -> Result<(), BrokenRule> {
    EnvName::parse(&format!("{prefix}X"), Rename::Inline).map(drop).map_err(|error| invalid(field, error))
}

/// Checks the headers in a profile.
fn client(field: &str, settings: &Client) -> Result<(), BrokenRule> {
    for (position, header) in settings.headers.iter().enumerate() {
        let field = format!("{field}.headers[{position}]");
        let same = |earlier: &&super::remote::Header| earlier.name.eq_ignore_ascii_case(&header.name);
        if settings.headers.iter().take(position).any(|earlier| same(&earlier)) {
            return Err(invalid(
                field,
                "the header is set twice (names are case-insensitive): remove one of them",
            ));
        }
        if !template::is_one(&header.value) && HeaderValue::from_str(&header.value).is_err() {
            return Err(invalid(
                field,
                "value contains a line break or another control character: remove it",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::profile::Profile;

    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        message: String,
        spec: Value,
    }

    fn problem(spec: &Value) -> Option<String> {
        let spec = serde_json::from_value(spec.clone()).unwrap();
        Profile::new("default", 1, spec).err().map(|error| error.to_string())
    }

    #[test]
    fn what_no_pod_could_boot_with_is_found_when_it_is_read() {
        let samples: Vec<Sample> =
            serde_saphyr::from_str(include_str!("../../tests/profiles/not_in_force.yaml")).unwrap();
        assert!(samples.len() > 10);
        for Sample { message, spec } in samples {
            let actual = problem(&spec).unwrap_or_default();
            assert!(actual.starts_with(&message), "{actual:?} does not start with {message:?}");
        }
    }

    #[test]
    fn what_differs_from_pod_to_pod_is_left_to_admission() {
        for spec in [
            json!({"sources": [{"name": "s", "inline": {
                "env": {"A": "{{ run }}", "spring.datasource.url": "x", "db-user": "x", "1A": "x"},
                "files": {"{{ task }}.sql": "x", "sql/{{ task }}": "x", "a": "x"},
            }}]}),
            json!({"env": {"allow": ["LD_*", "PATH"]}, "sources": [{"name": "s", "inline": {
                "env": {"PATH": "/opt", "LD_LIBRARY_PATH": "/opt"},
            }}]}),
            json!({"sources": [{"name": "s", "http": {
                "url": "https://git.example.com/v1", "path": "{{ run }}/x", "file": "{{ task }}",
            }}]}),
            // An optional source does not conflict.
            json!({"sources": [
                {"name": "a", "optional": true, "http": {"url": "https://a.example.com", "file": "a"}},
                {"name": "b", "inline": {"files": {"a/b": "x"}}},
            ]}),
            // The later source wins.
            json!({"sources": [
                {"name": "a", "inline": {"files": {"a": "x"}, "env": {"A": "x"}}},
                {"name": "b", "inline": {"files": {"a": "y"}, "env": {"A": "y"}}},
            ]}),
            json!({"sources": [{"name": "s", "secret": {"name": "s", "into": "Env", "exclude": ["a.*"]}}]}),
            json!({"assets": {"layout": "Optimus"}, "sources": [{"name": "s", "inline": {"files": {"env": "x"}}}]}),
        ] {
            assert_eq!(problem(&spec), None, "{spec}");
        }
    }

    #[test]
    fn inline_sources_have_a_limit_together() {
        let source = |name: &str| json!({"name": name, "inline": {"files": {"a": "x".repeat(300 * 1024)}}});
        assert_eq!(problem(&json!({"sources": [source("a")]})), None);
        let actual = problem(&json!({"sources": [source("a"), source("b")]})).unwrap();
        assert!(actual.contains("614402 bytes") && actual.contains("524288"), "{actual}");
        let long = json!({"sources": [{"name": "a", "inline": {"env": {"A": "x".repeat(131_072)}}}]});
        let actual = problem(&long).unwrap();
        assert!(actual.contains("inline.env[\"A\"]: ") && actual.contains("131075 bytes"), "{actual}");
    }
}
