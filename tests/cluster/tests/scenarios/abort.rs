//! Hooks of a profile: a remote system counts which jobs are cancelled when their tasks are ended in
//! different ways, and hooks in the container of the task run in their order.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bootlace_cluster::abort::{self, Options, Remote};
use bootlace_cluster::images::KIT;
use bootlace_cluster::scenario::{LIMIT, Namespace, scenario, state};
use bootlace_cluster::wait::until_async;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{self as core, Event, Node, Pod};
use kube::api::{DeleteParams, EvictParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Resource as _, ResourceExt as _};
use serde_json::{Value, json};

/// The spec of a pod whose task submits a job with the name of the pod, and then runs `script`.
fn spec(script: &str) -> Value {
    // Kubernetes replaces two dollar signs in a command with one.
    let script = format!("hostname >$BOOTLACE_ABORT; echo $$$$ >/tmp/pid; {script}");
    json!({
        "restartPolicy": "Never", "terminationGracePeriodSeconds": 10,
        "containers": [{"name": "main", "image": KIT, "command": ["sh", "-c", script]}],
    })
}

fn pod(namespace: &Namespace, name: &str, script: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"bootlace.dev/task": namespace.name()}},
        "spec": spec(script),
    })
}

fn job(namespace: &Namespace, name: &str, script: &str) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": {
            "metadata": {"labels": {"bootlace.dev/task": namespace.name()}}, "spec": spec(script),
        }},
    })
}

/// A task that runs until a signal.
const ENDLESS: &str = "while :; do sleep 0.1; done";

fn is_running(pod: &Pod) -> bool {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    statuses
        .into_iter()
        .flatten()
        .any(|status| status.state.as_ref().is_some_and(|state| state.running.is_some()))
}

/// Waits until the task of a pod has left its job.
async fn left(namespace: &Namespace, name: &str) -> Result<()> {
    namespace.pod(name, "running", is_running).await?;
    until_async(LIMIT, "the task has not started", async || {
        let output = namespace.exec(name, "main", &["cat", "/tmp/pid"]).await?;
        ensure!(output.succeeded, "{}", output.stderr);
        Ok(())
    })
    .await
}

async fn aborts(namespace: &Namespace) -> Result<usize> {
    let api = namespace.custom_api("bootlace.dev", "v1alpha1", "Abort");
    Ok(api.list(&ListParams::default()).await?.items.len())
}

/// Waits until no record is left.
async fn no_aborts(namespace: &Namespace) -> Result<()> {
    // Two passes of the monitor.
    until_async(LIMIT, "records remain", async || {
        let found = aborts(namespace).await?;
        ensure!(found == 0, "{found} Aborts");
        Ok(())
    })
    .await
}

/// The pods that run until they are ended. `kubectl drain` ends pods with the request that ends `evicted`.
const ENDLESS_PODS: [&str; 7] =
    ["deleted", "evicted", "signalled", "killed", "forced", "without-grace", "slow-handler"];

/// Creates the pods and Jobs of all endings.
async fn create_all(namespace: &Namespace) -> Result<()> {
    for name in ENDLESS_PODS {
        let mut pod = pod(namespace, name, ENDLESS);
        if name == "without-grace" {
            pod["spec"]["terminationGracePeriodSeconds"] = json!(0);
        }
        if name == "slow-handler" {
            pod["spec"]["containers"][0]["lifecycle"] = json!({"preStop": {"sleep": {"seconds": 8}}});
        }
        namespace.create(&pod.to_string()).await?;
    }
    let mut memory = pod(namespace, "out-of-memory", "awk 'BEGIN { x = \"x\"; while (1) x = x x }'");
    memory["spec"]["containers"][0]["resources"] = json!({"limits": {"memory": "64Mi"}});
    namespace.create(&memory.to_string()).await?;
    for (name, script) in [("succeeded", "sleep 1"), ("failed", "sleep 1; exit 3")] {
        namespace.create(&pod(namespace, name, script).to_string()).await?;
    }
    let mut deadline = job(namespace, "deadline", ENDLESS);
    deadline["spec"]["activeDeadlineSeconds"] = json!(40);
    for job in [deadline, job(namespace, "suspended", ENDLESS), job(namespace, "scaled", ENDLESS)] {
        namespace.create(&job.to_string()).await?;
    }
    Ok(())
}

/// Changes the spec of a Job whose task runs, with which Kubernetes deletes its pod.
async fn change_job(namespace: &Namespace, name: &str, spec: &Value) -> Result<()> {
    let pods = namespace.pods(&format!("batch.kubernetes.io/job-name={name}")).await?;
    left(namespace, &pods.first().context("the Job has no pod")?.name_any()).await?;
    let patch = Patch::Merge(json!({"spec": spec}));
    namespace.api::<Job>().patch(name, &PatchParams::default(), &patch).await?;
    Ok(())
}

