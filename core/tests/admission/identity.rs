//! Identity of tasks, for pods that the code of the schedulers created (`tests/pods`).

use bootlace_core::identity::{detect, identify};
use bootlace_core::pod::Pod;
use serde_json::{Value, json};

use super::made;

/// Title of the scheduler, and the identity as in `task.json`.
fn seen(pod: &Value) -> (&'static str, Value) {
    let json = pod.into();
    let pod = Pod::read(&json).unwrap();
    let scheduler = detect(&pod).expect("a scheduler that Bootlace knows");
    (scheduler.title(), serde_json::to_value(identify(&pod)).unwrap())
}

#[test]
fn airflows_operator() {
    let scheduled = json!({
        "scheduler": "airflow", "workflow": "dailyreport-f9bb99ed0", "task": "load", "attempt": "2",
        "run": "scheduled__2026-01-02T030405.6000000000-aeca828f9",
        "scheduledTime": "2026-01-02T03:04:05.6Z",
    });
    let title = "Airflow's KubernetesPodOperator";
    assert_eq!(seen(&made::pod("airflow-operator-scheduled.json")), (title, scheduled.clone()));
    let mut mapped = scheduled;
    mapped["mapIndex"] = json!("3");
    assert_eq!(seen(&made::pod("airflow-operator-mapped-xcom.json")), (title, mapped));
    let manual = json!({
        "scheduler": "airflow", "workflow": "dailyreport-f9bb99ed0", "task": "load", "attempt": "2",
        "run": "manual__2026-01-02T0304050000-3c9ea4d7d",
    });
    assert_eq!(seen(&made::pod("airflow-operator-manual.json")), (title, manual));
}

#[test]
fn airflows_kubernetes_executor_tells_raw_values() {
    let title = "Airflow's Kubernetes executor";
    let scheduled = json!({
        "scheduler": "airflow", "workflow": "daily report", "task": "load", "attempt": "2",
        "run": "scheduled__2026-01-02T03:04:05.600000+00:00",
        "scheduledTime": "2026-01-02T03:04:05.6Z",
    });
    assert_eq!(seen(&made::pod("airflow-executor-scheduled.json")), (title, scheduled));
    let mut manual = json!({
        "scheduler": "airflow", "workflow": "daily report", "task": "load", "attempt": "2", "mapIndex": "3",
        "run": "manual__2026-01-02T03:04:05+00:00",
    });
    assert_eq!(seen(&made::pod("airflow-executor-manual-mapped.json")), (title, manual.clone()));
    manual.as_object_mut().unwrap().remove("mapIndex");
    manual["scheduledTime"] = json!("2026-01-01T23:00:00Z");
    assert_eq!(seen(&made::pod("airflow-executor-logical-date.json")), (title, manual));
}

#[test]
fn a_job() {
    let made = made::pod("job.json");
    let uid = &made["metadata"]["labels"]["batch.kubernetes.io/controller-uid"];
    let identity = json!({"scheduler": "job", "workflow": "etl", "run": uid, "mapIndex": "0"});
    assert_eq!(seen(&made), ("a Kubernetes Job", identity));
}

#[test]
fn a_cron_jobs_job() {
    let made = made::pod("cronjob.json");
    let job = made["metadata"]["labels"]["batch.kubernetes.io/job-name"].as_str().unwrap();
    let (title, identity) = seen(&made);
    assert_eq!(title, "a Kubernetes CronJob");
    assert_eq!(identity["workflow"], "nightly-report");
    assert_eq!(identity["run"], job);
    let minutes: i64 = job.strip_prefix("nightly-report-").unwrap().parse().unwrap();
    let time = time::OffsetDateTime::from_unix_timestamp(minutes * 60).unwrap();
    let time = time.format(&time::format_description::well_known::Rfc3339).unwrap();
    assert_eq!(identity["scheduledTime"], time);
}

/// The labels are from the source of the controller (v0.11.0, `labelAndAnnotateObject`), which cannot be
/// called without a cluster that runs it.
#[test]
fn a_job_set() {
    let mut labels = json!({
        "batch.kubernetes.io/job-name": "training-workers-1", "batch.kubernetes.io/controller-uid": "job-uid",
        "jobset.sigs.k8s.io/jobset-name": "training", "jobset.sigs.k8s.io/jobset-uid": "set-uid",
        "jobset.sigs.k8s.io/replicatedjob-name": "workers", "jobset.sigs.k8s.io/job-index": "1",
        "jobset.sigs.k8s.io/restart-attempt": "0",
    });
    let made =
        |labels: &Value| json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a"}]}});
    let mut identity = json!({
        "scheduler": "jobset", "workflow": "training", "run": "set-uid", "task": "workers", "attempt": "0",
        "mapIndex": "1",
    });
    assert_eq!(seen(&made(&labels)), ("a JobSet", identity.clone()));
    labels["batch.kubernetes.io/job-completion-index"] = json!("4");
    identity["mapIndex"] = json!("1-4");
    assert_eq!(seen(&made(&labels)), ("a JobSet", identity));
}
