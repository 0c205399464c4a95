//! Identity of tasks, for pods that the code of the schedulers created (`tests/pods`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bootlace_core::admission::{self, Decision};
use bootlace_core::code::Code;
use bootlace_core::identity::Schedulers;
use bootlace_core::names;
use bootlace_core::plan::{InstallationSettings, PreparedProfiles};
use bootlace_core::pod::Pod;
use bootlace_core::profile::spec::Position;
use bootlace_core::profile::{Inline, Profile, Source};
use bootlace_core::selection::SkipReason;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{inject, pods, recipes, scheduler_pods};

/// Title of the scheduler, and the identity as in `task.json`.
fn seen(pod: &Value) -> (String, Value) {
    let json = pod.into();
    let pod = Pod::read(&json).unwrap();
    let schedulers = Schedulers::built_in();
    let scheduler = schedulers.detect(&pod).expect("a scheduler that Bootlace knows");
    (scheduler.title().to_string(), serde_json::to_value(schedulers.identify(&pod)).unwrap())
}

/// An entry of `tests/pods/expected.yaml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Expected {
    title: String,
    opt_in: bool,
    identity: Value,
    containers: Vec<String>,
    owner: Option<String>,
}

fn expected() -> BTreeMap<String, Expected> {
    serde_saphyr::from_str(include_str!("../../../tests/pods/expected.yaml")).unwrap()
}

#[test]
fn each_pod_has_its_identity_task_containers_and_owner() {
    let schedulers = Schedulers::built_in();
    for (file, expected) in expected() {
        let made = scheduler_pods::pod(&file);
        assert_eq!(seen(&made), (expected.title, expected.identity), "{file}");
        let json = (&made).into();
        let pod = Pod::read(&json).unwrap();
        let scheduler = schedulers.detect(&pod).unwrap();
        assert_eq!(scheduler.opts_in(), expected.opt_in, "{file}");
        let owner = pod
            .controller()
            .filter(|found| scheduler.run_owners().iter().any(|kind| kind.is(found.api_version, found.kind)));
        assert_eq!(owner.map(|owner| owner.kind), expected.owner.as_deref(), "{file}");

        let decision = admission::admit(made.clone(), "etl", &recipes(Position::Last));
        match (decision, expected.opt_in) {
            (Decision::Inject(_), true) | (Decision::Skip(SkipReason::NotATask), false) => {}
            (Decision::Refuse(refusal), _) => panic!("{file}: {refusal}"),
            _ => panic!("{file} is a task, or is none"),
        }
        let mark = inject(&labelled(made.clone()), Position::Last).pod["metadata"]["annotations"]
            [names::ANNOTATION_INJECTED]
            .clone();
        let mark: Value = serde_json::from_str(mark.as_str().unwrap()).unwrap();
        assert_eq!(mark["containers"], json!(expected.containers), "{file}");
    }
}

fn labelled(mut pod: Value) -> Value {
    pod["metadata"]["labels"][names::LABEL_TASK] = json!("true");
    pod
}

/// All pods of the folder.
fn files() -> BTreeSet<String> {
    let root = Path::new(env!("BOOTLACE_ROOT")).join("tests/pods");
    let mut files = BTreeSet::new();
    for folder in ["", "by-source/"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if Path::new(&name).extension().is_some_and(|extension| extension == "json") {
                files.insert(format!("{folder}{name}"));
            }
        }
    }
    files
}

#[test]
fn every_pod_is_expected_somewhere() {
    let elsewhere =
        |file: &String| file.starts_with("airflow-") || ["job.json", "cronjob.json"].contains(&file.as_str());
    let here: BTreeSet<_> = files().into_iter().filter(|file| !elsewhere(file)).collect();
    assert_eq!(here, expected().into_keys().collect::<BTreeSet<_>>());
}

#[test]
fn every_pod_keeps_its_fields_and_is_injected_once() {
    for file in files() {
        let made = labelled(scheduler_pods::pod(&file));
        for position in [Position::First, Position::Last] {
            let injected = inject(&made, position).pod;
            assert_eq!(pods::kept(&made, &injected, ""), Ok(()), "{file}");
            let twice = admission::admit(injected.clone(), "etl", &recipes(position));
            assert!(matches!(twice, Decision::Skip(SkipReason::AlreadyInjected)), "{file}");
            // An injected pod has the same identity, which `explain` shows.
            assert_eq!(seen(&injected), seen(&made), "{file}");
        }
    }
}

