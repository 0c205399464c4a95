//! Pods that the monitor fails: what the kubelet does with them in each state, and what schedulers see.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result, ensure};
use bootlace_cluster::images::BUSYBOX;
use bootlace_cluster::install;
use bootlace_cluster::scenario::release::kill_one_process;
use bootlace_cluster::scenario::{LIMIT, Namespace, scenario, state};
use bootlace_cluster::wait::until_async;
use futures::StreamExt as _;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod, PodCondition};
use kube::api::{ListParams, Patch, PatchParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

/// The time that the pods of a test have. Pods that start do so within a few seconds.
const SECONDS: u32 = 20;

fn profile() -> String {
    json!({"launch": {"scheduleSeconds": SECONDS, "startSeconds": SECONDS}}).to_string()
}

/// A pod whose task runs until it is stopped, with changes to its container and its spec.
fn pod(namespace: &Namespace, name: &str, container: &Value, spec: &Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"bootlace.dev/task": namespace.name()}},
        "spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 5,
            "containers": [{"name": "main", "image": BUSYBOX, "command": ["sh", "-c", "sleep 3600 & wait"]}],
        },
    });
    let part = |pod: &mut Value, pointer: &str, more: &Value| {
        let part = pod.pointer_mut(pointer).and_then(Value::as_object_mut).unwrap();
        part.extend(more.as_object().unwrap().clone());
    };
    part(&mut pod, "/spec/containers/0", container);
    part(&mut pod, "/spec", spec);
    pod
}

fn condition<'p>(pod: &'p Pod, type_: &str) -> Option<&'p PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == type_)
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// Whether the pod has failed and its kubelet, if it has one, has accepted that. The kubelet writes the phase
/// first, and restores the cause when the containers have ended.
fn has_settled(pod: &Pod) -> bool {
    let has_node = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    let ready = condition(pod, "Ready").and_then(|ready| ready.reason.as_deref());
    let has_cause = pod.status.as_ref().is_some_and(|status| status.message.is_some());
    phase(pod) == "Failed" && has_cause && (!has_node || ready == Some("PodFailed"))
}

/// The phases that each pod of a namespace has had, in order.
struct Phases(Arc<Mutex<BTreeMap<String, Vec<String>>>>, tokio::task::JoinHandle<()>);

impl Phases {
    fn record(namespace: &Namespace) -> Self {
        let phases = Arc::<Mutex<BTreeMap<String, Vec<String>>>>::default();
        let (seen, api) = (Arc::clone(&phases), namespace.api::<Pod>());
        let watching = tokio::spawn(async move {
            let pods = watcher(api, watcher::Config::default()).default_backoff().applied_objects();
            let mut pods = std::pin::pin!(pods);
            while let Some(pod) = pods.next().await {
                let Ok(pod) = pod else { continue };
                let mut seen = seen.lock().unwrap();
                let phases = seen.entry(pod.name_any()).or_default();
                let phase = phase(&pod).to_owned();
                if phases.last() != Some(&phase) {
                    phases.push(phase);
                }
            }
        });
        Self(phases, watching)
    }

    /// The phases of a pod.
    fn of(&self, pod: &str) -> Vec<String> {
        self.0.lock().unwrap().get(pod).cloned().unwrap_or_default()
    }
}

impl Drop for Phases {
    fn drop(&mut self) {
        self.1.abort();
    }
}

/// Checks that the message is everywhere where someone may look for it.
async fn check_cause(
    namespace: &Namespace,
    pod: &Pod,
    (reason, cause): (&str, &str),
    type_: &str,
) -> Result<()> {
    let (name, status) = (pod.name_any(), pod.status.clone().unwrap_or_default());
    let message = status.message.with_context(|| format!("{name} has no message"))?;
    ensure!(message.contains(cause), "{name}: {cause:?} is not in {message:?}");
    ensure!(status.reason.as_deref() == Some(reason), "{name}: {:?}", status.reason);
    let condition = condition(pod, type_).with_context(|| format!("{name} has no condition {type_}"))?;
    ensure!(condition.message.as_deref() == Some(message.as_str()), "{name}: {condition:?}");
    ensure!(self::condition(pod, "DisruptionTarget").is_none(), "{name} is a DisruptionTarget");
    let diagnosis: Value = serde_json::from_str(&pod.annotations()["bootlace.dev/diagnosis"])?;
    ensure!(diagnosis["message"] == json!(message), "{name}: {diagnosis}");
    let selector = format!("involvedObject.name={name},reason={reason}");
    let events = namespace.api::<Event>().list(&ListParams::default().fields(&selector)).await?.items;
    ensure!(
        events.len() == 1 && events[0].message.as_deref() == Some(message.as_str()),
        "{name}: {events:?}"
    );
    let kept = Api::<ConfigMap>::namespaced(namespace.client(), install::NAMESPACE);
    let kept = kept.get(&format!("launch-{}", pod.uid().unwrap_or_default())).await?;
    ensure!(kept.labels()["bootlace.dev/diagnosis"] == namespace.name(), "{name}: {kept:?}");
    Ok(())
}

