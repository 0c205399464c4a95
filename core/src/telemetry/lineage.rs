//! The parent run and the root run of a task in OpenLineage, which a client adds to its own events (the
//! `ParentRunFacet`): <https://openlineage.io/docs/spec/facets/run-facets/parent_run>.

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use super::RunKey;

/// A run, with its job and the namespace of the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRun {
    /// The namespace of the job.
    pub namespace: String,
    /// The job.
    pub job: String,
    /// The run, a UUID.
    pub run: String,
}

/// The runs that a task belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lineage {
    /// The run that starts the program of the task.
    pub parent: JobRun,
    /// The run at the top of the hierarchy, if it is known. Without it, clients use the parent.
    pub root: Option<JobRun>,
}

impl JobRun {
    /// A run of a workflow whose scheduler sends no events itself, or with its run ID as the ID of the run.
    /// `namespace` is that of the jobs.
    #[must_use]
    pub fn of_workflow(namespace: &str, workflow: &str, run: &RunKey<'_>) -> Self {
        let run = uuid(run.run).unwrap_or_else(|| {
            let purpose = [b"bootlace lineage\0", namespace.as_bytes(), b"\0"].concat();
            derived_uuid(&run.digest(&purpose))
        });
        Self { namespace: namespace.to_owned(), job: workflow.to_owned(), run }
    }

    /// `NAMESPACE/JOB/RUN`. Clients split it at the slashes, so no part can contain one. It is the value of a
    /// variable, so no part can contain a NUL byte either.
    #[must_use]
    pub fn id(&self) -> Option<String> {
        let Self { namespace, job, run } = self;
        let is_invalid = [namespace, job].iter().any(|part| part.contains(['/', '\0']));
        (!is_invalid).then(|| format!("{namespace}/{job}/{run}"))
    }

    fn json(&self) -> Value {
        let Self { namespace, job, run } = self;
        json!({"run": {"runId": run}, "job": {"namespace": namespace, "name": job}})
    }
}

impl Lineage {
    /// The value of `OPENLINEAGE_CONTEXT`.
    /// <https://github.com/OpenLineage/OpenLineage/blob/1.54.0/integration/common/src/openlineage/common/provider/dbt/utils.py>
    /// (`get_parent_run_metadata_from_context`)
    #[must_use]
    pub fn context(&self) -> String {
        let mut parent = self.parent.json();
        if let (Some(root), Some(fields)) = (&self.root, parent.as_object_mut()) {
            fields.insert("root".to_owned(), root.json());
        }
        json!({ "parent": parent }).to_string()
    }
}

/// The canonical form of a UUID; `None` if `text` is not one.
fn uuid(text: &str) -> Option<String> {
    let is_canonical = |(position, byte): (usize, u8)| match position {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    let is_uuid = text.len() == 36 && text.bytes().enumerate().all(is_canonical);
    is_uuid.then(|| text.to_ascii_lowercase())
}

/// A UUID of version 8, the version for other ways to derive an ID (RFC 9562, section 5.8).
fn derived_uuid(digest: &[u8; 32]) -> String {
    let start = digest.first_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes));
    with_version(start, 8)
}

/// A UUID with a version and the variant of RFC 9562.
fn with_version(bits: u128, version: u128) -> String {
    let bits = (bits & !(0xf000 << 64)) | (version << 76);
    let bits = (bits & !(0xc000 << 48)) | (0x8000 << 48);
    let digits = format!("{bits:032x}");
    let part = |range| digits.get(range).unwrap_or_default();
    [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-")
}

/// The time in a text (RFC 3339). Python writes `2026-01-02T03:04:05.600000+00:00`.
#[must_use]
pub fn instant(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok()?.checked_to_offset(time::UtcOffset::UTC)
}

/// The UUID that OpenLineage's Python client derives from a time in UTC and from data: the milliseconds, then
/// the start of a SHA-1 digest. `None` if no such client supports the time.
/// <https://github.com/OpenLineage/OpenLineage/blob/1.54.0/client/python/src/openlineage/client/uuid.py>
/// (`generate_static_uuid`)
pub(super) fn static_uuid(instant: OffsetDateTime, data: &str) -> Option<String> {
    let micros = i64::try_from(instant.unix_timestamp_nanos().div_euclid(1000)).ok()?;
    let text = isoformat(instant)? + data;
    let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    // The first 76 bits of the digest.
    let node = u128::from_be_bytes(*digest.as_ref().first_chunk()?) >> 52;
    let milliseconds = u128::from(milliseconds(micros)?);
    Some(with_version(((milliseconds & 0xffff_ffff_ffff) << 80) | node, 7))
}

/// `int(instant.timestamp() * 1000)`. Python computes it with floating-point numbers, whose product can be a
/// fraction below the exact one, and then is the millisecond before.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "the same loss as in Python: the result is only equal with it"
)]
fn milliseconds(micros: i64) -> Option<u64> {
    u64::try_from((micros as f64 / 1e6 * 1000.0) as i64).ok()
}