/// Every entry has a pod, so that no rule is untested.
#[test]
fn every_scheduler_has_a_pod() {
    let mut without: BTreeSet<_> = Schedulers::built_in()
        .specs()
        .map(|spec| spec.title.clone().unwrap_or_else(|| spec.name.clone()))
        .collect();
    for file in files() {
        without.remove(&seen(&scheduler_pods::pod(&file)).0);
    }
    assert_eq!(without, BTreeSet::new());
}

/// The error of a template that asks for `variable` of a pod.
fn refused(pod: &Value, variable: &str) -> String {
    let mut profile = Profile { name: "default".to_owned(), ..Profile::default() };
    let env = [("A".to_owned(), format!("{{{{ {variable} }}}}"))].into();
    profile.spec.sources = vec![Source {
        name: "a".to_owned(),
        inline: Some(Inline { env, ..Inline::default() }),
        ..Source::default()
    }];
    let recipes =
        PreparedProfiles::new([profile].into_iter().collect(), &InstallationSettings::default()).unwrap();
    match admission::admit(labelled(pod.clone()), "etl", &recipes) {
        Decision::Refuse(refusal) => {
            assert_eq!(refusal.message_code, Code::TemplateNotRendered, "{refusal}");
            refusal.to_string()
        }
        _ => panic!("{variable} is defined"),
    }
}

#[test]
fn a_template_that_asks_for_what_the_pod_does_not_contain_is_refused_with_the_reason() {
    for (file, variable, part) in [
        ("prefect-flow-run.json", "attempt", "pods of Prefect do not contain it: Prefect does not set it"),
        (
            "argo-container.json",
            "workflow",
            "pods of Argo Workflows do not contain it: Argo does not set the name",
        ),
        ("argo-script.json", "attempt", "looked in the labels, annotations and env that Argo Workflows sets"),
        ("luigi-task.json", "run", "pods of Luigi's KubernetesJobTask do not contain it"),
    ] {
        let message = refused(&scheduler_pods::pod(file), variable);
        assert!(message.contains(part), "{file}: {message}");
    }
}

/// No field has both a rule and a reason why it is undefined.
#[test]
fn the_table_says_what_it_cannot_know() {
    use bootlace_core::identity::spec::IdentityField;
    for spec in Schedulers::built_in().specs() {
        for field in IdentityField::ALL {
            let (rules, reason) = (&spec.identity.rules(field).0, spec.unknown.contains_key(&field));
            assert!(rules.is_empty() || !reason, "{} {field:?} has a rule and a reason", spec.name);
        }
        assert!(spec.tested.is_some(), "{}: add tested", spec.name);
    }
}

#[test]
fn metaflow_as_a_job_set_is_metaflow() {
    let mut made = scheduler_pods::pod("metaflow-task.json");
    for (label, value) in [("jobset-name", "t-1"), ("job-index", "1"), ("job-global-index", "2")] {
        made["metadata"]["labels"][format!("jobset.sigs.k8s.io/{label}")] = json!(value);
    }
    let annotations = made["metadata"]["annotations"].as_object_mut().unwrap();
    let task = annotations.remove("metaflow/task_id").unwrap();
    annotations.insert("metaflow/control-task-id".to_owned(), task);
    let identity = json!({
        "scheduler": "metaflow", "workflow": "DailyReport", "run": "1795885411850938", "task": "load_rows",
        "attempt": "0", "mapIndex": "2",
    });
    assert_eq!(seen(&made), ("Metaflow".to_owned(), identity));
}

#[test]
fn the_name_of_an_argo_node_is_the_path_of_the_task() {
    for (node, task, attempt, index) in [
        ("v1.wf.load", Some("load"), None, None),
        ("v1.wf[0].load(0)", Some("load"), Some("0"), None),
        ("v1.wf(0)[1].load(2)", Some("load"), Some("2"), None),
        ("v1.wf.outer(0:a).inner(1)", Some("outer(0:a).inner"), Some("1"), None),
        ("v1.wf.fan(12:a.b)", Some("fan"), None, Some("12")),
        // A workflow that consists of one template.
        ("v1.wf", Some("load"), None, None),
        ("v1.wf(3)", Some("load"), Some("3"), None),
    ] {
        let mut made = scheduler_pods::pod("argo-container.json");
        made["metadata"]["labels"]["workflows.argoproj.io/workflow"] = json!("v1.wf");
        made["metadata"]["annotations"]["workflows.argoproj.io/node-name"] = json!(node);
        let (_, identity) = seen(&made);
        let found = |field: &str| identity.get(field).and_then(Value::as_str);
        assert_eq!((found("task"), found("attempt"), found("mapIndex")), (task, attempt, index), "{node}");
    }
}