/// A server on port 5000 that accepts connections and never answers. Returns its address.
async fn silent_server(namespace: &Namespace) -> Result<String> {
    let script = "while :; do nc -l -p 5000 -e sleep 3600; done";
    let mut server = pod(namespace, "silent", &json!({"command": ["sh", "-c", script]}), &json!({}));
    server["metadata"]["labels"] = json!({});
    namespace.create(&server.to_string()).await?;
    let server = namespace.pod_ready("silent").await?;
    let address = server.status.and_then(|status| status.pod_ip).context("the server has no address")?;
    Ok(format!("{address}:5000"))
}

/// The states, each with the name of its pod, the pod, the reason and a part of the message.
fn states(namespace: &Namespace, server: &str) -> Vec<(&'static str, Value, &'static str, &'static str)> {
    let pod = |name: &str, container: Value, spec: Value| pod(namespace, name, &container, &spec);
    let login =
        json!([{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "login", "key": "password"}}}]);
    let volume = json!({"volumes": [{"name": "login", "secret": {"secretName": "login"}}]});
    let mount = json!({"volumeMounts": [{"name": "login", "mountPath": "/login"}]});
    let proxy = json!([{
        "name": "proxy", "image": BUSYBOX, "command": ["sleep", "3600"], "restartPolicy": "Always",
        "startupProbe": {"exec": {"command": ["false"]}, "failureThreshold": 1000, "periodSeconds": 1},
    }]);
    let mut waits = pod("boot-waits", json!({}), json!({}));
    waits["metadata"]["annotations"] = json!({
        "bootlace.dev/run": "r", "bootlace.dev/workflow": "w",
        "bootlace.dev/pipe-in": "[{key: Cert, mountPath: /tls, wait: 600, kind: Secret, task: gencert}]",
    });
    let large = json!({"resources": {"requests": {"cpu": "1000"}}});
    let image = |image: &str| json!({"image": image, "imagePullPolicy": "Always"});
    vec![
        (
            "image-missing",
            pod("image-missing", image("localhost/nowhere:1"), json!({})),
            "StartTimeout",
            "localhost/nowhere:1",
        ),
        (
            "image-never",
            pod(
                "image-never",
                json!({"image": "localhost/nowhere:2", "imagePullPolicy": "Never"}),
                json!({}),
            ),
            "StartTimeout",
            "ErrImageNeverPull",
        ),
        // The kubelet is in a pull, and cannot do anything else for the pod.
        (
            "image-hangs",
            pod("image-hangs", image(&format!("{server}/nowhere:1")), json!({})),
            "StartTimeout",
            "nowhere:1",
        ),
        (
            "env-missing",
            pod("env-missing", json!({"env": login}), json!({})),
            "StartTimeout",
            "secret \"login\" not found",
        ),
        // The kubelet waits for the volume, and cannot do anything else for the pod.
        ("volume-missing", pod("volume-missing", mount, volume), "StartTimeout", "FailedMount: "),
        ("boot-waits", waits, "StartTimeout", "the pod still waits for output Cert"),
        (
            "sidecar-not-ready",
            pod("sidecar-not-ready", json!({}), json!({"initContainers": proxy})),
            "StartTimeout",
            "sidecar \"proxy\": running, but its startupProbe has not succeeded",
        ),
        ("unschedulable", pod("unschedulable", large, json!({})), "ScheduleTimeout", "Insufficient cpu"),
    ]
}

