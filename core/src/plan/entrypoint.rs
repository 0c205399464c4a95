//! The command of a task container, also if its spec has none.
//!
//! In Kubernetes, a container without `command` runs the ENTRYPOINT of its image, followed by `args` of the
//! container or, if it has no `args`, by the CMD of the image.
//! <https://kubernetes.io/docs/tasks/inject-data-application/define-command-argument-container/>

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::PlanError;
use super::image_lookup::{FailedLookup, ImageConfigs};
use crate::names;
use crate::pod::{Container, Pod};
use crate::profile::env::ImageCommand;
use crate::profile::image;
use crate::quote::quoted;

/// The command of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ContainerCommand {
    /// The `command` in its spec.
    Spec,
    /// These words, followed by `args` of the container.
    Image { words: Vec<String>, source: CommandSource },
    /// Unknown; with the reason if the registry was queried.
    Unknown { reason: Option<FailedLookup> },
    /// The image must be looked up in its registry.
    Lookup,
}

impl ContainerCommand {
    /// Why it is unknown, in parentheses; empty if the registry was not queried.
    pub(super) fn why_unknown(&self) -> String {
        match self {
            Self::Unknown { reason: Some(FailedLookup { reason, .. }) } => format!(" ({reason})"),
            _ => String::new(),
        }
    }

    /// The error if the command of `container` is required but unknown: `permanent` with
    /// [`Self::why_unknown`], unless another lookup may find it.
    pub(super) fn required(
        &self,
        container: &Container<'_>,
        permanent: impl FnOnce(String) -> PlanError,
    ) -> PlanError {
        match self {
            Self::Unknown { reason: Some(FailedLookup { reason, is_temporary: true }) } => {
                let (container, reason) = (container.name.to_owned(), reason.clone());
                PlanError::ImageLookupFailed { container, reason }
            }
            _ => permanent(self.why_unknown()),
        }
    }
}

/// Source of the command of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CommandSource {
    Annotation,
    Profile,
    Registry,
}

/// The entrypoints in the annotation.
#[derive(Debug, Default)]
pub(super) enum EntrypointAnnotation {
    /// The annotation is absent.
    #[default]
    Nothing,
    /// The entrypoint of the only container without a command.
    One(Vec<String>),
    /// Entrypoints by container.
    ByContainer(BTreeMap<String, Vec<String>>),
}

/// Maximum bytes of the annotation. Entrypoints of images have few words, and planning needs many times the
/// size of each word.
const MAX_BYTES: usize = 64 * 1024;

impl EntrypointAnnotation {
    /// Parses the annotation of a pod with these task containers.
    pub(super) fn parse(pod: &Pod<'_>, tasks: &[&Container<'_>]) -> Result<Self, PlanError> {
        let Some(text) = pod.annotations.get(names::ANNOTATION_ENTRYPOINT) else { return Ok(Self::Nothing) };
        let invalid = |problem: String| PlanError::Entrypoint { problem };
        if text.len() > MAX_BYTES {
            return Err(invalid(format!("has {} bytes, the limit is {MAX_BYTES}", text.len())));
        }
        match serde_json::from_str(text) {
            Err(_) => Err(invalid("is not valid JSON".to_owned())),
            Ok(Value::Object(map)) => {
                let entrypoint = |(name, value): (String, Value)| {
                    let Some(container) = tasks.iter().find(|container| container.name == name) else {
                        let known: Vec<_> = tasks.iter().map(|container| container.name).collect();
                        let known = quoted(&known);
                        return Err(invalid(format!(
                            "names container {name:?}, but the task containers are {known}"
                        )));
                    };
                    let words = words(value).map_err(|problem| {
                        invalid(format!("has a value for container {name:?} that is {problem}"))
                    })?;
                    if !runs(&words, container) {
                        return Err(invalid(format!("has {}", nothing_to_run(container))));
                    }
                    Ok((name, words))
                };
                map.into_iter().map(entrypoint).collect::<Result<_, _>>().map(Self::ByContainer)
            }
            Ok(value) => {
                let words = words(value).map_err(|problem| invalid(format!("is {problem}")))?;
                let without_command = || tasks.iter().filter(|task| task.command.is_none());
                if let Some(container) = without_command().find(|container| !runs(&words, container)) {
                    return Err(invalid(format!("is {}", nothing_to_run(container))));
                }
                let without_command: BTreeSet<_> = without_command().map(|task| task.name).collect();
                if without_command.len() > 1 {
                    let without_command: Vec<_> = without_command.into_iter().collect();
                    let message = format!(
                        "is a single array, but several containers have no command ({})",
                        quoted(&without_command)
                    );
                    return Err(invalid(message));
                }
                Ok(Self::One(words))
            }
        }
    }

    fn get(&self, container: &str) -> Option<&Vec<String>> {
        match self {
            Self::Nothing => None,
            Self::One(words) => Some(words),
            Self::ByContainer(map) => map.get(container),
        }
    }
}

