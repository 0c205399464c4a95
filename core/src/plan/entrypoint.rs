//! What a task container runs, where its spec does not say so.
//!
//! Kubernetes' rule: a container without `command` runs its image's ENTRYPOINT, with the spec's `args` behind it or,
//! where there are none, with the image's CMD.
//! <https://kubernetes.io/docs/tasks/inject-data-application/define-command-argument-container/>

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::PlanError;
use super::image_lookup::ImageConfigs;
use crate::names;
use crate::pod::{Container, Pod};
use crate::profile::env::ImageCommand;
use crate::profile::image;
use crate::quote::quoted;

/// What a container runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ContainerCommand {
    /// What its spec names.
    Spec,
    /// These words, with the spec's `args` behind them where it has some.
    Image { words: Vec<String>, told_by: CommandSource },
    /// Nobody tells; and why the registry does not, where it was asked.
    Unknown { because: Option<String> },
    /// The registry must be asked.
    Ask,
}

impl ContainerCommand {
    /// Why nobody tells, in brackets behind that; empty where nobody was asked.
    pub(super) fn why_unknown(&self) -> String {
        match self {
            Self::Unknown { because: Some(because) } => format!(" ({because})"),
            _ => String::new(),
        }
    }
}

/// Who tells what an image runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CommandSource {
    Annotation,
    Profile,
    Registry,
}

/// What the annotation says.
#[derive(Debug, Default)]
pub(super) enum EntrypointAnnotation {
    /// There is none.
    #[default]
    Nothing,
    /// The entrypoint of the one container that names no command.
    One(Vec<String>),
    /// Entrypoints by container.
    ByContainer(BTreeMap<String, Vec<String>>),
}

/// Bytes of the annotation. Images' entrypoints have a few words, and each word takes many times its size while the
/// pod is planned.
const MAX_BYTES: usize = 64 * 1024;

impl EntrypointAnnotation {
    /// Reads the annotation of a pod with these task containers.
    pub(super) fn read(pod: &Pod<'_>, tasks: &[&Container<'_>]) -> Result<Self, PlanError> {
        let Some(text) = pod.annotations.get(names::ANNOTATION_ENTRYPOINT) else { return Ok(Self::Nothing) };
        let wrong = |what: String| PlanError::Entrypoint { what };
        if text.len() > MAX_BYTES {
            return Err(wrong(format!("has {} bytes, the limit is {MAX_BYTES}", text.len())));
        }
        match serde_json::from_str(text) {
            Err(_) => Err(wrong("is not valid JSON".to_owned())),
            Ok(Value::Object(map)) => {
                let entrypoint = |(name, value): (String, Value)| {
                    if !tasks.iter().any(|container| container.name == name) {
                        let known: Vec<_> = tasks.iter().map(|container| container.name).collect();
                        let known = quoted(&known);
                        return Err(wrong(format!(
                            "names container {name:?}, but the task containers are {known}"
                        )));
                    }
                    let words = words(value).map_err(|what| {
                        wrong(format!("has a value for container {name:?} that is {what}"))
                    })?;
                    Ok((name, words))
                };
                map.into_iter().map(entrypoint).collect::<Result<_, _>>().map(Self::ByContainer)
            }
            Ok(value) => {
                let words = words(value).map_err(|what| wrong(format!("is {what}")))?;
                let open: BTreeSet<_> =
                    tasks.iter().filter(|task| task.command.is_none()).map(|task| task.name).collect();
                if open.len() > 1 {
                    let open: Vec<_> = open.into_iter().collect();
                    let message = format!(
                        "is a single array, but several containers have no command ({})",
                        quoted(&open)
                    );
                    return Err(wrong(message));
                }
                Ok(Self::One(words))
            }
        }
    }

    fn of(&self, container: &str) -> Option<&Vec<String>> {
        match self {
            Self::Nothing => None,
            Self::One(words) => Some(words),
            Self::ByContainer(map) => map.get(container),
        }
    }
}

/// A program and its arguments; else what is there instead.
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
        None => Err("an empty array"),
        Some("") => Err("an array with an empty program name"),
        Some(_) => Ok(words),
    }
}