#[tokio::test]
async fn a_pod_fails_with_its_cause_in_every_state_and_stays_failed() -> Result<()> {
    scenario("monitor-states")
        .run(async |namespace| {
            namespace.profile(&profile()).await?;
            let server = silent_server(namespace).await?;
            let phases = Phases::record(namespace);
            let states = states(namespace, &server);
            for (_, pod, ..) in &states {
                namespace.create(&pod.to_string()).await?;
            }
            namespace.create(&pod(namespace, "starts", &json!({}), &json!({})).to_string()).await?;
            for (name, _, reason, cause) in &states {
                let pod = namespace.pod(name, "Failed, also for its kubelet", has_settled).await?;
                println!("{name}: {:?}", pod.status.as_ref().and_then(|status| status.message.as_deref()));
                check_cause(namespace, &pod, (*reason, *cause), "bootlace.dev/Launched").await?;
            }
            for (name, ..) in &states {
                let phases = phases.of(name);
                ensure!(phases == ["Pending", "Failed"], "{name}: {phases:?}");
                let pod = namespace.api::<Pod>().get(name).await?;
                ensure!(
                    phase(&pod) == "Failed" && pod.status.is_some_and(|status| status.message.is_some()),
                    "{name}"
                );
            }
            let started = namespace.api::<Pod>().get("starts").await?;
            ensure!(phase(&started) == "Running", "{:?}", started.status);
            Ok(())
        })
        .await
}

/// A Job whose image does not exist.
fn job(namespace: &Namespace, name: &str, spec: &Value) -> Value {
    let mut template = pod(namespace, "", &json!({"image": "localhost/nowhere:1"}), &json!({}));
    template["metadata"].as_object_mut().unwrap().remove("name");
    let mut job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {"template": {"metadata": template["metadata"], "spec": template["spec"]}},
    });
    job["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    job
}

async fn failed_job(namespace: &Namespace, name: &str) -> Result<(String, String)> {
    let mut result = None;
    until_async(LIMIT, &format!("Job {name} has not failed"), async || {
        let job = namespace.api::<Job>().get(name).await?;
        let conditions = job.status.and_then(|status| status.conditions).unwrap_or_default();
        let failed = conditions.into_iter().find(|condition| condition.type_ == "Failed");
        let failed = failed.with_context(|| format!("Job {name} has not failed"))?;
        result = Some((failed.reason.unwrap_or_default(), failed.message.unwrap_or_default()));
        Ok(())
    })
    .await?;
    result.context("the Job has no condition")
}

