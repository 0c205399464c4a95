//! The outputs of the tasks of a pod: those of the profile and those in the annotation of the pod.

use super::PipesError;
use crate::names;
use crate::output::key;
use crate::pod::{Container, List, Pod};
use crate::profile::Profile;
use crate::profile::pipes::Output;
use crate::profile::rules;
use crate::yaml_list;
use bootlace_launch::handover::MAX_OUTPUTS;

/// The outputs of a pod, with their containers.
#[derive(Debug, Default)]
pub(in crate::plan) struct Outputs(Vec<Output>);

impl Outputs {
    /// The outputs that the profile and a pod with these task containers declare.
    pub(in crate::plan) fn declared(
        pod: &Pod<'_>,
        tasks: &[&Container<'_>],
        profile: &Profile,
    ) -> Result<Self, PipesError> {
        let (tasks, init): (Vec<_>, Vec<_>) = tasks.iter().partition(|task| task.list == List::App);
        let (tasks, init) = (&*tasks, &*init);
        let annotated = match pod.annotations.get(names::ANNOTATION_PIPE_OUT) {
            Some(text) => parse_annotation(text)?,
            None => Vec::new(),
        };
        let in_profile = &profile.spec.pipes.outputs;
        if annotated.is_empty() && in_profile.is_empty() {
            return Ok(Self::default());
        }
        let in_profile = in_profile
            .iter()
            .filter(|declared| !annotated.iter().any(|output| output.key == declared.key))
            .cloned();
        let assign_profile =
            |output| assign(output, tasks, init, &|| format!("BootProfile {:?}", profile.name));
        let assign_pod =
            |output| assign(output, tasks, init, &|| format!("annotation {}", names::ANNOTATION_PIPE_OUT));
        let outputs: Vec<_> = in_profile
            .map(assign_profile)
            .chain(annotated.iter().cloned().map(assign_pod))
            .collect::<Result<_, _>>()?;
        if outputs.len() > MAX_OUTPUTS {
            return Err(PipesError::TooMany { count: outputs.len() });
        }
        Ok(Self(outputs))
    }

    pub(in crate::plan) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The outputs of one container.
    pub(in crate::plan) fn of_container(&self, container: &str) -> impl Iterator<Item = &Output> {
        self.0.iter().filter(move |output| output.container.as_deref() == Some(container))
    }
}

/// The outputs in the annotation.
fn parse_annotation(text: &str) -> Result<Vec<Output>, PipesError> {
    let entries = yaml_list::read(text).map_err(|reason| PipesError::NotAList { reason })?;
    let mut outputs: Vec<Output> = Vec::with_capacity(entries.len());
    for (position, mut entry) in entries.into_iter().enumerate() {
        let invalid = |problem: String| PipesError::InvalidEntry { position, problem };
        if let Some(key) = entry.get_mut("key")
            && let Some(text) = key.as_str().and_then(key::of_placeholder)
        {
            // KUDO uses the placeholder also in the declaration of the key.
            *key = text.to_owned().into();
        }
        let output: Output = serde_json::from_value(entry).map_err(|error| invalid(error.to_string()))?;
        if output.file.len() > MAX_FILE_BYTES {
            return Err(invalid(format!("file is longer than {MAX_FILE_BYTES} bytes: use a shorter path")));
        }
        rules::output("", &output).map_err(|broken| invalid(broken.message))?;
        if outputs.iter().any(|earlier| earlier.key == output.key) {
            return Err(PipesError::DuplicateKey { key: output.key });
        }
        outputs.push(output);
    }
    Ok(outputs)
}

/// The limit in the schema of the profile.
const MAX_FILE_BYTES: usize = 1024;

fn assign(
    output: Output,
    tasks: &[&Container<'_>],
    init: &[&Container<'_>],
    declared_in: &dyn Fn() -> String,
) -> Result<Output, PipesError> {
    let available = || tasks.iter().map(|task| task.name.to_owned()).collect::<Vec<_>>();
    let container = match (&output.container, tasks) {
        (Some(name), _) if tasks.iter().any(|task| task.name == name) => name.clone(),
        (Some(name), _) if init.iter().any(|task| task.name == name) => {
            return Err(PipesError::InitContainer {
                declared_in: declared_in(),
                key: output.key,
                container: name.clone(),
            });
        }
        (Some(name), _) => {
            return Err(PipesError::NotATaskContainer {
                declared_in: declared_in(),
                key: output.key,
                container: name.clone(),
                available: available(),
            });
        }
        (None, [only]) => only.name.to_owned(),
        (None, []) if let [first, ..] = init => {
            let container = first.name.to_owned();
            return Err(PipesError::InitContainer { declared_in: declared_in(), key: output.key, container });
        }
        (None, _) => {
            return Err(PipesError::AmbiguousContainer {
                declared_in: declared_in(),
                key: output.key,
                available: available(),
            });
        }
    };
    Ok(Output { container: Some(container), ..output })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pod::Json;
    use crate::profile::BootProfileSpec;

    fn declared(annotation: Option<&str>, profile: &str, containers: &[&str]) -> Result<String, PipesError> {
        let containers: Vec<_> = containers.iter().map(|name| json!({"name": name})).collect();
        let mut pod = json!({"metadata": {}, "spec": {"containers": containers}});
        if let Some(text) = annotation {
            pod["metadata"]["annotations"] = json!({names::ANNOTATION_PIPE_OUT: text});
        }
        let pod = Json::from(&pod);
        let pod = Pod::read(&pod).unwrap();
        let tasks: Vec<_> = pod.containers.iter().collect();
        let spec: BootProfileSpec =
            serde_saphyr::from_str(&format!("{{pipes: {{outputs: {profile}}}}}")).unwrap();
        let profile = Profile { name: "etl".to_owned(), spec, ..Profile::default() };
        let outputs = Outputs::declared(&pod, &tasks, &profile)?;
        let word = |output: &Output| {
            let optional = if output.optional { "?" } else { "" };
            let container = output.container.as_deref().unwrap();
            format!("{container}:{}{optional}={}:{}", output.key, output.kind.as_str(), output.file)
        };
        Ok(outputs.0.iter().map(word).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn the_annotations_outputs_come_after_the_profiles_and_in_their_place() {
        let profile =
            "[{key: Log, file: /l, kind: ConfigMap, optional: true}, {key: A, file: /a, kind: Secret}]";
        assert_eq!(declared(None, profile, &["main"]).unwrap(), "main:Log?=ConfigMap:/l main:A=Secret:/a");
        let own = "- {key: A, file: '/b/*.pem', kind: ConfigMap}\n- key: \"{{.Pipes.Cert}}\"\n  file: /c\n  kind: Secret\n";
        assert_eq!(
            declared(Some(own), profile, &["main"]).unwrap(),
            "main:Log?=ConfigMap:/l main:A=ConfigMap:/b/*.pem main:Cert=Secret:/c"
        );
        let own = "[{key: A, file: /a, kind: Secret, container: two}, {key: B, file: /b, kind: Secret, container: one}]";
        assert_eq!(declared(Some(own), "[]", &["one", "two"]).unwrap(), "two:A=Secret:/a one:B=Secret:/b");
        assert_eq!(declared(Some("[]"), "[]", &["one"]).unwrap(), "");
        assert_eq!(declared(None, "[]", &["one"]).unwrap(), "");
    }

    #[test]
    fn invalid_outputs_are_refused() {
        for (annotation, detail) in [
            ("", "annotation bootlace.dev/pipe-out is not a valid YAML list"),
            ("{key: A}", "annotation bootlace.dev/pipe-out is not a valid YAML list"),
            ("- [", "annotation bootlace.dev/pipe-out is not a valid YAML list"),
            ("- A", "entry 1: invalid type: string \"A\""),
            (
                "- {key: A, file: /a, kind: Pod}",
                "entry 1: unknown variant `Pod`, expected `ConfigMap` or `Secret`",
            ),
            ("- {key: A, file: /a}", "entry 1: missing field `kind`"),
            (
                "- {key: A, path: /a, kind: Secret}",
                "entry 1: unknown field `path`, expected one of `key`, `file`",
            ),
            ("- {key: A/B, file: /a, kind: Secret}", "entry 1: key "),
            ("- {key: ..a, file: /a, kind: Secret}", "entry 1: key "),
            ("- {key: A, file: a, kind: Secret}", "entry 1: file must be an absolute path"),
            ("- {key: A, file: /out/, kind: Secret}", "entry 1: file must be an absolute path"),
            ("- {key: A, file: /out/**/a, kind: Secret}", "entry 1: file must not contain"),
            ("- {key: A, file: /out/../a, kind: Secret}", "entry 1: file must not contain"),
        ] {
            let error = declared(Some(annotation), "[]", &["main"]).unwrap_err().to_string();
            assert!(error.contains(detail), "{annotation:?}: {error}");
        }
        let own = |text: &str| text.to_owned();
        let twice = "[{key: A, file: /a, kind: Secret}, {key: A, file: /b, kind: Secret}]";
        assert_eq!(declared(Some(twice), "[]", &["main"]), Err(PipesError::DuplicateKey { key: own("A") }));
        let declared_in = format!("annotation {}", names::ANNOTATION_PIPE_OUT);
        let side = "- {key: A, file: /a, kind: Secret, container: side}";
        let (key, container, available) = (own("A"), own("side"), vec![own("main")]);
        let no_task =
            PipesError::NotATaskContainer { declared_in: declared_in.clone(), key, container, available };
        assert_eq!(declared(Some(side), "[]", &["main"]), Err(no_task));
        let ambiguous = |declared_in| PipesError::AmbiguousContainer {
            declared_in,
            key: own("A"),
            available: vec![own("one"), own("two")],
        };
        let open = "- {key: A, file: /a, kind: Secret}";
        assert_eq!(declared(Some(open), "[]", &["one", "two"]), Err(ambiguous(declared_in)));
        let in_profile = declared(None, "[{key: A, file: /a, kind: Secret}]", &["one", "two"]);
        assert_eq!(in_profile, Err(ambiguous("BootProfile \"etl\"".to_owned())));
        let long = format!("- {{key: A, file: /{}, kind: Secret}}", "x".repeat(1024));
        assert!(declared(Some(&long), "[]", &["main"]).unwrap_err().to_string().contains("1024 bytes"));
        let many: Vec<_> =
            (0..=MAX_OUTPUTS).map(|n| format!("{{key: K{n}, file: /a, kind: Secret}}")).collect();
        let many = format!("[{}]", many.join(", "));
        assert_eq!(
            declared(Some(&many), "[]", &["main"]),
            Err(PipesError::TooMany { count: MAX_OUTPUTS + 1 })
        );
    }
}
