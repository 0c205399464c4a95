//! The annotation `bootlace.dev/pipe-in`: inputs that the spec of the pod does not reference, and details for
//! keys with several candidates.

use bootlace_launch::handover::is_data_key;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::InputError;
use super::references::PREFIX;
use super::wait_spec::MAX_WAIT_SECONDS;
use crate::names;
use crate::output::{ObjectKind, key};
use crate::pod::Pod;
use crate::yaml_list;

/// An entry. Without `mountPath` and `env`, it only selects the output that placeholders with its key mean.
#[derive(Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct PipeIn {
    /// Key that the earlier task declares.
    pub(super) key: String,
    /// Mount path of the files in the task containers, or of the file if `file` is set.
    pub(super) mount_path: Option<String>,
    /// Variable of the task containers whose value is the file.
    pub(super) env: Option<String>,
    /// Name of a file of the output.
    pub(super) file: Option<String>,
    /// Container that uses the input. Defaults to all task containers.
    pub(super) container: Option<String>,
    /// Short name of the scheduler. Defaults to that of the pod.
    pub(super) scheduler: Option<String>,
    /// Workflow. Defaults to that of the pod.
    pub(super) workflow: Option<String>,
    /// Run. Defaults to that of the pod.
    pub(super) run: Option<String>,
    /// Task that stores the output.
    pub(super) task: Option<String>,
    /// Map index of that task.
    #[serde(deserialize_with = "text_or_number")]
    pub(super) map_index: Option<String>,
    /// Kind of the object. Required with `wait`.
    pub(super) kind: Option<ObjectKind>,
    /// Seconds that the pod waits for the output if it is not stored yet.
    #[serde(deserialize_with = "seconds")]
    pub(super) wait: Option<u32>,
}

impl PipeIn {
    /// Whether the entry itself uses the input.
    pub(super) fn has_use(&self) -> bool {
        self.mount_path.is_some() || self.env.is_some()
    }

    /// Describes where the input is used.
    pub(super) fn describe(&self) -> String {
        match (&self.mount_path, &self.env) {
            (Some(path), _) => format!("mountPath {path:?}"),
            (None, Some(name)) => format!("variable {name:?}"),
            (None, None) => format!("annotation {}", names::ANNOTATION_PIPE_IN),
        }
    }
}

/// The entries of a pod, in order.
pub(super) fn parse(pod: &Pod<'_>) -> Result<Vec<PipeIn>, InputError> {
    let Some(text) = pod.annotations.get(names::ANNOTATION_PIPE_IN) else { return Ok(Vec::new()) };
    let list = yaml_list::read(text).map_err(|reason| InputError::InvalidList { reason })?;
    let mut entries: Vec<PipeIn> = Vec::with_capacity(list.len());
    for (position, value) in list.into_iter().enumerate() {
        let invalid = |message: String| InputError::Entry { position, message };
        let mut entry: PipeIn = serde_json::from_value(value).map_err(|error| invalid(error.to_string()))?;
        let placeholder_key = key::of_placeholder(&entry.key).or_else(|| entry.key.strip_prefix(PREFIX));
        if let Some(key) = placeholder_key.map(str::to_owned) {
            entry.key = key;
        }
        check(&entry).map_err(|message| invalid(message.to_owned()))?;
        entries.push(entry);
    }
    Ok(entries)
}

fn check(entry: &PipeIn) -> Result<(), &'static str> {
    let PipeIn { key, mount_path, env, file, .. } = entry;
    if !is_data_key(key) {
        return Err(
            "key is missing or invalid: set the key that the earlier task declares, of letters, digits, \"-\", \"_\" and \".\"",
        );
    }
    if entry.wait.is_some() {
        check_wait(entry)?;
    }
    match (mount_path, env) {
        (Some(_), Some(_)) => {
            Err("mountPath and env are mutually exclusive: remove one of them, or add another entry for it")
        }
        (Some(path), None) if !path.starts_with('/') || path.contains(':') || path == "/" => {
            Err("mountPath is invalid: must be an absolute path without a colon, such as /etc/tls")
        }
        (None, Some(name)) if name.is_empty() || name.contains(['=', '\0']) => {
            Err("env is invalid: must be the name of a variable, without \"=\"")
        }
        (None, None) if file.is_some() || entry.container.is_some() => {
            Err("file and container require mountPath or env: set one of them")
        }
        _ => match file {
            Some(file) if !is_data_key(file) => Err("file is invalid: must be a file name without a path"),
            _ => Ok(()),
        },
    }
}

