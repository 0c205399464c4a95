//! The decisions for pods in every state.

use bootlace::monitor::launch::settings::Settings;
use bootlace::monitor::launch::verdict::{Failure, Verdict, verdict, was_gated};
use serde_json::{Value, json};

use crate::support::{on_node, parsed, pod, running, scheduled, time, waiting};

fn decide(pod: &Value, now: &str) -> Verdict {
    let pod = parsed(pod);
    verdict(&pod, &Settings::of(&pod).unwrap(), None, time(now))
}

fn limits() -> Value {
    json!({"launch": {"scheduleSeconds": 60, "startSeconds": 120}})
}

fn wait(until: &str) -> Verdict {
    Verdict::Wait(time(until))
}

fn with(mut pod: Value, pointer: &str, value: Value) -> Value {
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    pod.pointer_mut(parent).unwrap()[field] = value;
    pod
}

#[test]
fn a_pod_must_have_a_node_in_time() {
    let unschedulable = scheduled("False", "Unschedulable", "0/1 nodes are available", Some("10:00:01"));
    let unscheduled = with(pod(&limits()), "/status/conditions", json!([unschedulable]));
    let fails = Verdict::Fail(Failure::Schedule { seconds: 60 });
    for (pod, now, expected) in [
        (&unscheduled, "10:00:59", wait("10:01:00")),
        (&unscheduled, "10:01:00", fails.clone()),
        // The scheduler has not seen it yet.
        (&pod(&limits()), "10:00:59", wait("10:01:00")),
        (&pod(&limits()), "10:05:00", fails),
        (&pod(&json!({"launch": {"startSeconds": 5}})), "23:00:00", Verdict::Nothing),
        (&pod(&json!({})), "23:00:00", Verdict::Nothing),
    ] {
        assert_eq!(decide(pod, now), expected, "{pod} {now}");
    }
}

#[test]
fn time_behind_scheduling_gates_does_not_count() {
    let gated = scheduled("False", "SchedulingGated", "gated", None);
    let gated = with(pod(&limits()), "/status/conditions", json!([gated]));
    let gated = with(gated, "/spec/schedulingGates", json!([{"name": "kueue.x-k8s.io/admission"}]));
    assert_eq!(decide(&gated, "23:00:00"), Verdict::Nothing);
    assert!(!was_gated(&parsed(&gated)));

    let mut free = gated.clone();
    free["spec"].as_object_mut().unwrap().remove("schedulingGates");
    // Before and after the first attempt of the scheduler, which keeps the missing time.
    let unschedulable = scheduled("False", "Unschedulable", "0/1 nodes are available", None);
    // Since Kubernetes 1.33, the generation counts the removal of the gates, and the condition has a time.
    let timed = scheduled("False", "Unschedulable", "0/1 nodes are available", Some("10:00:00"));
    let counted = with(free.clone(), "/status/conditions", json!([timed]));
    let counted = with(counted, "/metadata/generation", json!(2));
    for free in [&free, &with(free.clone(), "/status/conditions", json!([unschedulable])), &counted] {
        let free = parsed(free);
        assert!(was_gated(&free));
        let settings = Settings::of(&free).unwrap();
        let decide = |ungated, now| verdict(&free, &settings, ungated, time(now));
        let ungated = Some(time("22:00:00"));
        assert_eq!(decide(ungated, "22:00:59"), wait("22:01:00"));
        assert_eq!(decide(ungated, "22:01:00"), Verdict::Fail(Failure::Schedule { seconds: 60 }));
        assert_eq!(decide(None, "23:00:00"), wait("23:01:00"), "a new leader has not seen the gate");
    }
}