#[tokio::test]
async fn the_job_of_a_task_is_cancelled_once_however_the_task_is_ended() -> Result<()> {
    scenario("abort-endings")
        .run(async |namespace| {
            let remote = Remote::start(namespace).await?;
            namespace.profile(&json!({"hooks": remote.hooks()}).to_string()).await?;
            let pods = namespace.api::<Pod>();
            create_all(namespace).await?;

            for name in ENDLESS_PODS {
                left(namespace, name).await.with_context(|| name.to_owned())?;
            }
            // The record exists for what the sidecar cannot do.
            until_async(LIMIT, "the aborts are not recorded", async || {
                let found = aborts(namespace).await?;
                ensure!(found >= ENDLESS_PODS.len(), "{found} Aborts");
                Ok(())
            })
            .await?;
            for name in ["deleted", "slow-handler", "without-grace"] {
                pods.delete(name, &DeleteParams::default()).await?;
            }
            pods.evict("evicted", &EvictParams::default()).await?;
            namespace.exec("signalled", "main", &["sh", "-c", "kill -TERM 1"]).await?;
            let killed =
                namespace.exec("killed", "main", &["sh", "-c", "kill -KILL $(cat /tmp/pid)"]).await?;
            ensure!(killed.succeeded, "{}", killed.stderr);
            pods.delete("forced", &DeleteParams::default().grace_period(0)).await?;
            change_job(namespace, "suspended", &json!({"suspend": true})).await?;
            change_job(namespace, "scaled", &json!({"parallelism": 0})).await?;

            let ended = ENDLESS_PODS.iter().chain(&["out-of-memory", "deadline-", "suspended-", "scaled-"]);
            for name in ended.clone() {
                remote.wait_for(&format!("cancel/{name}")).await?;
            }
            for name in ["succeeded", "failed", "deleted", "signalled", "killed", "out-of-memory"] {
                remote.wait_for(&format!("ended/{name} ")).await?;
            }
            let all = remote.requests().await?;
            let count = |start: &str| all.iter().filter(|line| line.starts_with(start)).count();
            for name in ended {
                // A pod that is deleted by force, or without a grace period, has no token any more, so its
                // sidecar cannot remove the record, and the monitor can cancel the job again.
                let limit = if ["forced", "without-grace"].contains(name) { 2 } else { 1 };
                let count = count(&format!("cancel/{name}"));
                assert!((1..=limit).contains(&count), "{name}: {count}");
            }
            for line in ["ended/succeeded exit=0&signal=0", "ended/failed exit=3&signal=0"] {
                assert_eq!(all.iter().filter(|found| *found == line).count(), 1, "{line} in {all:?}");
            }
            assert!(
                !all.iter()
                    .any(|line| line.starts_with("cancel/succeeded") || line.starts_with("cancel/failed"))
            );
            no_aborts(namespace).await?;
            let events = namespace.api::<Event>().list(&ListParams::default()).await?.items;
            let told = |reason: &str, name: &str| {
                events.iter().any(|event| {
                    event.reason.as_deref() == Some(reason)
                        && event.involved_object.name.as_deref() == Some(name)
                })
            };
            for name in ["deleted", "evicted", "signalled", "killed"] {
                assert!(told("Aborted", name), "{name}");
            }
            Ok(())
        })
        .await
}

/// Lets a pod run at most once on the node. For CPU or memory, the scheduler could preempt the pods of other
/// scenarios.
fn with_port(mut pod: Value) -> Value {
    pod["spec"]["containers"][0]["ports"] = json!([{"containerPort": 17717, "hostPort": 17717}]);
    pod
}

/// A pod with a high priority that only fits on this node without the pod that runs there.
async fn important(namespace: &Namespace, node: &str) -> Result<Value> {
    let home = Api::<core::Namespace>::all(namespace.client()).get(namespace.name()).await?;
    let class = json!({
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
        "metadata": {"name": namespace.name(), "ownerReferences": [home.owner_ref(&())]}, "value": 1000,
    });
    namespace.create(&class.to_string()).await?;
    let on_node = json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]});
    Ok(with_port(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "important"},
        "spec": {
            "priorityClassName": namespace.name(), "terminationGracePeriodSeconds": 0,
            "affinity": {"nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [on_node]},
            }},
            "containers": [{"name": "main", "image": KIT, "command": ["sh", "-c", ENDLESS]}],
        },
    })))
}

