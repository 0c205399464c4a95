//! The messages about failed pods, with the cause as the scheduler or the kubelet gave it.

use bootlace::monitor::launch::cause;
use bootlace::monitor::launch::settings::Settings;
use bootlace::monitor::launch::verdict::{Failure, Verdict, verdict};
use k8s_openapi::api::core::v1::Event;
use serde_json::{Value, json};

use crate::support::{on_node, parsed, pod, running, scheduled, time, waiting};

fn settings() -> Value {
    let awaits = json!([{"key": "Cert", "object": "o", "seconds": 600}]);
    json!({"launch": {"scheduleSeconds": 60, "startSeconds": 120}, "awaits": awaits, "onSidecarFailure": "Fail"})
}

fn event(time: &str, reason: &str, message: &str) -> Event {
    let event = json!({
        "metadata": {}, "involvedObject": {}, "type": "Warning", "reason": reason, "message": message,
        "lastTimestamp": format!("2026-11-21T{time}Z"),
    });
    serde_json::from_value(event).unwrap()
}

fn message(pod: &Value, events: &[Event]) -> String {
    let pod = parsed(pod);
    let settings = Settings::of(&pod).unwrap();
    let Verdict::Fail(failure) = verdict(&pod, &settings, None, time("23:00:00")) else {
        panic!("it does not fail")
    };
    cause::message(&failure, &pod, &settings, events)
}

#[test]
fn the_message_names_the_cause() {
    let starting = |states: Value| on_node(pod(&settings()), "10:00:01", &states);
    let mut unscheduled = pod(&settings());
    assert!(message(&unscheduled, &[]).contains("\"default-scheduler\" has not tried"));
    let reason = "0/1 nodes are available: 1 Insufficient cpu.";
    unscheduled["status"]["conditions"] =
        json!([scheduled("False", "Unschedulable", reason, Some("10:00:00"))]);
    let mount = [
        event("10:00:02", "FailedMount", "MountVolume.SetUp failed for volume \"a\": old"),
        event(
            "10:02:05",
            "FailedMount",
            "MountVolume.SetUp failed for volume \"a\": secret \"login\" not found",
        ),
    ];
    let crash = json!({
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}}, "started": false,
        "lastState": {"terminated": {"exitCode": 7, "message": "password=hunter2"}}, "restartCount": 4,
    });
    for (pod, events, parts) in [
        (
            unscheduled,
            &[][..],
            &[reason, "no node after 60 s", "launch.scheduleSeconds", "\"etl\"", "[BL6401]"][..],
        ),
        (
            starting(json!({"main": waiting("ImagePullBackOff", "Back-off pulling image \"a\"")})),
            &mount[..0],
            &[
                "container \"main\": ImagePullBackOff: Back-off pulling image \"a\"",
                "120 s",
                "launch.startSeconds",
                "[BL6402]",
            ],
        ),
        (
            starting(json!({"proxy": waiting("PodInitializing", "")})),
            &mount,
            &["FailedMount: MountVolume.SetUp failed for volume \"a\": secret \"login\" not found [BL6402]"],
        ),
        (
            starting(json!({"main": waiting("ContainerCreating", "")})),
            &[],
            &["container \"main\": ContainerCreating"],
        ),
        (starting(json!({"bootlace-wait": running()})), &[], &["still waits for output Cert"]),
        (starting(json!({"bootlace-boot": running()})), &[], &["bootlace-boot still fetches the sources"]),
        (
            starting(
                json!({"bootlace-boot": waiting("CreateContainerConfigError", "secret \"login\" not found")}),
            ),
            &mount,
            &[
                "init container \"bootlace-boot\": CreateContainerConfigError: secret \"login\" not found [BL6402]",
            ],
        ),
        (
            starting(json!({"proxy": {"state": {"running": {}}, "started": false}})),
            &[],
            &["sidecar \"proxy\": running, but its startupProbe has not succeeded"],
        ),
        (
            on_node(
                pod(&json!({"onSidecarFailure": "Fail"})),
                "10:00:01",
                &json!({"main": running(), "proxy": crash}),
            ),
            &[],
            &[
                "sidecar \"proxy\" has failed: CrashLoopBackOff: back-off 40s; before, it exited with code 7 while",
                "[BL6403]",
            ],
        ),
    ] {
        let message = message(&pod, events);
        for part in parts {
            assert!(message.contains(part), "{part:?} is not in {message:?}");
        }
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn a_message_is_one_line_and_fits_into_an_event() {
    let long = format!("a\nb\u{1b} {}", "ü".repeat(4000));
    let pod =
        parsed(&on_node(pod(&settings()), "10:00:01", &json!({"main": waiting("ErrImagePull", &long)})));
    let settings = Settings::of(&pod).unwrap();
    let message = cause::message(&Failure::Start { seconds: 120 }, &pod, &settings, &[]);
    assert!(message.len() <= 1000 && message.ends_with(" [BL6402]"), "{message}");
    assert!(!message.contains(char::is_control), "{message}");
}
