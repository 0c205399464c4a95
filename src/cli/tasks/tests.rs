use bootlace_test_api_server::ApiServer;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::Event;
use serde::Deserialize;
use serde_json::{Value, json};

use super::board::{Board, Outcome};
use super::injected::Injected;
use super::state::{Phase, PodEvent};
use super::task::Task;
use super::*;
use bootlace_core::code::{Code, Coded as _};

const NOW: &str = "2026-11-21T10:05:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// A case of `tests/tasks/states.yaml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    phase: String,
    state: String,
    #[serde(default)]
    node: Option<String>,
    #[serde(default)]
    deleted: bool,
    #[serde(default)]
    init: Vec<String>,
    /// The task containers.
    #[serde(default = "main_only")]
    containers: Vec<String>,
    /// The containers that are not tasks.
    #[serde(default)]
    others: Vec<String>,
    #[serde(default)]
    spec: Value,
    status: Value,
    #[serde(default)]
    events: Vec<CaseEvent>,
}

#[derive(Deserialize)]
struct CaseEvent {
    last: String,
    #[serde(rename = "type")]
    type_: String,
    reason: String,
    message: String,
}

fn main_only() -> Vec<String> {
    vec!["main".to_owned()]
}

impl Case {
    fn pod(&self) -> Pod {
        let init = self.init.iter().map(|name| match name.as_str() {
            "bootlace-pipe" => json!({"name": name, "image": "b", "restartPolicy": "Always"}),
            _ => json!({"name": name, "image": "b"}),
        });
        let apps = self.containers.iter().chain(&self.others).map(|name| json!({"name": name, "image": "a"}));
        let mut spec = json!({
            "nodeName": self.node, "initContainers": init.collect::<Vec<_>>(), "containers": apps.collect::<Vec<_>>(),
        });
        if let Value::Object(more) = &self.spec {
            spec.as_object_mut().unwrap().extend(more.clone());
        }
        let deleted = self.deleted.then_some("2026-11-30T10:00:30Z");
        let metadata = json!({"name": "load", "namespace": "etl", "deletionTimestamp": deleted});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec, "status": self.status})).unwrap()
    }

    fn events(&self) -> Vec<PodEvent> {
        let event = |event: &CaseEvent| PodEvent {
            last: event.last.parse().unwrap(),
            is_warning: event.type_ == "Warning",
            reason: event.reason.clone(),
            message: event.message.clone(),
        };
        self.events.iter().map(event).collect()
    }
}

#[test]
fn the_state_of_each_status_is_told_in_words() {
    let cases: Vec<Case> = serde_saphyr::from_str(include_str!("../../../tests/tasks/states.yaml")).unwrap();
    for case in &cases {
        let awaits = json!([{"key": "Report"}, {"key": "Model"}]);
        let injected: Injected =
            serde_json::from_value(json!({"containers": case.containers, "awaits": awaits})).unwrap();
        let state = lifecycle::state(&case.pod(), &injected).explained_by(&case.events());
        assert_eq!(
            (state.describe(), state.phase.as_str()),
            (case.state.clone(), &*case.phase),
            "{}",
            case.name
        );
    }
    let phases: std::collections::BTreeSet<_> = cases.iter().map(|case| case.phase.as_str()).collect();
    // All but `deleted`, which no pod is.
    assert_eq!(phases.len(), 9, "{phases:?}");
}

const PODS: &str = "/api/v1/namespaces/etl/pods";

/// An injected pod of a task, with a status.
fn pod(name: &str, task: &Value, status: &Value) -> Value {
    let spec = json!({"task": task, "profile": {"name": "default", "generation": 1}, "timeoutSeconds": 1, "keep": {}});
    let injected = json!({"profile": "default", "containers": ["main"], "links": ["logs", "evil"]});
    json!({
        "metadata": {"name": name, "annotations": {
            "bootlace.dev/injected": injected.to_string(),
            "bootlace.dev/progress": "40/100 \u{1b}[2Jparsing",
            "bootlace.dev/link.logs": "https://logs.example.com/a",
            "bootlace.dev/link.evil": "javascript:alert(1)",
            "bootlace.dev/link.other": "https://other.example.com/",
        }},
        "spec": {
            "nodeName": "worker-1",
            "initContainers": [{"name": "bootlace-boot", "env": [{"name": "BOOTLACE_SPEC", "value": spec.to_string()}]}],
            "containers": [{"name": "main", "image": "a"}],
        },
        "status": status,
    })
}