/// Whether `entrypoint` and `args` of the container name a program. An image without an entrypoint runs the
/// `args`.
fn runs(entrypoint: &[String], container: &Container<'_>) -> bool {
    combine(entrypoint, &[], !container.args.is_empty()).is_some()
}

fn nothing_to_run(container: &Container<'_>) -> String {
    format!("an empty array, but container {:?} has no args", container.name)
}

/// A program and its arguments, or no words; or a description of the invalid value.
fn words(value: Value) -> Result<Vec<String>, &'static str> {
    let Value::Array(elements) = value else { return Err("not an array") };
    let word = |element| match element {
        Value::String(word) => Some(word),
        _ => None,
    };
    let words: Vec<String> = elements
        .into_iter()
        .map(word)
        .collect::<Option<_>>()
        .ok_or("an array with elements that are not strings")?;
    match words.first().map(String::as_str) {
        Some("") => Err("an array with an empty program name"),
        None | Some(_) => Ok(words),
    }
}

/// The command of `container`: from its spec, otherwise from the annotation, otherwise from the table of the
/// profile, otherwise from the registry, if it may be queried.
pub(super) fn command(
    container: &Container<'_>,
    annotation: &EntrypointAnnotation,
    table: &[ImageCommand],
    registry: Option<&ImageConfigs>,
) -> ContainerCommand {
    if container.command.is_some() {
        return ContainerCommand::Spec;
    }
    let image = |words: Vec<String>, source| ContainerCommand::Image { words, source };
    if let Some(entrypoint) = annotation.get(container.name) {
        return image(entrypoint.clone(), CommandSource::Annotation);
    }
    let has_args = !container.args.is_empty();
    if let Some(entry) = table.iter().find(|entry| image::matches(&entry.image, container.image)) {
        return match combine(&entry.entrypoint, &entry.cmd, has_args) {
            Some(words) => image(words, CommandSource::Profile),
            None => ContainerCommand::Unknown { reason: None },
        };
    }
    match registry.map(|registry| registry.get(container.image)) {
        None => ContainerCommand::Unknown { reason: None },
        Some(None) => ContainerCommand::Lookup,
        Some(Some(Err(reason))) => ContainerCommand::Unknown { reason: Some(reason.clone()) },
        Some(Some(Ok(config))) => {
            if let Some(words) = combine(&config.entrypoint, &config.cmd, has_args) {
                image(words, CommandSource::Registry)
            } else {
                let reason = "the image has none either".to_owned();
                ContainerCommand::Unknown { reason: Some(FailedLookup { reason, is_temporary: false }) }
            }
        }
    }
}

