//! The messages of `bootlace monitor` about pods that it fails, and about aborts that it cannot send.

use k8s_openapi::api::core::v1::{Event, Pod};
use serde_json::{Value, json};

use super::Messages;
use crate::monitor::aborts::act::Left;
use crate::monitor::launch::cause;
use crate::monitor::launch::settings::Settings;
use crate::monitor::launch::verdict::Failure;
use bootlace_core::code::Coded as _;
use bootlace_core::names;

pub(super) fn messages() -> Messages {
    let schedule = Failure::Schedule { seconds: 600 };
    let start = || Failure::Start { seconds: 300 };
    let sidecar = || Failure::Sidecar { container: "proxy".to_owned() };
    let unschedulable = json!([{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/3 nodes are available: 3 Insufficient cpu.",
    }]);
    let waiting = |reason: &str, message: &str| json!({"waiting": {"reason": reason, "message": message}});
    let pull = waiting("ImagePullBackOff", "Back-off pulling image \"etl:2\": not found");
    let mount = json!({
        "metadata": {}, "involvedObject": {}, "type": "Warning", "reason": "FailedMount",
        "message": "MountVolume.SetUp failed for volume \"login\": secret \"login\" not found",
    });
    let mount = [serde_json::from_value(mount).unwrap()];
    let done = json!({"terminated": {"exitCode": 0}});
    let crash = waiting("CrashLoopBackOff", "back-off 40s restarting failed container");
    // On the heap, because each pod has several kilobytes.
    let cases = vec![
        (schedule.clone(), pod(&unschedulable, &[]), &[][..]),
        (schedule, pod(&json!([]), &[]), &[]),
        (start(), pod(&json!([]), &[("main", pull)]), &[]),
        (start(), pod(&json!([]), &[("main", waiting("ContainerCreating", ""))]), &mount),
        (start(), pod(&json!([]), &[("bootlace-wait", json!({"running": {}}))]), &[]),
        (
            start(),
            pod(&json!([]), &[("bootlace-wait", done), ("bootlace-boot", json!({"running": {}}))]),
            &[],
        ),
        (start(), pod(&json!([]), &[("first", json!({"terminated": {"exitCode": 3}}))]), &[]),
        (sidecar(), pod(&json!([]), &[("proxy", crash)]), &[]),
        (sidecar(), pod(&json!([]), &[("proxy", json!({"terminated": {"exitCode": 1}}))]), &[]),
    ];
    let name = |name: &str| name.to_owned();
    let left = [
        Left::NoProfile(name("spark")),
        Left::InvalidProfile { name: name("spark"), problem: name("spec.hooks: invalid") },
        Left::Needs { hook: name("cancel"), profile: name("spark"), needs: name("Secret login") },
    ];
    // A hook that was not sent has a message and a code of the sidecar.
    let left = left.iter().map(|left| (left.code(), left.to_string()));
    cases.into_iter().map(|(failure, pod, events)| message(&failure, &pod, events)).chain(left).collect()
}

fn message(failure: &Failure, pod: &Pod, events: &[Event]) -> (bootlace_core::code::Code, String) {
    let settings = Settings::of(pod).unwrap();
    let message = cause::message(failure, pod, &settings, events);
    let code = failure.code();
    (code, message.strip_suffix(&format!(" [{code}]")).unwrap().to_owned())
}

/// A pod with these conditions and states. Other init containers do not exist.
fn pod(conditions: &Value, states: &[(&str, Value)]) -> Pod {
    let is_init = |name: &str| !["main", "proxy"].contains(&name);
    let reported = |(name, state): &(&str, Value)| {
        json!({
            "name": name, "state": state, "image": "i", "imageID": "", "ready": false, "restartCount": 3,
        })
    };
    let part = |init: bool| -> Vec<_> { states.iter().filter(|(name, _)| is_init(name) == init).collect() };
    let statuses = |init: bool| -> Vec<_> { part(init).into_iter().map(reported).collect() };
    let init: Vec<_> = part(true).into_iter().map(|(name, _)| json!({"name": name})).collect();
    let injected = json!({
        "profile": "etl", "containers": ["main"], "awaits": [{"key": "Cert", "object": "o", "seconds": 600}],
    });
    let pod = json!({
        "metadata": {"annotations": {names::ANNOTATION_INJECTED: injected.to_string()}},
        "spec": {"initContainers": init, "containers": [{"name": "main"}, {"name": "proxy"}]},
        "status": {
            "conditions": conditions, "initContainerStatuses": statuses(true), "containerStatuses": statuses(false),
        },
    });
    serde_json::from_value(pod).unwrap()
}