#[tokio::test]
async fn the_job_of_a_task_that_is_preempted_is_cancelled() -> Result<()> {
    scenario("abort-preempted")
        .run(async |namespace| {
            let remote = Remote::start(namespace).await?;
            namespace.profile(&json!({"hooks": remote.hooks()}).to_string()).await?;
            namespace.create(&with_port(pod(namespace, "task", ENDLESS)).to_string()).await?;
            left(namespace, "task").await?;
            let pods = namespace.api::<Pod>();
            let node = pods.get("task").await?.spec.and_then(|spec| spec.node_name);
            let important = important(namespace, &node.context("the pod has no node")?).await?;
            namespace.create(&important.to_string()).await?;
            remote.wait_within(Duration::from_secs(30), "cancel/task").await?;
            // It starts when the port is free, after the task and its sidecar have ended.
            namespace.pod("important", "running", is_running).await?;
            ensure!(pods.get_opt("task").await?.is_none(), "the task still exists");
            let cancels = remote.requests().await?.iter().filter(|line| *line == "cancel/task").count();
            assert_eq!(cancels, 1);
            assert_eq!(aborts(namespace).await?, 0);
            let of_scheduler = ListParams::default().fields("involvedObject.name=task,reason=Preempted");
            until_async(LIMIT, "the scheduler has not told of the preemption", async || {
                let events = namespace.api::<Event>().list(&of_scheduler).await?.items;
                ensure!(!events.is_empty(), "pod task has no event Preempted");
                Ok(())
            })
            .await
        })
        .await
}

#[tokio::test]
async fn hooks_before_the_end_keep_the_handler_of_the_pod() -> Result<()> {
    scenario("pre-kill")
        .run(async |namespace| {
            let remote = Remote::start(namespace).await?;
            let say = |word: &str| json!(["wget", "-q", "-O", "-", format!("{}/said/{word}", remote.url())]);
            let hooks = json!({"preKill": [
                {"name": "hang", "exec": ["sleep", "60"], "timeoutSeconds": 1, "onFailure": "Ignore"},
                {"name": "say", "exec": say("hook")},
            ]});
            namespace.profile(&json!({"hooks": hooks}).to_string()).await?;
            let trap = say("task")
                .as_array()
                .unwrap()
                .iter()
                .filter_map(Value::as_str)
                .collect::<Vec<_>>()
                .join(" ");
            let mut pod = pod(namespace, "task", "");
            pod["spec"]["containers"][0]["command"][2] =
                json!(format!("trap '{trap}; exit 0' TERM; echo $$ >/tmp/pid; {ENDLESS}"));
            pod["spec"]["terminationGracePeriodSeconds"] = json!(30);
            pod["spec"]["containers"][0]["lifecycle"] =
                json!({"preStop": {"exec": {"command": say("handler")}}});
            namespace.create(&pod.to_string()).await?;
            left(namespace, "task").await?;
            namespace.api::<Pod>().delete("task", &DeleteParams::default()).await?;
            remote.wait_for("said/task").await?;
            assert_eq!(remote.requests().await?, ["said/hook", "said/handler", "said/task"]);
            Ok(())
        })
        .await
}

#[tokio::test]
async fn hooks_before_the_start_can_keep_the_task_from_starting() -> Result<()> {
    scenario("pre-launch")
        .run(async |namespace| {
            let echo = |word: &str| json!(["sh", "-c", format!("echo {word} $GREETING")]);
            let fail = json!({"name": "check", "exec": ["sh", "-c", "echo no $GREETING; exit 3"]});
            let ignored =
                json!({"name": "slow", "exec": ["sleep", "60"], "timeoutSeconds": 1, "onFailure": "Ignore"});
            // On standard error, as the output of hooks: a log has no order between the two streams.
            let task = json!(["sh", "-c", "echo task $GREETING >&2"]);
            let warm = json!({"name": "warm", "exec": echo("warm")});
            let after = json!({"name": "after", "exec": echo("after")});
            let sources = json!([{"name": "settings", "inline": {"env": {"GREETING": "hello"}}}]);
            for (name, pre_launch) in
                [("fails", json!([warm, fail, after])), ("ignores", json!([ignored, warm]))]
            {
                let profile = format!("{}-{name}", namespace.name());
                let spec = json!({"sources": sources, "hooks": {"preLaunch": pre_launch}});
                namespace.profile_called(&profile, &spec.to_string()).await?;
                let pod = json!({
                    "apiVersion": "v1", "kind": "Pod",
                    "metadata": {"name": name, "labels": {"bootlace.dev/task": profile}},
                    "spec": {"restartPolicy": "Never", "containers": [
                        {"name": "main", "image": KIT, "command": task},
                    ]},
                });
                namespace.create(&pod.to_string()).await?;
            }
            let failed = namespace.pod_failed("fails").await?;
            assert_eq!(state::ended(&failed, "main")?.exit_code, 69);
            let message = state::message(&failed, "main")?;
            assert!(
                message.contains("preLaunch hook \"check\"") && message.ends_with("[BL7403]\n"),
                "{message}"
            );
            let log = namespace.log("fails", "main").await?;
            assert!(log.starts_with("warm hello\nno hello\n") && !log.contains("after hello"), "{log}");
            namespace.pod_succeeded("ignores").await?;
            let log = namespace.log("ignores", "main").await?;
            assert!(
                log.contains("warning: preLaunch hook \"slow\"") && log.ends_with("warm hello\ntask hello\n"),
                "{log}"
            );
            Ok(())
        })
        .await
}