/// `datetime.isoformat()` of Python for a time in UTC: microseconds only if there are some.
fn isoformat(instant: OffsetDateTime) -> Option<String> {
    let seconds = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
    let text = instant.format(seconds).ok()?;
    Some(match instant.microsecond() {
        0 => format!("{text}+00:00"),
        micros => format!("{text}.{micros:06}+00:00"),
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    fn run(run: &str) -> JobRun {
        let key =
            RunKey { cluster: None, namespace: "etl", scheduler: Some("argo"), workflow: Some("daily"), run };
        JobRun::of_workflow("prod", "daily", &key)
    }

    #[test]
    fn a_run_id_that_is_a_uuid_stays_and_others_become_one() {
        let dagster = run("FC41285A-9311-4332-8b0e-1f6a1c2d3e4f");
        assert_eq!(dagster.run, "fc41285a-9311-4332-8b0e-1f6a1c2d3e4f");
        let argo = run("daily-x7k2p");
        assert_eq!(argo.run, "0acd4106-f03d-8dd4-bd88-12faf813ebd8");
        assert_eq!(uuid(&argo.run).as_deref(), Some(&*argo.run));
        for text in ["", "fc41285a93114332-8b0e-1f6a1c2d3e4f", "fc41285a-9311-4332-8b0e-1f6a1c2d3e4g"] {
            assert_eq!(uuid(text), None, "{text}");
        }
    }

    #[test]
    fn the_context_contains_the_parent_and_the_root_if_it_is_known() {
        let parent = run("fc41285a-9311-4332-8b0e-1f6a1c2d3e4f");
        let json = json!({
            "run": {"runId": "fc41285a-9311-4332-8b0e-1f6a1c2d3e4f"},
            "job": {"namespace": "prod", "name": "daily"},
        });
        let context = |root| {
            let lineage = Lineage { parent: parent.clone(), root };
            serde_json::from_str::<Value>(&lineage.context()).unwrap()
        };
        assert_eq!(context(None), json!({ "parent": json }));
        let mut with_root = json.clone();
        with_root["root"] = json;
        assert_eq!(context(Some(parent.clone())), json!({ "parent": with_root }));
    }

    #[test]
    fn an_id_has_three_parts_or_does_not_exist() {
        let run = run("fc41285a-9311-4332-8b0e-1f6a1c2d3e4f");
        assert_eq!(run.id().as_deref(), Some("prod/daily/fc41285a-9311-4332-8b0e-1f6a1c2d3e4f"));
        assert_eq!(JobRun { namespace: "https://airflow".to_owned(), ..run.clone() }.id(), None);
        assert_eq!(JobRun { job: "a/b".to_owned(), ..run }.id(), None);
    }

    /// What the client has computed.
    #[derive(Deserialize)]
    struct Sample {
        instant: String,
        data: String,
        uuid: String,
    }

    #[test]
    fn a_static_uuid_is_that_of_the_client() {
        let text = include_str!("../../tests/openlineage/samples.json");
        let mut samples: Value = serde_json::from_str(text).unwrap();
        let samples: Vec<Sample> = serde_json::from_value(samples["uuids"].take()).unwrap();
        assert!(samples.len() > 200, "{}", samples.len());
        for Sample { instant: time, data, uuid } in samples {
            assert_eq!(static_uuid(instant(&time).unwrap(), &data), Some(uuid), "{time} {data}");
        }
    }

    #[test]
    fn a_time_before_1970_has_no_uuid() {
        assert_eq!(static_uuid(instant("1969-12-31T23:59:59Z").unwrap(), "x"), None);
        assert_eq!(instant("2026-01-02"), None);
    }
}