#[test]
fn the_job_of_a_cron_job_is_recognized_by_its_name() {
    let title = |job: &str| {
        let mut made = scheduler_pods::pod("job.json");
        made["metadata"]["labels"]["batch.kubernetes.io/job-name"] = json!(job);
        seen(&made).0
    };
    for job in ["report-29412345", "daily-report-26964000", "a-99999999"] {
        assert_eq!(title(job), "a Kubernetes CronJob", "{job}");
    }
    for job in
        ["report", "report-20260131", "report-26963999", "report-7", "-29412345", "29412345", "a-294123456"]
    {
        assert_eq!(title(job), "a Kubernetes Job", "{job}");
    }
}

/// dagster-k8s 0.29.27: the label of the step `load[east]` is `load-east`.
#[test]
fn a_dynamic_step_of_dagster_is_its_step_and_a_map_index() {
    let mut pod = scheduler_pods::pod("dagster-step.json");
    pod["metadata"]["labels"]["dagster/op"] = json!("load-east");
    let env = pod["spec"]["containers"][0]["env"].as_array_mut().unwrap();
    let key = env.iter_mut().find(|variable| variable["name"] == "DAGSTER_RUN_STEP_KEY").unwrap();
    key["value"] = json!("load[east]");
    let (_, identity) = seen(&pod);
    assert_eq!((&identity["task"], &identity["mapIndex"]), (&json!("load"), &json!("east")));
}

#[test]
fn luigi_is_warned_about_its_check() {
    let injection = inject(&labelled(scheduler_pods::pod("luigi-task.json")), Position::Last);
    let warned =
        injection.warnings.iter().any(|text| text.contains("Luigi fails a task if an init container"));
    assert!(warned, "{:?}", injection.warnings);
}

#[test]
fn an_extra_scheduler_needs_eight_lines() {
    let extra = "
- name: nightshift
  match: [{label: nightshift.example.com/run}]
  identity:
    workflow: {label: nightshift.example.com/flow}
    run: {label: nightshift.example.com/run}
    task: {label: nightshift.example.com/step}
    attempt: {label: nightshift.example.com/try}
  runOwners: [{apiVersion: nightshift.example.com/v1, kind: FlowRun}]
";
    let schedulers = Schedulers::with_extra(extra).unwrap();
    let settings = InstallationSettings { schedulers, ..InstallationSettings::default() };
    let profile = Profile { name: "default".to_owned(), ..Profile::default() };
    let recipes = PreparedProfiles::new([profile].into_iter().collect(), &settings).unwrap();
    let label = |name: &str, value: &str| (format!("nightshift.example.com/{name}"), json!(value));
    let labels: serde_json::Map<_, _> =
        [label("flow", "report"), label("run", "7"), label("step", "load"), label("try", "2")]
            .into_iter()
            .collect();
    let pod = json!({
        "metadata": {"name": "load", "labels": labels},
        "spec": {"containers": [{"name": "main", "image": "etl", "command": ["run"]}]},
    });
    let Decision::Inject(injection) = admission::admit(pod.clone(), "etl", &recipes) else {
        panic!("the pod is not a task");
    };
    assert!(injection.reason.to_string().contains("it was created by nightshift"), "{}", injection.reason);
    let json = (&pod).into();
    let identity = recipes.schedulers().identify(&Pod::read(&json).unwrap());
    assert_eq!(identity.describe(), "task load of report, run 7, attempt 2");
    // The built-in entries remain.
    let argo = scheduler_pods::pod("argo-script.json");
    assert!(matches!(admission::admit(argo, "etl", &recipes), Decision::Inject(_)));
}