/// The words before `args` of the container; `None` if there is nothing to run. Without an ENTRYPOINT, the
/// first word of `args` is the program.
fn combine(entrypoint: &[String], cmd: &[String], has_args: bool) -> Option<Vec<String>> {
    let cmd = if has_args { &[] } else { cmd };
    let words: Vec<_> = entrypoint.iter().chain(cmd).cloned().collect();
    (has_args || !words.is_empty()).then_some(words)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::image_lookup::ImageConfig;
    use super::*;
    use crate::pod::Json;

    fn pod(annotation: &str, containers: &Value) -> Value {
        json!({
            "metadata": {"annotations": {names::ANNOTATION_ENTRYPOINT: annotation}},
            "spec": {"containers": containers},
        })
    }

    fn annotated(annotation: &str, containers: &Value) -> Result<String, String> {
        let pod = pod(annotation, containers);
        let pod = Json::from(&pod);
        let pod = Pod::read(&pod).unwrap();
        let tasks: Vec<_> = pod.containers.iter().collect();
        let parsed = EntrypointAnnotation::parse(&pod, &tasks).map_err(|error| error.to_string())?;
        let each = tasks.iter().map(|task| format!("{:?}", command(task, &parsed, &[], None)));
        Ok(each.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn the_annotation_applies_to_containers_without_a_command() {
        let one = json!([{"name": "a"}, {"name": "b", "command": ["x"]}]);
        assert_eq!(
            annotated(r#"["run", "-v", ""]"#, &one).unwrap(),
            r#"Image { words: ["run", "-v", ""], source: Annotation } Spec"#
        );
        let two = json!([{"name": "a"}, {"name": "b"}]);
        assert_eq!(
            annotated(r#"{"b": ["run"]}"#, &two).unwrap(),
            r#"Unknown { reason: None } Image { words: ["run"], source: Annotation }"#
        );
    }

    #[test]
    fn the_args_are_the_command_if_the_image_has_no_entrypoint() {
        let one = json!([{"name": "a", "args": ["run", "-v"]}, {"name": "b", "command": ["x"]}]);
        for annotation in ["[]", r#"{"a": []}"#] {
            let command = annotated(annotation, &one).unwrap();
            assert_eq!(command, "Image { words: [], source: Annotation } Spec", "{annotation}");
        }
    }

    #[test]
    fn an_invalid_annotation_is_refused() {
        let two = json!([{"name": "a"}, {"name": "b"}]);
        for (annotation, problem) in [
            ("run -v", "is not valid JSON"),
            ("", "is not valid JSON"),
            (r#""run""#, "is not an array"),
            ("[]", r#"is an empty array, but container "a" has no args"#),
            (r#"["", "x"]"#, "is an array with an empty program name"),
            (r#"["run", 1]"#, "is an array with elements that are not strings"),
            (r#"["run"]"#, r#"is a single array, but several containers have no command ("a", "b")"#),
            (r#"{"c": ["run"]}"#, r#"names container "c", but the task containers are "a", "b""#),
            (r#"{"a": "run"}"#, r#"has a value for container "a" that is not an array"#),
            (r#"{"a": []}"#, r#"has an empty array, but container "a" has no args"#),
            (&format!("[\"{}\"]", "x".repeat(MAX_BYTES)), "has 65540 bytes, the limit is 65536"),
        ] {
            let error = annotated(annotation, &two).unwrap_err();
            let start = format!("annotation {} {problem}: set", names::ANNOTATION_ENTRYPOINT);
            assert!(error.starts_with(&start), "{annotation}: {error}");
        }
    }

    /// The table of the page in the documentation of the module.
    #[test]
    fn entrypoint_cmd_and_args_are_combined_as_in_kubernetes() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for (entrypoint, cmd, args, expected) in [
            ("/ep-1", "foo bar", false, Some("/ep-1 foo bar")),
            ("/ep-1", "foo bar", true, Some("/ep-1")),
            ("/ep-1", "", false, Some("/ep-1")),
            ("", "foo bar", false, Some("foo bar")),
            ("", "foo bar", true, Some("")),
            ("", "", true, Some("")),
            ("", "", false, None),
        ] {
            let combined = combine(&words(entrypoint), &words(cmd), args);
            assert_eq!(combined, expected.map(words), "{entrypoint:?} {cmd:?} {args}");
        }
    }

    #[test]
    fn the_table_of_the_profile_has_precedence_over_the_registry() {
        let pod = json!({"spec": {"containers": [
            {"name": "a", "image": "etl/runner:2"},
            {"name": "b", "image": "other"},
            {"name": "c", "image": "gone"},
            {"name": "d", "image": "new"},
        ]}});
        let pod = Json::from(&pod);
        let pod = Pod::read(&pod).unwrap();
        let table = [ImageCommand {
            image: "etl/*".to_owned(),
            entrypoint: vec!["table".to_owned()],
            cmd: Vec::new(),
        }];
        let config = ImageConfig { entrypoint: Vec::new(), cmd: vec!["registry".to_owned()] };
        let gone = FailedLookup { reason: "it is gone".to_owned(), is_temporary: false };
        let images = [
            ("etl/runner:2".to_owned(), Ok(config.clone())),
            ("other".to_owned(), Ok(config)),
            ("gone".to_owned(), Err(gone.clone())),
        ];
        let images = images.into_iter().collect();
        let commands = |registry| {
            let each = pod
                .containers
                .iter()
                .map(|container| command(container, &EntrypointAnnotation::Nothing, &table, registry));
            each.collect::<Vec<_>>()
        };
        let known = |word: &str, source| ContainerCommand::Image { words: vec![word.to_owned()], source };
        let unknown = |reason| ContainerCommand::Unknown { reason };
        assert_eq!(
            commands(Some(&images)),
            [
                known("table", CommandSource::Profile),
                known("registry", CommandSource::Registry),
                unknown(Some(gone)),
                ContainerCommand::Lookup
            ]
        );
        assert_eq!(commands(None)[1..], [unknown(None), unknown(None), unknown(None)]);
    }
}