fn task(name: &str, run: &str) -> Value {
    json!({"scheduler": "airflow", "workflow": "etl", "run": run, "task": name, "attempt": "1"})
}

fn running() -> Value {
    let boot = json!({"terminated": {
        "exitCode": 0, "startedAt": "2026-11-21T10:00:02Z", "finishedAt": "2026-11-21T10:00:05Z",
    }});
    let status = |name: &str, state: &Value| json!({"name": name, "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": state});
    json!({
        "phase": "Running",
        "initContainerStatuses": [status("bootlace-boot", &boot)],
        "containerStatuses": [status("main", &json!({"running": {"startedAt": "2026-11-21T10:00:06Z"}}))],
    })
}

fn starting() -> Value {
    json!({"phase": "Pending", "initContainerStatuses": []})
}

fn args(words: &[&str]) -> TasksArgs {
    #[derive(Debug, clap::Parser)]
    struct Command {
        #[command(flatten)]
        args: TasksArgs,
    }
    let words = ["tasks"].iter().chain(words);
    <Command as clap::Parser>::try_parse_from(words).unwrap().args
}

async fn printed(api: &ApiServer, words: &[&str]) -> String {
    let mut out = Vec::new();
    print(&api.client(), &args(words), &mut out).await.unwrap();
    String::from_utf8(out).unwrap()
}

/// An API server with three tasks and a pod that is not a task.
fn cluster() -> ApiServer {
    let api = ApiServer::new();
    api.put(&format!("{PODS}/load-x"), pod("load-x", &task("load", "r2"), &json!({"phase": "Succeeded"})));
    api.put(&format!("{PODS}/extract-x"), pod("extract-x", &task("extract", "r1"), &running()));
    api.put(&format!("{PODS}/plain"), json!({"metadata": {"name": "plain"}, "spec": {"containers": []}}));
    let mapped = json!({"scheduler": "job", "task": "map", "mapIndex": "3"});
    api.put("/api/v1/namespaces/shop/pods/map-3", pod("map-3", &mapped, &starting()));
    api
}

fn lines(text: &str) -> Vec<Vec<&str>> {
    // Cells are separated by at least three spaces.
    let lines = text.lines();
    lines.map(|line| line.split("   ").map(str::trim).filter(|cell| !cell.is_empty()).collect()).collect()
}

fn without_age<'t>(line: &[&'t str]) -> Vec<&'t str> {
    [&line[..7], &line[8..]].concat()
}

#[tokio::test]
async fn tasks_are_listed_by_workflow_and_run() {
    let api = cluster();
    let text = printed(&api, &["-n", "etl"]).await;
    let lines = lines(&text);
    assert_eq!(
        lines[0],
        ["SCHEDULER", "WORKFLOW", "RUN", "TASK", "ATTEMPT", "STATE", "BOOT", "AGE", "PROGRESS", "POD"]
    );
    let extract = ["airflow", "etl", "r1", "extract", "1", "runs", "3s", "40/100 [2Jparsing", "extract-x"];
    let load = ["airflow", "etl", "r2", "load", "1", "succeeded", "-", "40/100 [2Jparsing", "load-x"];
    assert_eq!(without_age(&lines[1]), extract);
    assert_eq!(without_age(&lines[2]), load);
    assert_eq!(lines.len(), 3, "{text}");
    // The columns are aligned.
    let columns: Vec<_> = text.lines().map(|line| line.rfind("   ").unwrap()).collect();
    assert!(columns.windows(2).all(|pair| pair[0] == pair[1]), "{text}");
}

#[tokio::test]
async fn all_namespaces_are_listed_with_more_columns() {
    let api = cluster();
    let text = printed(&api, &["--all-namespaces", "--output", "wide"]).await;
    let lines = lines(&text);
    assert_eq!((lines[0][0], &lines[0][11..]), ("NAMESPACE", &["NODE", "PROFILE", "LINKS"][..]));
    // Only a link that Bootlace has added, and that is one.
    assert_eq!(lines[1][11..], ["worker-1", "default", "logs=https://logs.example.com/a"]);
    assert_eq!(lines[3][..5], ["shop", "job", "-", "-", "map[3]"]);
    assert_eq!(lines.len(), 4, "{text}");
    assert!(!text.contains("alert") && !text.contains("other.example.com"), "{text}");
}