#[test]
fn an_invalid_entry_is_an_error_that_names_the_field() {
    for (entry, parts) in [
        ("{name: a, match: [{label: b}], identity: {run: {lable: c}}}", &["unknown field `lable`"][..]),
        (
            "{name: a, match: [{label: b}], identity: {run: [c]}}",
            &["the list of schedulers is invalid", "correct the entry"],
        ),
        ("{name: A_b, match: [{label: b}]}", &["scheduler \"A_b\": name is invalid"]),
        ("{name: a, match: []}", &["scheduler \"a\": match is empty", "add a condition"]),
        ("{name: a, match: [{}]}", &["match[0] is invalid", "exactly one of label"]),
        ("{name: a, match: [{label: b, env: C}]}", &["match[0] is invalid", "exactly one of label"]),
        (
            "{name: a, match: [{container: b, value: c}]}",
            &["match[0] is invalid", "value, contains and pattern"],
        ),
        (
            "{name: a, match: [{env: B, absent: true}]}",
            &["match[0] is invalid", "absent must be used with label"],
        ),
        ("{name: a, match: [{label: b, pattern: \"(\"}]}", &["match[0].pattern is invalid"]),
        ("{name: a, match: [{label: b}], identity: {run: {}}}", &["identity.run[0] is invalid"]),
        (
            "{name: a, match: [{label: b}], identity: {run: {label: c, container: d}}}",
            &["identity.run[0] is invalid", "container must be used with env or commandLine"],
        ),
        ("{name: a, match: [{label: b}], identity: {task: {pod: uid}}}", &["unknown variant `uid`"]),
    ] {
        let error = Schedulers::with_extra(&format!("[{entry}]")).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{entry}: {error}");
        }
    }
    let many = "- {name: a, match: [{label: b}]}\n".repeat(65);
    assert!(Schedulers::with_extra(&many).unwrap_err().to_string().contains("the limit is 64"));
}

#[test]
fn airflows_operator() {
    let scheduled = json!({
        "scheduler": "airflow", "workflow": "dailyreport-f9bb99ed0", "task": "load", "attempt": "2",
        "run": "scheduled__2026-01-02T030405.6000000000-aeca828f9",
        "scheduledTime": "2026-01-02T03:04:05.6Z",
    });
    let title = "Airflow's KubernetesPodOperator".to_owned();
    assert_eq!(
        seen(&scheduler_pods::pod("airflow-operator-scheduled.json")),
        (title.clone(), scheduled.clone())
    );
    let mut mapped = scheduled;
    mapped["mapIndex"] = json!("3");
    assert_eq!(seen(&scheduler_pods::pod("airflow-operator-mapped-xcom.json")), (title.clone(), mapped));
    let manual = json!({
        "scheduler": "airflow", "workflow": "dailyreport-f9bb99ed0", "task": "load", "attempt": "2",
        "run": "manual__2026-01-02T0304050000-3c9ea4d7d",
    });
    assert_eq!(seen(&scheduler_pods::pod("airflow-operator-manual.json")), (title, manual));
}

#[test]
fn the_kubernetes_executor_of_airflow_sets_raw_values() {
    let title = "Airflow's Kubernetes executor".to_owned();
    let scheduled = json!({
        "scheduler": "airflow", "workflow": "daily report", "task": "load", "attempt": "2",
        "run": "scheduled__2026-01-02T03:04:05.600000+00:00",
        "scheduledTime": "2026-01-02T03:04:05.6Z",
    });
    assert_eq!(seen(&scheduler_pods::pod("airflow-executor-scheduled.json")), (title.clone(), scheduled));
    let mut manual = json!({
        "scheduler": "airflow", "workflow": "daily report", "task": "load", "attempt": "2", "mapIndex": "3",
        "run": "manual__2026-01-02T03:04:05+00:00",
    });
    assert_eq!(
        seen(&scheduler_pods::pod("airflow-executor-manual-mapped.json")),
        (title.clone(), manual.clone())
    );
    manual.as_object_mut().unwrap().remove("mapIndex");
    manual["scheduledTime"] = json!("2026-01-01T23:00:00Z");
    assert_eq!(seen(&scheduler_pods::pod("airflow-executor-logical-date.json")), (title, manual));
}

#[test]
fn a_job() {
    let made = scheduler_pods::pod("job.json");
    let uid = &made["metadata"]["labels"]["batch.kubernetes.io/controller-uid"];
    let identity = json!({"scheduler": "job", "workflow": "etl", "run": uid, "mapIndex": "0"});
    assert_eq!(seen(&made), ("a Kubernetes Job".to_owned(), identity));
}

#[test]
fn a_cron_jobs_job() {
    let made = scheduler_pods::pod("cronjob.json");
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
    assert_eq!(seen(&made(&labels)), ("a JobSet".to_owned(), identity.clone()));
    labels["batch.kubernetes.io/job-completion-index"] = json!("4");
    identity["mapIndex"] = json!("1-4");
    assert_eq!(seen(&made(&labels)), ("a JobSet".to_owned(), identity));
}
