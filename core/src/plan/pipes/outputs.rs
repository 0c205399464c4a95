//! What a pod's tasks hand over: the profile's outputs, and those of the pod's annotation.

use super::PipesError;
use crate::names;
use crate::output::key;
use crate::pod::{Container, List, Pod};
use crate::profile::Profile;
use crate::profile::pipes::Output;
use crate::profile::rules;
use crate::yaml_list;
use bootlace_launch::handover::MAX_OUTPUTS;

/// The outputs of a pod, each with its container.
#[derive(Debug, Default)]
pub(in crate::plan) struct Outputs(Vec<Output>);

impl Outputs {
    /// What the pod with these task containers hands over.
    pub(in crate::plan) fn declared(
        pod: &Pod<'_>,
        tasks: &[&Container<'_>],
        profile: &Profile,
    ) -> Result<Self, PipesError> {
        let (tasks, init): (Vec<_>, Vec<_>) = tasks.iter().partition(|task| task.list == List::App);
        let (tasks, init) = (&*tasks, &*init);
        let own = match pod.annotations.get(names::ANNOTATION_PIPE_OUT) {
            Some(text) => annotated(text)?,
            None => Vec::new(),
        };
        let of_profile = &profile.spec.pipes.outputs;
        if own.is_empty() && of_profile.is_empty() {
            return Ok(Self::default());
        }
        let of_profile =
            of_profile.iter().filter(|says| !own.iter().any(|output| output.key == says.key)).cloned();
        let by_profile =
            |output| assigned(output, tasks, init, &|| format!("BootProfile {:?}", profile.name));
        let by_pod =
            |output| assigned(output, tasks, init, &|| format!("annotation {}", names::ANNOTATION_PIPE_OUT));
        let outputs: Vec<_> =
            of_profile.map(by_profile).chain(own.iter().cloned().map(by_pod)).collect::<Result<_, _>>()?;
        if outputs.len() > MAX_OUTPUTS {
            return Err(PipesError::TooMany { count: outputs.len() });
        }
        Ok(Self(outputs))
    }

    pub(in crate::plan) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those of one container.
    pub(in crate::plan) fn of(&self, container: &str) -> impl Iterator<Item = &Output> {
        self.0.iter().filter(move |output| output.container.as_deref() == Some(container))
    }
}

/// The outputs of the annotation.
fn annotated(text: &str) -> Result<Vec<Output>, PipesError> {
    let entries = yaml_list::read(text).map_err(|why| PipesError::NoList { why })?;
    let mut outputs: Vec<Output> = Vec::with_capacity(entries.len());
    for (position, mut entry) in entries.into_iter().enumerate() {
        let wrong = |what: String| PipesError::Entry { position, what };
        if let Some(key) = entry.get_mut("key")
            && let Some(text) = key.as_str().and_then(key::of_placeholder)
        {
            // KUDO writes the placeholder where the key is declared, too.
            *key = text.to_owned().into();
        }
        let output: Output = serde_json::from_value(entry).map_err(|error| wrong(error.to_string()))?;
        if output.file.len() > MAX_FILE_BYTES {
            return Err(wrong(format!("file is longer than {MAX_FILE_BYTES} bytes: use a shorter path")));
        }
        rules::output("", &output).map_err(|broken| wrong(broken.message))?;
        if outputs.iter().any(|earlier| earlier.key == output.key) {
            return Err(PipesError::Twice { key: output.key });
        }
        outputs.push(output);
    }
    Ok(outputs)
}

/// As in the profile's schema.
const MAX_FILE_BYTES: usize = 1024;

fn assigned(
    output: Output,
    tasks: &[&Container<'_>],
    init: &[&Container<'_>],
    by: &dyn Fn() -> String,
) -> Result<Output, PipesError> {
    let known = || tasks.iter().map(|task| task.name.to_owned()).collect::<Vec<_>>();
    let container = match (&output.container, tasks) {
        (Some(name), _) if tasks.iter().any(|task| task.name == name) => name.clone(),
        (Some(name), _) if init.iter().any(|task| task.name == name) => {
            return Err(PipesError::OfInitContainer { by: by(), key: output.key, container: name.clone() });
        }
        (Some(name), _) => {
            return Err(PipesError::NoTask {
                by: by(),
                key: output.key,
                container: name.clone(),
                known: known(),
            });
        }
        (None, [only]) => only.name.to_owned(),
        (None, []) if let [first, ..] = init => {
            let container = first.name.to_owned();
            return Err(PipesError::OfInitContainer { by: by(), key: output.key, container });
        }
        (None, _) => return Err(PipesError::WhichTask { by: by(), key: output.key, known: known() }),
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
        assert_eq!(declared(Some(twice), "[]", &["main"]), Err(PipesError::Twice { key: own("A") }));
        let by = format!("annotation {}", names::ANNOTATION_PIPE_OUT);
        let side = "- {key: A, file: /a, kind: Secret, container: side}";
        let (key, container, known) = (own("A"), own("side"), vec![own("main")]);
        let no_task = PipesError::NoTask { by: by.clone(), key, container, known };
        assert_eq!(declared(Some(side), "[]", &["main"]), Err(no_task));
        let which = |by| PipesError::WhichTask { by, key: own("A"), known: vec![own("one"), own("two")] };
        let open = "- {key: A, file: /a, kind: Secret}";
        assert_eq!(declared(Some(open), "[]", &["one", "two"]), Err(which(by)));
        let of_profile = declared(None, "[{key: A, file: /a, kind: Secret}]", &["one", "two"]);
        assert_eq!(of_profile, Err(which("BootProfile \"etl\"".to_owned())));
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