/// What `container` runs: as its spec says, else the annotation, else the profile's table, else the registry, where
/// one is asked.
pub(super) fn runs(
    container: &Container<'_>,
    annotated: &EntrypointAnnotation,
    table: &[ImageCommand],
    registry: Option<&ImageConfigs>,
) -> ContainerCommand {
    if container.command.is_some() {
        return ContainerCommand::Spec;
    }
    let image = |words: Vec<String>, told_by| ContainerCommand::Image { words, told_by };
    if let Some(entrypoint) = annotated.of(container.name) {
        return image(entrypoint.clone(), CommandSource::Annotation);
    }
    let has_args = !container.args.is_empty();
    if let Some(entry) = table.iter().find(|entry| image::matches(&entry.image, container.image)) {
        return match combine(&entry.entrypoint, &entry.cmd, has_args) {
            Some(words) => image(words, CommandSource::Profile),
            None => ContainerCommand::Unknown { because: None },
        };
    }
    match registry.map(|registry| registry.get(container.image)) {
        None => ContainerCommand::Unknown { because: None },
        Some(None) => ContainerCommand::Ask,
        Some(Some(Err(reason))) => ContainerCommand::Unknown { because: Some(reason.clone()) },
        Some(Some(Ok(config))) => match combine(&config.entrypoint, &config.cmd, has_args) {
            Some(words) => image(words, CommandSource::Registry),
            None => ContainerCommand::Unknown { because: Some("the image has none either".to_owned()) },
        },
    }
}

/// The words before the spec's `args`; none where nothing is left to run. Without an ENTRYPOINT the first of the
/// `args` is the program.
fn combine(entrypoint: &[String], cmd: &[String], has_args: bool) -> Option<Vec<String>> {
    let cmd = if has_args { &[] } else { cmd };
    let words: Vec<_> = entrypoint.iter().chain(cmd).cloned().collect();
    (has_args || !words.is_empty()).then_some(words)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
        let read = EntrypointAnnotation::read(&pod, &tasks).map_err(|error| error.to_string())?;
        let each = tasks.iter().map(|task| format!("{:?}", runs(task, &read, &[], None)));
        Ok(each.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn the_annotation_speaks_for_containers_without_a_command() {
        let one = json!([{"name": "a"}, {"name": "b", "command": ["x"]}]);
        assert_eq!(
            annotated(r#"["run", "-v", ""]"#, &one).unwrap(),
            r#"Image { words: ["run", "-v", ""], told_by: Annotation } Spec"#
        );
        let two = json!([{"name": "a"}, {"name": "b"}]);
        assert_eq!(
            annotated(r#"{"b": ["run"]}"#, &two).unwrap(),
            r#"Unknown { because: None } Image { words: ["run"], told_by: Annotation }"#
        );
    }

    #[test]
    fn an_annotation_that_cannot_be_meant_is_refused_by_its_name() {
        let two = json!([{"name": "a"}, {"name": "b"}]);
        for (annotation, what) in [
            ("run -v", "is not valid JSON"),
            ("", "is not valid JSON"),
            (r#""run""#, "is not an array"),
            ("[]", "is an empty array"),
            (r#"["", "x"]"#, "is an array with an empty program name"),
            (r#"["run", 1]"#, "is an array with elements that are not strings"),
            (r#"["run"]"#, r#"is a single array, but several containers have no command ("a", "b")"#),
            (r#"{"c": ["run"]}"#, r#"names container "c", but the task containers are "a", "b""#),
            (r#"{"a": "run"}"#, r#"has a value for container "a" that is not an array"#),
            (r#"{"a": []}"#, r#"has a value for container "a" that is an empty array"#),
            (&format!("[\"{}\"]", "x".repeat(MAX_BYTES)), "has 65540 bytes, the limit is 65536"),
        ] {
            let error = annotated(annotation, &two).unwrap_err();
            let start = format!("annotation {} {what}: set", names::ANNOTATION_ENTRYPOINT);
            assert!(error.starts_with(&start), "{annotation}: {error}");
        }
    }

    /// The table of the page that the module names.
    #[test]
    fn entrypoint_cmd_and_args_combine_as_kubernetes_has_it() {
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
    fn the_profiles_table_counts_before_the_registry() {
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
        let images = [
            ("etl/runner:2".to_owned(), Ok(config.clone())),
            ("other".to_owned(), Ok(config)),
            ("gone".to_owned(), Err("it is gone".to_owned())),
        ];
        let images = images.into_iter().collect();
        let runs = |registry| {
            let each = pod
                .containers
                .iter()
                .map(|container| runs(container, &EntrypointAnnotation::Nothing, &table, registry));
            each.collect::<Vec<_>>()
        };
        let known = |word: &str, told_by| ContainerCommand::Image { words: vec![word.to_owned()], told_by };
        let unknown =
            |because: Option<&str>| ContainerCommand::Unknown { because: because.map(str::to_owned) };
        assert_eq!(
            runs(Some(&images)),
            [
                known("table", CommandSource::Profile),
                known("registry", CommandSource::Registry),
                unknown(Some("it is gone")),
                ContainerCommand::Ask
            ]
        );
        assert_eq!(runs(None)[1..], [unknown(None), unknown(None), unknown(None)]);
    }

    use super::super::image_lookup::ImageConfig;
}
