//! The runs of Airflow in OpenLineage, with the IDs that its own provider computes. A task of Airflow is a
//! run, whose parent is the run of the DAG.
//!
//! Read from apache-airflow-providers-openlineage 2.20.3 (`build_task_instance_ol_run_id` and
//! `build_dag_run_ol_run_id` in `utils/utils.py`, `lineage_parent_id` in `plugins/macros.py`). A value that
//! the provider hashes and the pod does not contain for certain makes the run unknown: another ID would be
//! that of a run that does not exist.

use time::OffsetDateTime;

use super::lineage::{instant, static_uuid};
use super::{JobRun, Lineage};
use crate::identity::airflow_safe_time;
use crate::names;
use crate::pod::Pod;

/// Hexadecimal digits at the end of a label value that Airflow has changed.
const HASH_DIGITS: usize = 9;
/// The map index of a task that is not mapped.
const NOT_MAPPED: &str = "-1";
/// Annotations with the logical date, of which the second is the name before Airflow 3. The executor can set
/// them, and authors of DAGs can.
const LOGICAL_DATE: [&str; 2] = ["logical_date", "execution_date"];

/// What the profile adds to the pod.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settings<'s> {
    /// The namespace of the jobs.
    pub namespace: &'s str,
    /// The logical date of the run, if the pod does not contain it.
    pub logical_date: Option<OffsetDateTime>,
    /// How often the run was cleared.
    pub clear_number: Option<u32>,
}

/// Why the pod does not determine a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownRun {
    /// The pod has no ID.
    #[error("the pod has no label or annotation {name}: set {} in the pod", names::ENV_LINEAGE_PARENT)]
    NoId {
        /// The name of the label or annotation.
        name: &'static str,
    },
    /// A label may not be the original ID.
    #[error(
        "label {name} of the pod ends like a hash, so Airflow may have changed the ID: use an ID of at most 63 letters, digits, \
         `-`, `_` and `.`, or set {} in the pod",
        names::ENV_LINEAGE_PARENT
    )]
    ChangedId {
        /// The name of the label.
        name: &'static str,
    },
    /// The logical date is unknown.
    #[error(
        "the pod does not contain the logical date of the run: set openLineage.airflow.logicalDate of the source, annotation {} \
         or {} of the pod",
        LOGICAL_DATE[0],
        names::ENV_LINEAGE_PARENT
    )]
    NoLogicalDate,
    /// No client of OpenLineage supports the logical date.
    #[error("the logical date of the run is before 1970: correct it")]
    TooEarly,
    /// It is unknown how often the run was cleared.
    #[error(
        "pods of Airflow do not contain how often the run was cleared: set openLineage.airflow.clearNumber of the source, or {} in \
         the pod",
        names::ENV_LINEAGE_ROOT
    )]
    NoClearNumber,
}

/// The run of the task of `pod`, and that of its DAG run. The second is unknown more often.
///
/// # Errors
/// If the run of the task is unknown.
pub fn lineage(pod: &Pod<'_>, settings: Settings<'_>) -> Result<(Lineage, Option<UnknownRun>), UnknownRun> {
    let Settings { namespace, logical_date: given, clear_number } = settings;
    let id = |name| id(pod, name)?.ok_or(UnknownRun::NoId { name });
    let (dag, task, attempt) = (id("dag_id")?, id("task_id")?, id("try_number")?);
    let map_index = self::id(pod, "map_index")?.unwrap_or(NOT_MAPPED);
    let date = logical_date(pod).or(given).ok_or(UnknownRun::NoLogicalDate)?;
    let run = |job: String, data: String| {
        let run = static_uuid(date, &data).ok_or(UnknownRun::TooEarly)?;
        Ok(JobRun { namespace: namespace.to_owned(), job, run })
    };
    let parent = run(format!("{dag}.{task}"), format!("{namespace}.{dag}.{task}.{attempt}.{map_index}"))?;
    match clear_number {
        Some(number) => {
            let root = run(dag.to_owned(), format!("{namespace}.{dag}.{number}"))?;
            Ok((Lineage { parent, root: Some(root) }, None))
        }
        None => Ok((Lineage { parent, root: None }, Some(UnknownRun::NoClearNumber))),
    }
}