#[tokio::test]
async fn a_job_fails_at_once_with_a_rule_and_tries_again_without() -> Result<()> {
    scenario("monitor-job")
        .run(async |namespace| {
            namespace.profile(&profile()).await?;
            let rule = json!({
                "action": "FailJob", "onPodConditions": [{"type": "bootlace.dev/Launched", "status": "False"}],
            });
            let once = json!({"backoffLimit": 5, "podFailurePolicy": {"rules": [rule]}});
            namespace.create(&job(namespace, "once", &once).to_string()).await?;
            namespace.create(&job(namespace, "again", &json!({"backoffLimit": 1})).to_string()).await?;
            for (name, reason, pods) in [("once", "PodFailurePolicy", 1), ("again", "BackoffLimitExceeded", 2)] {
                let (found, message) = failed_job(namespace, name).await?;
                println!("{name}: {found}: {message}");
                ensure!(found == reason, "{name}: {found}: {message}");
                let found = namespace.pods(&format!("batch.kubernetes.io/job-name={name}")).await?;
                ensure!(found.len() == pods, "{name}: {} pods", found.len());
                for pod in found {
                    let message = pod.status.and_then(|status| status.message).unwrap_or_default();
                    ensure!(message.contains("localhost/nowhere:1"), "{name}: {message}");
                }
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_task_whose_sidecar_crashes_again_and_again_is_stopped() -> Result<()> {
    scenario("monitor-sidecar")
        .run(async |namespace| {
            namespace.profile("{onSidecarFailure: Fail}").await?;
            let ignored = format!("{}-ignored", namespace.name());
            namespace.profile_called(&ignored, "{launch: {startSeconds: 60}}").await?;
            let proxy = json!([{
                "name": "proxy", "image": BUSYBOX, "command": ["sh", "-c", "exit 3"], "restartPolicy": "Always",
            }]);
            let script = "trap 'echo stopped; exit 9' TERM; echo waits; sleep 3600 & wait";
            let task = json!({"command": ["sh", "-c", script]});
            let failing = pod(namespace, "failing", &task, &json!({"initContainers": proxy}));
            let mut tolerant = failing.clone();
            tolerant["metadata"] = json!({"name": "tolerant", "labels": {"bootlace.dev/task": ignored}});
            namespace.create(&failing.to_string()).await?;
            namespace.create(&tolerant.to_string()).await?;
            let pod = namespace.pod("failing", "Failed, also for its kubelet", has_settled).await?;
            check_cause(namespace, &pod, ("SidecarFailed", "sidecar \"proxy\" has failed: CrashLoopBackOff"), "bootlace.dev/SidecarFailed").await?;
            // The task had its grace period.
            let pod = namespace.container_ended("failing", "main").await?;
            assert_eq!(state::ended(&pod, "main")?.exit_code, 9);
            assert_eq!(namespace.log("failing", "main").await?, "waits\nstopped\n");
            let tolerant = namespace.api::<Pod>().get("tolerant").await?;
            ensure!(phase(&tolerant) == "Running", "{:?}", tolerant.status);
            Ok(())
        })
        .await
}

#[tokio::test]
async fn time_behind_a_scheduling_gate_does_not_count() -> Result<()> {
    scenario("monitor-gate")
        .run(async |namespace| {
            namespace.profile(&profile()).await?;
            let large = json!({"resources": {"requests": {"cpu": "1000"}}});
            let queued = json!({"schedulingGates": [{"name": "example.com/queue"}]});
            namespace.create(&pod(namespace, "gated", &large, &queued).to_string()).await?;
            namespace.create(&pod(namespace, "free", &large, &json!({})).to_string()).await?;
            namespace.pod("free", "Failed", |pod| phase(pod) == "Failed").await?;
            // Longer than its time.
            let pods = namespace.api::<Pod>();
            let gated = pods.get("gated").await?;
            ensure!(phase(&gated) == "Pending", "{:?}", gated.status);
            let free = Patch::Merge(json!({"spec": {"schedulingGates": null}}));
            pods.patch("gated", &PatchParams::default(), &free).await?;
            let tried = |pod: &Pod| {
                condition(pod, "PodScheduled")
                    .is_some_and(|found| found.reason.as_deref() == Some("Unschedulable"))
            };
            let gated = namespace.pod("gated", "Unschedulable", tried).await?;
            // The monitor relies on this.
            ensure!(gated.metadata.generation == Some(2), "{:?}", gated.metadata);
            ensure!(phase(&gated) == "Pending", "{:?}", gated.status);
            let gated = namespace.pod("gated", "Failed", |pod| phase(pod) == "Failed").await?;
            check_cause(namespace, &gated, ("ScheduleTimeout", "Insufficient cpu"), "bootlace.dev/Launched")
                .await
        })
        .await
}

#[tokio::test]
async fn a_leader_that_is_killed_is_replaced_and_no_pod_is_forgotten() -> Result<()> {
    scenario("monitor-kill")
        .run(async |namespace| {
            namespace.profile(&profile()).await?;
            let image = json!({"image": "localhost/nowhere:1", "imagePullPolicy": "Always"});
            namespace.create(&pod(namespace, "first", &image, &json!({})).to_string()).await?;
            let waits =
                |pod: &Pod| condition(pod, "PodScheduled").is_some_and(|found| found.status == "True");
            namespace.pod("first", "scheduled", waits).await?;
            let leader = leader(namespace).await?;
            let pods = Api::<Pod>::namespaced(namespace.client(), install::NAMESPACE);
            kill_one_process(&pods.get(&leader).await?)?;
            namespace.create(&pod(namespace, "second", &image, &json!({})).to_string()).await?;
            for name in ["first", "second"] {
                let pod = namespace.pod(name, "Failed, also for its kubelet", has_settled).await?;
                check_cause(
                    namespace,
                    &pod,
                    ("StartTimeout", "localhost/nowhere:1"),
                    "bootlace.dev/Launched",
                )
                .await?;
            }
            Ok(())
        })
        .await
}

/// The name of the pod that leads.
async fn leader(namespace: &Namespace) -> Result<String> {
    let leases = Api::<Lease>::namespaced(namespace.client(), install::NAMESPACE);
    let lease = leases.get("bootlace-monitor").await?;
    lease.spec.and_then(|spec| spec.holder_identity).context("no replica leads")
}
