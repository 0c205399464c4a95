//! Conversions of values that no pattern can express. Entries of the table name them.
//!
//! Times of all schedulers become one format: RFC 3339 in UTC.

use ::time::format_description::well_known::Rfc3339;
use ::time::{OffsetDateTime, PrimitiveDateTime, macros::format_description};

use crate::pod::Pod;

/// Converts a time with any offset.
pub(super) fn rfc3339(text: &str) -> Option<String> {
    utc(OffsetDateTime::parse(text, &Rfc3339).ok()?)
}

/// Converts a time in UTC without separators: `20260102T000000`.
pub(super) fn compact_time(text: &str) -> Option<String> {
    let format = format_description!("[year][month][day]T[hour][minute][second]");
    utc(PrimitiveDateTime::parse(text, format).ok()?.assume_utc())
}

fn utc(time: OffsetDateTime) -> Option<String> {
    time.checked_to_offset(::time::UtcOffset::UTC)?.format(&Rfc3339).ok()
}

/// Start of the IDs of runs that the scheduler of Airflow created. In the ID of a manual or asset-triggered
/// run, the time is when the run was requested.
const SCHEDULED: &str = "scheduled__";

/// The time for which a run is scheduled, from its ID: `scheduled__2024-01-01T00:00:00+00:00`.
pub(super) fn airflow_run_time(run_id: &str) -> Option<String> {
    rfc3339(run_id.strip_prefix(SCHEDULED)?)
}

/// The time in an ID that was converted to a label value, which has lost its colons and its plus sign and
/// ends with a hash: `scheduled__2024-01-01T0000000000-654f198ec`. The conversion is unambiguous, because
/// Airflow writes IDs in UTC, with six digits of microseconds or none.
pub(super) fn airflow_label_time(label: &str) -> Option<String> {
    let (safe, _hash) = label.strip_prefix(SCHEDULED)?.rsplit_once('-')?;
    airflow_safe_time(safe)
}

/// A time of Airflow in a label value (`2024-01-01T0000000000`), without the hash.
pub(crate) fn airflow_safe_time(safe: &str) -> Option<String> {
    let (date, clock) = safe.split_once('T')?;
    let clock = clock.strip_suffix("0000")?;
    let (clock, fraction) = match clock.split_once('.') {
        Some((clock, fraction)) if fraction.len() == 6 => (clock, format!(".{fraction}")),
        Some(_) => return None,
        None => (clock, String::new()),
    };
    let (hours, rest) = clock.split_at_checked(2)?;
    let (minutes, seconds) = rest.split_at_checked(2)?;
    rfc3339(&format!("{date}T{hours}:{minutes}:{seconds}{fraction}Z"))
}

/// The minute of the release of Kubernetes 1.21, which introduced `batch/v1` `CronJob`s. No Job has an
/// earlier minute in its name, so a Job that is named after a day (`report-20260131`) is not mistaken for one
/// of a `CronJob`. The pattern of the entry contains the same minute.
const FIRST_MINUTE: i64 = 26_964_000;

/// The time for which a Job of a `CronJob` was scheduled. The controller names the Job after the `CronJob`
/// and the minute, in minutes since 1970: `report-29412345`.
/// <https://github.com/kubernetes/kubernetes/blob/v1.36.0/pkg/controller/cronjob/cronjob_controllerv2.go>
/// (`getJobName`)
pub(super) fn cron_job_time(job: &str) -> Option<String> {
    let (_, digits) = job.rsplit_once('-')?;
    let minute: i64 = digits.parse().ok().filter(|minute| *minute >= FIRST_MINUTE && digits.len() == 8)?;
    utc(OffsetDateTime::from_unix_timestamp(minute.checked_mul(60)?).ok()?)
}

/// The index of a Job in a `JobSet` and, if that Job is indexed, the index of the pod: `1-4`.
pub(super) fn job_set_index(job: &str, pod: &Pod<'_>) -> String {
    match pod.labels.get("batch.kubernetes.io/job-completion-index") {
        Some(index) => format!("{job}-{index}"),
        None => job.to_owned(),
    }
}

/// The index in the name of a `TaskRun` of a matrix: `monday-load-1` for the task `load` of the run `monday`.
/// Names with more than 63 characters contain a hash in place of a part of the run.
/// <https://github.com/tektoncd/pipeline/blob/v1.6.0/pkg/reconciler/pipelinerun/resources/pipelinerunresolution.go>
/// (`getNewRunNames`)
pub(super) fn tekton_matrix_index(task_run: &str, run: &str, task: &str) -> Option<String> {
    let (start, index) = task_run.rsplit_once('-')?;
    let start = start.strip_suffix(task)?.strip_suffix('-')?;
    let is_hashed = || start.len() > 32 && start.bytes().rev().take(32).all(|byte| byte.is_ascii_hexdigit());
    let is_index = !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit());
    (is_index && (start == run || is_hashed())).then(|| index.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheduled_run_says_its_time() {
        for (id, time) in [
            ("scheduled__2024-01-01T00:00:00+00:00", Some("2024-01-01T00:00:00Z")),
            ("scheduled__2024-01-01T02:00:00.5+02:00", Some("2024-01-01T00:00:00.5Z")),
            ("manual__2024-01-01T00:00:00+00:00", None),
            ("scheduled__tomorrow", None),
        ] {
            assert_eq!(airflow_run_time(id).as_deref(), time, "{id}");
        }
    }

    #[test]
    fn so_does_its_label() {
        for (label, time) in [
            ("scheduled__2024-01-01T0000000000-654f198ec", Some("2024-01-01T00:00:00Z")),
            ("scheduled__2024-12-31T235959.0000010000-654f198ec", Some("2024-12-31T23:59:59.000001Z")),
            ("manual__2024-01-01T0000000000-654f198ec", None),
            ("scheduled__2024-01-01T0000000530-654f198ec", None),
            ("scheduled__2024-01-01T250000000-654f198ec", None),
            ("scheduled__2024-01-01T00000\u{e9}0000-654f198ec", None),
            ("scheduled__", None),
        ] {
            assert_eq!(airflow_label_time(label).as_deref(), time, "{label}");
        }
    }

    #[test]
    fn only_a_minute_of_a_cron_job_is_a_time() {
        assert_eq!(cron_job_time("report-29412345").as_deref(), Some("2025-12-03T05:45:00Z"));
        for other in ["report", "report-20260131", "report-7", "29412345", "report-+9412345"] {
            assert_eq!(cron_job_time(other), None, "{other}");
        }
    }

    #[test]
    fn only_a_task_run_of_a_matrix_has_an_index() {
        for (task_run, run, task, index) in [
            ("monday-load-1", "monday", "load", Some("1")),
            ("monday-load", "monday", "load", None),
            ("monday-load-2", "monday", "load-2", None),
            ("monday-load-2-11", "monday", "load-2", Some("11")),
            ("monday-1-1", "monday-1", "1", None),
            (
                "the-report-of-01234567890123456789012345678901-load-1",
                "the-report-of-the-day",
                "load",
                Some("1"),
            ),
            ("the-report-of-01234567890123456789012345678901-load", "the-report-of-the-day", "load", None),
            ("by-hand", "monday", "load", None),
        ] {
            assert_eq!(tekton_matrix_index(task_run, run, task).as_deref(), index, "{task_run}");
        }
    }

    #[test]
    fn a_compact_time_is_in_utc() {
        assert_eq!(compact_time("20260102T030405").as_deref(), Some("2026-01-02T03:04:05Z"));
        assert_eq!(compact_time("2026-01-02"), None);
    }
}