/// Whether the pod is a worker of the Kubernetes executor, whose annotations contain the original IDs.
fn is_worker(pod: &Pod<'_>) -> bool {
    pod.labels.get("kubernetes_executor") == Some("True")
}

/// An ID, if it is certain.
fn id<'a>(pod: &Pod<'a>, name: &'static str) -> Result<Option<&'a str>, UnknownRun> {
    if is_worker(pod) {
        return Ok(pod.annotations.get(name));
    }
    match pod.labels.get(name) {
        Some(label) if ends_in_hash(label) => Err(UnknownRun::ChangedId { name }),
        label => Ok(label),
    }
}

/// Whether a label value may be one that Airflow has changed: it then ends with a part of a hash.
/// <https://github.com/apache/airflow/blob/providers-cncf-kubernetes/10.25.0/providers/cncf/kubernetes/src/airflow/providers/cncf/kubernetes/pod_generator.py>
/// (`make_safe_label_value`)
fn ends_in_hash(label: &str) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let end = label.rsplit_once('-').map(|(_, end)| end);
    end.is_some_and(|end| end.len() == HASH_DIGITS && end.bytes().all(is_digit))
}

/// The logical date of the run, if the pod contains it. The provider uses `run_after` for a run without one.
///
/// The ID of a run contains a time: in Airflow 2 the logical date, in Airflow 3 `run_after`. The timetable
/// decides whether these are equal. Only a run that an asset has triggered never has a logical date in
/// Airflow 3. The time in the ID of a manual run is not used: its creator can choose the ID. Other runs have
/// IDs that Airflow reserves for them.
/// <https://github.com/apache/airflow/blob/2.10.5/airflow/utils/types.py#L86>,
/// <https://github.com/apache/airflow/blob/3.3.2/airflow-core/src/airflow/models/dagrun.py#L847>
/// (`generate_run_id`)
fn logical_date(pod: &Pod<'_>) -> Option<OffsetDateTime> {
    if let Some(text) = LOGICAL_DATE.iter().find_map(|name| pod.annotations.get(name)) {
        return instant(text);
    }
    let worker = is_worker(pod);
    let id = if worker { pod.annotations.get("run_id") } else { pod.labels.get("run_id") }?;
    let (kind, rest) = id.split_once("__")?;
    // Without the hash of a label, which Airflow has changed because of the colons.
    let rest = if worker { rest } else { rest.rsplit_once('-')?.0 };
    let version = pod.labels.get("airflow_version")?.split('.').next()?;
    let time = match (version, kind) {
        ("2", "scheduled" | "backfill" | "dataset_triggered") => rest,
        // A random text follows the time of a run without a logical date.
        ("3", "asset_triggered") => rest.split_once('_')?.0,
        _ => return None,
    };
    if worker { instant(time) } else { instant(&airflow_safe_time(time)?) }
}