/// A Secret of a hook is mounted into the sidecar alone.
#[tokio::test]
async fn a_secret_of_a_hook_is_for_the_sidecar_alone() -> Result<()> {
    scenario("hook-secret")
        .run(async |namespace| {
            let remote = Remote::start(namespace).await?;
            let secret = json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "api"},
                "stringData": {"Authorization": "Bearer hunter2"},
            });
            namespace.create(&secret.to_string()).await?;
            let http = json!({
                "url": remote.url(), "path": "ended/{{ pod }}", "method": "GET",
                "client": {"headersFromSecret": "api"},
            });
            let hooks = json!({"postKill": [{"name": "told", "http": http}]});
            namespace.profile(&json!({"hooks": hooks}).to_string()).await?;
            namespace.create(&pod(namespace, "task", "true").to_string()).await?;
            let pod = namespace.pod_succeeded("task").await?;
            remote.wait_for("ended/task").await?;
            let spec = pod.spec.context("the pod has no spec")?;
            let mounted =
                spec.containers.iter().chain(spec.init_containers.iter().flatten()).filter(|container| {
                    container
                        .volume_mounts
                        .iter()
                        .flatten()
                        .any(|mount| mount.name.starts_with("bootlace-hook-"))
                });
            let names: Vec<_> = mounted.map(|container| container.name.as_str()).collect();
            assert_eq!(names, ["bootlace-pipe"]);
            let events: Api<Event> = namespace.api();
            let events = events.list(&ListParams::default()).await?.items;
            assert!(
                !events
                    .iter()
                    .any(|event| event.message.as_deref().is_some_and(|text| text.contains("hunter2")))
            );
            Ok(())
        })
        .await
}

/// The abort test (`bootlace-cluster abort`), with few runs.
/// A node that never comes back: an object without a kubelet. The sidecar of its pod cannot have written the
/// record, so the test creates it, as the store does.
#[tokio::test]
async fn the_job_of_a_task_on_a_lost_node_is_cancelled_from_the_record() -> Result<()> {
    scenario("abort-lost-node")
        .run(async |namespace| {
            let remote = Remote::start(namespace).await?;
            let login = json!({"headersFromSecret": "login"});
            let mut with_secret = remote.hooks()["abort"][0].clone();
            with_secret["name"] = json!("with-secret");
            with_secret["http"]["client"] = login;
            with_secret["onFailure"] = json!("Ignore");
            let hooks = json!({"abort": [with_secret, remote.hooks()["abort"][0]]});
            namespace.profile(&json!({"hooks": hooks}).to_string()).await?;
            let (nodes, node) = (Api::<Node>::all(namespace.client()), format!("lost-{}", namespace.name()));
            let object = json!({
                "apiVersion": "v1", "kind": "Node", "metadata": {"name": node},
                "spec": {"unschedulable": true},
            });
            nodes.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
            let mut pod = pod(namespace, "lost", ENDLESS);
            pod["spec"]["nodeName"] = json!(node);
            pod["spec"]["terminationGracePeriodSeconds"] = json!(1);
            namespace.create(&pod.to_string()).await?;
            let uid = namespace.api::<Pod>().get("lost").await?.uid().context("no UID")?;
            let record = json!({
                "apiVersion": "bootlace.dev/v1alpha1", "kind": "Abort",
                "metadata": {"name": format!("{uid}.main")},
                "spec": {
                    "pod": "lost", "podUid": uid, "container": "main", "start": 1, "text": "job-lost",
                    "profile": {"name": namespace.name(), "generation": 1}, "task": {},
                },
            });
            namespace.create(&record.to_string()).await?;
            namespace.api::<Pod>().delete("lost", &DeleteParams::default()).await?;
            remote.wait_for("cancel/job-lost").await?;
            no_aborts(namespace).await?;
            let count = remote.requests().await?.iter().filter(|line| *line == "cancel/job-lost").count();
            assert_eq!(count, 1);
            // The pod itself stays until its node is removed.
            ensure!(namespace.api::<Pod>().get_opt("lost").await?.is_some());
            nodes.delete(&node, &DeleteParams::default()).await?;
            namespace.api::<Pod>().delete("lost", &DeleteParams::default().grace_period(0)).await?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn jobs_are_cancelled_if_their_tasks_are_ended_at_any_moment() -> Result<()> {
    let options = Options { runs: 16, at_once: 2, seed: 7 };
    scenario("abort").run(async |namespace| abort::run(namespace, options).await).await
}