#[test]
fn the_tasks_must_start_in_time_after_the_pod_has_a_node() {
    let starting = |states| on_node(pod(&limits()), "11:00:00", &states);
    let fails = Verdict::Fail(Failure::Start { seconds: 120 });
    for (states, name) in [
        (json!({}), "no container has been created"),
        (
            json!({"main": waiting("ImagePullBackOff", "not found"), "logs": running()}),
            "its image is missing",
        ),
        (json!({"bootlace-boot": running()}), "boot runs"),
        (json!({"proxy": waiting("CrashLoopBackOff", "back-off 10s")}), "its sidecar does not start"),
    ] {
        assert_eq!(decide(&starting(states.clone()), "11:01:59"), wait("11:02:00"), "{name}");
        assert_eq!(decide(&starting(states), "11:02:00"), fails, "{name}");
    }
    let restarted = json!({
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": 1}}, "restartCount": 1,
    });
    for (states, name) in [
        (json!({"main": running()}), "the task runs, and another container does not matter"),
        (json!({"main": restarted}), "the task has started before"),
        (json!({"main": {"state": {"terminated": {"exitCode": 0}}}}), "the task has ended"),
    ] {
        assert_eq!(decide(&starting(states), "23:00:00"), Verdict::Nothing, "{name}");
    }
}

#[test]
fn every_task_container_counts_and_unknown_ones_do_not() {
    let injected = |containers: Value| {
        let mut settings = limits();
        settings["containers"] = containers;
        on_node(pod(&settings), "11:00:00", &json!({"main": running()}))
    };
    let fails = Verdict::Fail(Failure::Start { seconds: 120 });
    assert_eq!(decide(&injected(json!(["main", "logs"])), "12:00:00"), fails);
    assert_eq!(decide(&injected(json!(["main", "nowhere"])), "12:00:00"), Verdict::Nothing);
    // Without a valid name, all regular containers.
    assert_eq!(decide(&injected(json!(["nowhere"])), "12:00:00"), fails);
    assert_eq!(decide(&injected(json!([])), "12:00:00"), fails);
}

#[test]
fn a_pod_that_ends_already_is_left_alone() {
    let late = on_node(pod(&limits()), "10:00:00", &json!({}));
    assert!(matches!(decide(&late, "12:00:00"), Verdict::Fail(_)));
    let deleted = with(late.clone(), "/metadata/deletionTimestamp", json!("2026-11-21T10:00:30Z"));
    assert_eq!(decide(&deleted, "12:00:00"), Verdict::Nothing);
    for phase in ["Succeeded", "Failed"] {
        let ended = with(late.clone(), "/status/phase", json!(phase));
        assert_eq!(decide(&ended, "12:00:00"), Verdict::Nothing, "{phase}");
    }
}

#[test]
fn another_container_that_fails_while_the_task_runs_fails_the_pod_if_the_profile_says_so() {
    let crash_loop = |restarts: u32| {
        json!({
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
            "lastState": {"terminated": {"exitCode": 7}}, "restartCount": restarts,
        })
    };
    let ended = |code: u32| json!({"state": {"terminated": {"exitCode": code, "finishedAt": "2026-11-21T11:00:00Z"}}});
    let fails = |container: &str| Verdict::Fail(Failure::Sidecar { container: container.to_owned() });
    for (states, now, expected) in [
        (json!({"main": running(), "proxy": crash_loop(3)}), "11:00:00", fails("proxy")),
        (json!({"main": running(), "proxy": crash_loop(2)}), "11:00:00", Verdict::Nothing),
        (json!({"main": running(), "logs": crash_loop(3)}), "11:00:00", fails("logs")),
        // At the end of a pod, its containers end at about the same time.
        (json!({"main": running(), "logs": ended(1)}), "11:00:10", wait("11:00:30")),
        (json!({"main": running(), "logs": ended(1)}), "11:00:30", fails("logs")),
        (json!({"main": running(), "logs": ended(0)}), "12:00:00", Verdict::Nothing),
        (json!({"main": ended(0), "logs": ended(1)}), "12:00:00", Verdict::Nothing),
        // It restarts, and has not failed permanently.
        (json!({"main": running(), "proxy": ended(1)}), "12:00:00", Verdict::Nothing),
        (json!({"main": crash_loop(9), "logs": running()}), "12:00:00", Verdict::Nothing),
    ] {
        let settings = json!({"onSidecarFailure": "Fail"});
        let running = with(on_node(pod(&settings), "10:00:01", &states), "/status/phase", json!("Running"));
        assert_eq!(decide(&running, now), expected, "{states} {now}");
        let ignored = with(on_node(pod(&limits()), "10:00:01", &states), "/status/phase", json!("Running"));
        assert_eq!(decide(&ignored, now), Verdict::Nothing, "{states} {now}");
    }
}