#[tokio::test]
async fn tasks_are_filtered() {
    let api = cluster();
    for (words, pods) in [
        (&["--workflow", "etl"][..], &["extract-x", "load-x"][..]),
        (&["--run", "r1"], &["extract-x"]),
        (&["--scheduler", "job"], &["map-3"]),
        (&["--state", "running,starting"], &["extract-x", "map-3"]),
        (&["--state", "failed"], &[]),
        (&["--workflow", "etl", "--state", "succeeded"], &["load-x"]),
    ] {
        let text = printed(&api, &[&["-A"][..], words].concat()).await;
        let found: Vec<_> =
            text.lines().skip(1).map(|line| line.split_whitespace().last().unwrap()).collect();
        assert_eq!(found, pods, "{words:?}");
    }
}

#[tokio::test]
async fn documents_have_a_stable_shape() {
    let api = cluster();
    let text = printed(&api, &["-n", "etl", "-o", "json"]).await;
    let list: Value = serde_json::from_str(&text).unwrap();
    let mut first = list["tasks"][0].clone();
    first.as_object_mut().unwrap().remove("uid").unwrap();
    let expected = json!({
        "namespace": "etl", "pod": "extract-x", "scheduler": "airflow", "workflow": "etl", "run": "r1",
        "task": "extract", "mapIndex": null, "attempt": "1", "scheduledTime": null, "state": "running",
        "reason": null, "bootSeconds": 3, "created": "2026-11-21T10:00:00Z", "started": "2026-11-21T10:00:06Z",
        "ended": null, "node": "worker-1", "profile": "default", "progress": "40/100 [2Jparsing",
        "links": {"logs": "https://logs.example.com/a"},
    });
    assert_eq!(first, expected);
    let yaml = printed(&api, &["-n", "etl", "-o", "yaml"]).await;
    assert_eq!(serde_saphyr::from_str::<Value>(&yaml).unwrap(), list);
    let none = printed(&api, &["-n", "none", "-o", "json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&none).unwrap(), json!({"tasks": []}));
}

#[tokio::test]
async fn only_the_events_of_pods_that_do_not_start_are_read() {
    let api = cluster();
    let uid = api.get("/api/v1/namespaces/shop/pods/map-3").unwrap()["metadata"]["uid"].clone();
    let event = |name: &str, uid: &Value, last: &str, reason: &str| {
        let object = json!({"kind": "Pod", "namespace": "shop", "name": "map-3", "uid": uid});
        api.put(
            &format!("/api/v1/namespaces/shop/events/{name}"),
            json!({
                "metadata": {"name": name}, "involvedObject": object, "type": "Warning", "reason": reason,
                "message": "no secret", "lastTimestamp": last,
            }),
        );
    };
    event("a", &uid, "2026-11-21T10:00:09Z", "FailedMount");
    event("b", &uid, "2026-11-21T10:00:01Z", "FailedScheduling");
    event("c", &json!("other"), "2026-11-21T10:00:20Z", "Other");
    let text = printed(&api, &["-A"]).await;
    assert!(text.contains("starts: FailedMount: no secret"), "{text}");
    let requests = api.requests();
    let events: Vec<_> = requests.iter().filter(|request| request.contains("/events")).collect();
    assert_eq!(events.len(), 1, "{events:?}");
    assert!(events[0].contains("/shop/events") && events[0].contains("involvedObject.uid"), "{events:?}");

    // Without the right to read them, the list is complete all the same.
    api.fail("/api/v1/namespaces/shop/events", 403);
    let text = printed(&api, &["-A"]).await;
    assert!(text.contains("starts  ") && text.contains("map-3"), "{text}");
}

#[tokio::test]
async fn large_clusters_are_read_in_pages() {
    let api = ApiServer::new();
    for number in 0..600 {
        let name = format!("load-{number:03}");
        api.put(&format!("{PODS}/{name}"), pod(&name, &task("load", "r1"), &running()));
    }
    let text = printed(&api, &["-n", "etl"]).await;
    assert_eq!(text.lines().count(), 601);
    assert_eq!(api.requests().len(), 3, "{:?}", api.requests());
}

#[tokio::test]
async fn a_user_without_the_right_to_list_pods_is_told_what_to_ask_for() {
    let api = cluster();
    api.fail("/api/v1", 403);
    for (words, remedy) in
        [(&["-n", "etl"][..], "ClusterRole view in the namespace"), (&["-A"], "--namespace")]
    {
        let error = print(&api.client(), &args(words), &mut Vec::new()).await.unwrap_err();
        assert!(error.code() == Code::ClusterRequestRefused && error.to_string().contains(remedy), "{error}");
    }
}

fn typed(value: &Value) -> Pod {
    let mut value = value.clone();
    value["metadata"]["uid"] = value["metadata"]["name"].clone();
    serde_json::from_value(value).unwrap()
}

#[test]
fn a_watch_that_begins_again_finds_what_it_has_missed() {
    let filter = Filter::default();
    let mut board = Board::default();
    let mut apply = |event| board.apply(event, &filter);
    let (load, extract) = (task("load", "r1"), task("extract", "r1"));
    assert_eq!(apply(Event::Init), Outcome::None);
    for pod in [pod("a", &load, &starting()), pod("b", &extract, &running())] {
        assert_eq!(apply(Event::InitApply(typed(&pod))), Outcome::None);
    }
    assert_eq!(apply(Event::InitDone), Outcome::Begun);
    let changed = |outcome| match outcome {
        Outcome::Changed(tasks) => {
            tasks.iter().map(|task: &Task| format!("{} {}", task.pod, task.state.phase.as_str())).collect()
        }
        outcome => vec![format!("{outcome:?}")],
    };
    assert_eq!(changed(apply(Event::Apply(typed(&pod("a", &load, &running()))))), ["a running"]);
    // The watch was closed. Meanwhile, one pod has ended and the other was deleted.
    assert_eq!(apply(Event::Init), Outcome::None);
    let ended = typed(&pod("a", &load, &json!({"phase": "Succeeded"})));
    assert_eq!(changed(apply(Event::InitApply(ended.clone()))), ["a succeeded"]);
    assert_eq!(changed(apply(Event::InitDone)), ["b deleted"]);
    assert_eq!(changed(apply(Event::Delete(ended))), ["a deleted"]);
    assert!(board.tasks().is_empty());
}

/// An output that a test reads while it is written.
#[derive(Clone, Default)]
struct Shared(std::rc::Rc<std::cell::RefCell<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }

    /// Waits until the output has this many lines.
    async fn lines(&self, count: usize) -> String {
        while self.text().lines().count() < count {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        self.text()
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_prints_a_line_for_each_change() {
    let api = cluster();
    let (out, client) = (Shared::default(), api.client());
    let (args, mut written) = (args(&["-n", "etl", "--watch"]), out.clone());
    let changes = async {
        assert_eq!(out.lines(3).await.lines().count(), 3);
        let extract = format!("{PODS}/extract-x");
        // A change that no column shows has no line.
        api.put(&extract, pod("extract-x", &task("extract", "r1"), &running()));
        api.put(&extract, pod("extract-x", &task("extract", "r1"), &json!({"phase": "Failed"})));
        out.lines(4).await;
        api.delete(&extract);
        let text = out.lines(5).await;
        let lines = lines(&text);
        assert_eq!((lines[3][3], lines[3][5]), ("extract", "failed"));
        assert_eq!((lines[4][3], lines[4][5]), ("extract", "was deleted"));
        assert_eq!(lines.len(), 5, "{text}");
    };
    tokio::select! {
        result = print(&client, &args, &mut written) => panic!("{result:?}"),
        () = changes => {}
    }
}

#[test]
fn a_task_can_be_read_whatever_its_annotation_says() {
    let mut pod = pod("a", &task("load", "r1"), &running());
    pod["metadata"]["annotations"]["bootlace.dev/injected"] = json!("not JSON");
    let task = Task::of_pod(&typed(&pod)).unwrap();
    assert_eq!((task.state.phase, task.identity.task.as_deref()), (Phase::Running, Some("load")));
    let mut pod = pod.clone();
    pod["spec"]["initContainers"][0]["env"][0]["value"] = json!("{}");
    pod["metadata"]["labels"] = json!({"batch.kubernetes.io/job-name": "nightly"});
    let task = Task::of_pod(&typed(&pod)).unwrap();
    assert_eq!(task.identity.workflow.as_deref(), Some("nightly"));
    assert_eq!(task.run.map(|run| run.seconds(now())), None);
}