/// The exact IDs of DAG and run, as labels of operator and executor contain them. Both create pods of one
/// run, and only the executor sets annotations.
#[must_use]
pub fn run<'a>(pod: &Pod<'a>) -> Option<(&'a str, &'a str)> {
    Some((pod.labels.get("dag_id")?, pod.labels.get("run_id")?))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;
    use crate::pod::Json;

    /// A pod, and what the provider returns for its task: see `core/tests/openlineage`.
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Sample {
        metadata: Value,
        logical_date: String,
        clear_number: u32,
        parent: String,
        root: String,
    }

    const NAMESPACE: &str = "prod";

    fn samples() -> Vec<Sample> {
        let text = include_str!("../../tests/openlineage/samples.json");
        let mut samples: Value = serde_json::from_str(text).unwrap();
        assert_eq!(samples["namespace"], NAMESPACE);
        serde_json::from_value(samples["runs"].take()).unwrap()
    }

    fn known(metadata: &Value, settings: Settings<'_>) -> Result<(Lineage, Option<UnknownRun>), UnknownRun> {
        let json = json!({ "metadata": metadata });
        let json = Json::from(&json);
        lineage(&Pod::read(&json).unwrap(), settings)
    }

    fn ids((lineage, _): (Lineage, Option<UnknownRun>)) -> (String, String) {
        (lineage.parent.id().unwrap(), lineage.root.unwrap().id().unwrap())
    }

    /// With what the profile can add, only IDs that Airflow has changed are unknown.
    #[test]
    fn the_runs_are_those_of_the_provider() {
        let mut changed = 0;
        for Sample { metadata, logical_date, clear_number, parent, root } in samples() {
            let settings = Settings {
                namespace: NAMESPACE,
                logical_date: instant(&logical_date),
                clear_number: Some(clear_number),
            };
            match known(&metadata, settings) {
                Ok(found) => assert_eq!(ids(found), (parent, root), "{metadata}"),
                Err(problem) => {
                    assert_eq!(problem, UnknownRun::ChangedId { name: "dag_id" }, "{metadata}");
                    changed += 1;
                }
            }
        }
        assert_eq!(changed, 2, "the operator has changed the ID of two DAGs");
    }

    /// From the pod alone, a run is unknown or that of the provider, never another one.
    #[test]
    fn a_run_that_is_not_certain_is_unknown() {
        let settings = Settings { namespace: NAMESPACE, logical_date: None, clear_number: Some(0) };
        let mut dates = 0;
        for Sample { metadata, clear_number, parent, root, .. } in samples() {
            let settings = Settings { clear_number: Some(clear_number), ..settings };
            let id = metadata["labels"]["run_id"].as_str().unwrap();
            let kind = id.split_once("__").unwrap().0;
            let version = metadata["labels"]["airflow_version"].as_str().unwrap();
            let is_certain = match kind {
                "asset_triggered" => version.starts_with("3."),
                "manual" => false,
                _ => version.starts_with("2."),
            };
            match known(&metadata, settings) {
                Ok(found) => {
                    assert!(is_certain, "{metadata}");
                    assert_eq!(ids(found), (parent, root), "{metadata}");
                    dates += 1;
                }
                Err(UnknownRun::ChangedId { .. }) => {}
                Err(problem) => {
                    assert_eq!(problem, UnknownRun::NoLogicalDate);
                    assert!(!is_certain, "{metadata}");
                }
            }
        }
        assert!(dates > 15, "{dates}");
    }

    #[test]
    fn an_annotation_with_the_logical_date_is_used() {
        let metadata = |annotations: Value| {
            json!({
                "labels": {
                    "dag_id": "etl", "task_id": "load", "run_id": "manual__x", "try_number": "1", "airflow_version": "3.3.2",
                },
                "annotations": annotations,
            })
        };
        let settings = Settings { namespace: NAMESPACE, logical_date: None, clear_number: None };
        let date = "2026-01-02T03:04:05+00:00";
        let (lineage, unknown_root) = known(&metadata(json!({"logical_date": date})), settings).unwrap();
        assert_eq!(lineage.parent.job, "etl.load");
        assert_eq!((lineage.root, unknown_root), (None, Some(UnknownRun::NoClearNumber)));
        for annotations in [json!({}), json!({"logical_date": "yesterday"})] {
            assert_eq!(known(&metadata(annotations), settings), Err(UnknownRun::NoLogicalDate));
        }
        let none = json!({"labels": {"dag_id": "etl"}});
        assert_eq!(known(&none, settings), Err(UnknownRun::NoId { name: "task_id" }));
    }

    #[test]
    fn a_label_that_ends_like_a_hash_may_be_changed() {
        for label in ["dailyreport-f9bb99ed0", "-123456789"] {
            assert!(ends_in_hash(label), "{label}");
        }
        for label in ["etl", "daily-report", "report-20260102", "report-f9bb99ed01", "report-f9bb99edG"] {
            assert!(!ends_in_hash(label), "{label}");
        }
    }
}