/// Checks that the object name is fully determined: the spec of the pod references it before the output
/// exists, and is immutable.
fn check_wait(entry: &PipeIn) -> Result<(), &'static str> {
    if entry.kind.is_none() || entry.task.is_none() {
        return Err(
            "wait requires kind and task, because the pipe is not stored yet: set kind to ConfigMap or Secret, task, and \
             mapIndex if that task is mapped",
        );
    }
    if entry.env.is_some() && entry.file.is_none() {
        return Err("wait with env requires file, because the pipe is not stored yet: set file");
    }
    Ok(())
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let number = Option::<Value>::deserialize(deserializer)?;
    number
        .map(|number| {
            let seconds = number.as_u64().and_then(|seconds| u32::try_from(seconds).ok());
            seconds.filter(|seconds| (1..=MAX_WAIT_SECONDS).contains(seconds)).ok_or_else(|| {
                D::Error::custom(format!(
                    "wait is invalid: must be a number of seconds from 1 to {MAX_WAIT_SECONDS}"
                ))
            })
        })
        .transpose()
}

/// In YAML, an index is a number.
fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "mapIndex is invalid: must be a number or a string")]
    enum Index {
        Number(u64),
        Text(String),
    }
    Ok(Option::<Index>::deserialize(deserializer)?.map(|index| match index {
        Index::Number(number) => number.to_string(),
        Index::Text(text) => text,
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pod::Json;

    fn entries(text: &str) -> Result<Vec<PipeIn>, String> {
        let pod = json!({"metadata": {"annotations": {names::ANNOTATION_PIPE_IN: text}}});
        parse(&Pod::read(&Json::from(&pod)).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn entries_are_read_with_all_that_they_can_say() {
        let own = |text: &str| Some(text.to_owned());
        assert_eq!(
            entries(
                "- {key: Cert, mountPath: /etc/tls, task: gencert, mapIndex: 3}\n- key: '{{.Pipes.B}}'\n  env: TOKEN\n  \
                 file: token\n- {key: 'pipe:C', run: r, workflow: w, scheduler: airflow, mapIndex: '1-2'}\n"
            )
            .unwrap(),
            [
                PipeIn {
                    key: "Cert".to_owned(),
                    mount_path: own("/etc/tls"),
                    task: own("gencert"),
                    map_index: own("3"),
                    ..PipeIn::default()
                },
                PipeIn { key: "B".to_owned(), env: own("TOKEN"), file: own("token"), ..PipeIn::default() },
                PipeIn {
                    key: "C".to_owned(),
                    run: own("r"),
                    workflow: own("w"),
                    scheduler: own("airflow"),
                    map_index: own("1-2"),
                    ..PipeIn::default()
                },
            ]
        );
        assert_eq!(
            entries("- {key: D, env: D, file: d, wait: 300, kind: ConfigMap, task: t}").unwrap(),
            [PipeIn {
                key: "D".to_owned(),
                env: own("D"),
                file: own("d"),
                wait: Some(300),
                kind: Some(ObjectKind::ConfigMap),
                task: own("t"),
                ..PipeIn::default()
            }]
        );
        assert_eq!(entries("[]").unwrap(), []);
    }

    #[test]
    fn invalid_entries_are_refused_with_their_position_and_field() {
        for (text, detail) in [
            ("key: A", "annotation bootlace.dev/pipe-in is not a valid YAML list"),
            ("- [", "annotation bootlace.dev/pipe-in is not a valid YAML list"),
            ("- {key: A, path: /a}", "entry 1: unknown field `path`"),
            ("- {mountPath: /a}", "entry 1: key "),
            ("- {key: a b, mountPath: /a}", "entry 1: key "),
            ("- {key: A, mountPath: /a, env: A}", "entry 1: mountPath and env "),
            ("- {key: A, mountPath: a}", "entry 1: mountPath "),
            ("- {key: A, mountPath: /}", "entry 1: mountPath "),
            ("- {key: A, env: A=B}", "entry 1: env "),
            ("- {key: A, file: a}", "entry 1: file and container "),
            ("- {key: A, env: A, file: a/b}", "entry 1: file "),
            ("- {key: A, mapIndex: [1]}", "entry 1: mapIndex "),
            ("- {key: A, mountPath: /a}\n- {key: A, env: A, wait: 5m}", "entry 2: wait "),
            ("- {key: A, mountPath: /a, wait: 0}", "entry 1: wait "),
            ("- {key: A, mountPath: /a, wait: 3601}", "3600"),
            ("- {key: A, mountPath: /a, wait: -1}", "entry 1: wait "),
            ("- {key: A, mountPath: /a, wait: 9, task: t}", "entry 1: wait requires kind"),
            ("- {key: A, wait: 9, kind: Secret}", "entry 1: wait requires kind and task"),
            ("- {key: A, wait: 9, kind: Pod, task: t}", "entry 1: unknown variant `Pod`"),
            ("- {key: A, env: A, wait: 9, kind: Secret, task: t}", "entry 1: wait with env requires file"),
        ] {
            let error = entries(text).unwrap_err();
            assert!(error.contains(detail), "{text}: {error}");
        }
    }
}
