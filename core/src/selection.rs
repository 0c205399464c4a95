//! Whether a pod is a task that Bootlace boots, and which profile it names.

use std::fmt;
use std::sync::Arc;

use crate::identity::Schedulers;
use crate::names;
use crate::pod::Pod;

/// What to do with a pod.
#[derive(Clone)]
pub enum Selection<'a> {
    /// The pod is a task, and is booted.
    Task {
        /// Name of the profile.
        profile: &'a str,
        /// What selected the profile.
        named_by: ProfileSelectedBy,
        /// Why the pod is a task.
        reason: MatchReason,
    },
    /// The pod was already injected, and init containers have been added since after the injected ones, which
    /// must be the last ones. Contains the indexes of the injected init containers to move, in ascending
    /// order.
    Overtaken(Vec<usize>),
    /// The pod does not change.
    Skip(SkipReason),
}

/// What selects the profile of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProfileSelectedBy {
    /// The task label of the pod.
    Pod,
    /// The profile label of the namespace.
    Namespace,
    /// Nothing: it is the profile `default`.
    Nobody,
}

impl fmt::Display for ProfileSelectedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod => write!(f, "selected by label {} of the pod", names::LABEL_TASK),
            Self::Namespace => write!(f, "selected by label {} of the namespace", names::LABEL_PROFILE),
            Self::Nobody => write!(
                f,
                "the default, because neither label {} of the pod nor label {} of the namespace selects one",
                names::LABEL_TASK,
                names::LABEL_PROFILE
            ),
        }
    }
}

/// Why a pod is a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MatchReason {
    /// It has the task label.
    Label,
    /// A known scheduler created it, in a namespace that has opted in. Contains the title of the scheduler.
    Scheduler(Arc<str>),
}

impl fmt::Display for MatchReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label => write!(f, "it has the label {}", names::LABEL_TASK),
            Self::Scheduler(scheduler) => write!(
                f,
                "it was created by {}, and its namespace has the label {}={}",
                scheduler,
                names::LABEL_SCHEDULERS,
                names::SCHEDULERS_ENABLED
            ),
        }
    }
}

/// Why a pod does not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SkipReason {
    /// Its task label is `false`.
    OptedOut,
    /// It has no task label, and was not created by a known scheduler.
    NotATask,
    /// It is already injected.
    AlreadyInjected,
    /// It is the mirror of a static pod, which the API server cannot change.
    MirrorPod,
    /// It runs on Windows, and boot requires Linux.
    Windows,
}

impl SkipReason {
    /// The reason as the label of a metric.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OptedOut => "opted_out",
            Self::NotATask => "not_a_task",
            Self::AlreadyInjected => "already_injected",
            Self::MirrorPod => "mirror_pod",
            Self::Windows => "windows",
        }
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OptedOut => write!(f, "its label {} is {:?}", names::LABEL_TASK, names::TASK_OFF),
            Self::NotATask => {
                write!(f, "it has no label {}, and was not created by a known scheduler", names::LABEL_TASK)
            }
            Self::AlreadyInjected => write!(f, "it is already injected"),
            Self::MirrorPod => {
                write!(f, "it is the mirror of a static pod, which only the kubelet can change")
            }
            Self::Windows => write!(f, "it runs on Windows, and boot requires Linux"),
        }
    }
}

/// Annotation that the kubelet sets on the mirror of a static pod.
/// <https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-config-mirror>
const ANNOTATION_MIRROR: &str = "kubernetes.io/config.mirror";

/// Decides what to do with a pod. The API server evaluates the opt-in of the namespace with a selector: a pod
/// without the task label only reaches the webhook from a namespace that has opted in. `namespace_default` is
/// the profile that the namespace selects for its tasks.
#[must_use]
pub fn select<'a>(
    pod: &Pod<'a>,
    namespace_default: Option<&'a str>,
    schedulers: &Schedulers,
) -> Selection<'a> {
    let label = pod.labels.get(names::LABEL_TASK);
    if label == Some(names::TASK_OFF) {
        return Selection::Skip(SkipReason::OptedOut);
    }
    let reason = if label.is_some() {
        MatchReason::Label
    } else {
        match schedulers.detect(pod) {
            Some(scheduler) if scheduler.opts_in() => MatchReason::Scheduler(Arc::clone(scheduler.title())),
            _ => return Selection::Skip(SkipReason::NotATask),
        }
    };
    if pod.annotations.get(ANNOTATION_MIRROR).is_some() {
        return Selection::Skip(SkipReason::MirrorPod);
    }
    if pod.windows {
        return Selection::Skip(SkipReason::Windows);
    }
    if let Some(ours) = injected(pod) {
        return ours;
    }
    let (profile, named_by) = profile(pod, namespace_default);
    Selection::Task { profile, named_by, reason }
}

/// The profile of a task, and what selects it.
#[must_use]
pub fn profile<'a>(pod: &Pod<'a>, namespace_default: Option<&'a str>) -> (&'a str, ProfileSelectedBy) {
    match (pod.labels.get(names::LABEL_TASK), namespace_default) {
        (None | Some(names::TASK_DEFAULT), Some(name)) => (name, ProfileSelectedBy::Namespace),
        (None | Some(names::TASK_DEFAULT), None) => (names::PROFILE_DEFAULT, ProfileSelectedBy::Nobody),
        (Some(name), _) => (name, ProfileSelectedBy::Pod),
    }
}

/// What to do with an already injected pod; `None` for all other pods.
///
/// The match condition `is-not-done` of the chart evaluates the same for signed pods, so that the API server
/// does not call the webhook if nothing remains to do (`bootlace.isNotDone` in
/// templates/webhook/_selection.tpl).
fn injected<'a>(pod: &Pod<'_>) -> Option<Selection<'a>> {
    let mark = pod.annotations.get(names::ANNOTATION_INJECTED)?;
    let name = |place: usize| pod.init_containers.get(place).map(|container| container.name);
    let boot = pod.init_containers.iter().position(|container| container.name == names::CONTAINER_BOOT)?;
    let has_sidecar = name(boot + 1) == Some(names::CONTAINER_PIPE);
    let end = boot + if has_sidecar { 2 } else { 1 };
    if end == pod.init_containers.len() || mark.contains(names::INJECTED_FIRST) {
        return Some(Selection::Skip(SkipReason::AlreadyInjected));
    }
    // Init containers directly before boot that only serve boot are moved with it. If init containers of the
    // pod wait for inputs, `bootlace-wait` is before those, and is not moved.
    let before = [
        names::CONTAINER_INSTALL,
        names::CONTAINER_INIT,
        names::CONTAINER_WAIT,
        names::CONTAINER_VOLUME_WAIT,
    ];
    let before = (0..boot).rev().take_while(|place| name(*place).is_some_and(|name| before.contains(&name)));
    let mut ours: Vec<_> = before.collect();
    ours.reverse();
    ours.push(boot);
    let sidecar =
        pod.init_containers.iter().skip(boot).find(|container| container.name == names::CONTAINER_PIPE);
    ours.extend(sidecar.map(|sidecar| sidecar.index));
    Some(Selection::Overtaken(ours))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::pod::Json;

    fn pod(labels: &Value, annotations: &Value) -> Value {
        json!({
            "metadata": {"labels": labels, "annotations": annotations},
            "spec": {"containers": [{"name": "base"}]}
        })
    }

    fn outcome(pod: &Value) -> Result<String, SkipReason> {
        match select(&Pod::read(&pod.into()).unwrap(), None, &Schedulers::built_in()) {
            Selection::Task { profile, .. } => Ok(profile.to_owned()),
            Selection::Skip(skip) => Err(skip),
            Selection::Overtaken(_) => panic!("overtaken"),
        }
    }

    #[test]
    fn the_label_names_the_profile() {
        for (value, profile) in [("true", "default"), ("default", "default"), ("etl", "etl")] {
            assert_eq!(
                outcome(&pod(&json!({names::LABEL_TASK: value}), &json!(null))),
                Ok(profile.to_owned())
            );
        }
    }

    #[test]
    fn the_namespaces_default_counts_where_the_pod_names_none() {
        for (label, default, expected) in [
            (Some("true"), Some("ml"), ("ml", ProfileSelectedBy::Namespace)),
            (None, Some("ml"), ("ml", ProfileSelectedBy::Namespace)),
            (Some("etl"), Some("ml"), ("etl", ProfileSelectedBy::Pod)),
            (Some("default"), Some("ml"), ("default", ProfileSelectedBy::Pod)),
            (Some("true"), None, ("default", ProfileSelectedBy::Nobody)),
            (None, None, ("default", ProfileSelectedBy::Nobody)),
        ] {
            let mut made = pod(&json!({"kubernetes_pod_operator": "True"}), &json!(null));
            if let Some(label) = label {
                made["metadata"]["labels"][names::LABEL_TASK] = json!(label);
            }
            let made = Json::from(&made);
            let made = Pod::read(&made).unwrap();
            let schedulers = Schedulers::built_in();
            let Selection::Task { profile, named_by, .. } = select(&made, default, &schedulers) else {
                panic!("{label:?} is a task");
            };
            assert_eq!((profile, named_by), expected, "{label:?} in a namespace with {default:?}");
        }
    }

    #[test]
    fn false_wins_over_everything() {
        let labels = json!({names::LABEL_TASK: "false", "kubernetes_pod_operator": "True"});
        assert_eq!(outcome(&pod(&labels, &json!(null))), Err(SkipReason::OptedOut));
    }

    #[test]
    fn a_schedulers_own_mark_is_enough() {
        let airflow = json!({"kubernetes_pod_operator": "True"});
        assert_eq!(outcome(&pod(&airflow, &json!(null))), Ok("default".to_owned()));
        let other = json!({"kubernetes_pod_operator": "no"});
        assert_eq!(outcome(&pod(&other, &json!(null))), Err(SkipReason::NotATask));
    }

    #[test]
    fn a_job_is_a_task_only_by_its_label() {
        let job = json!({"batch.kubernetes.io/job-name": "backup"});
        assert_eq!(outcome(&pod(&job, &json!(null))), Err(SkipReason::NotATask));
    }

    #[test]
    fn mirror_and_windows_pods_are_left_alone() {
        let labels = json!({names::LABEL_TASK: "true"});
        assert_eq!(outcome(&pod(&labels, &json!({ANNOTATION_MIRROR: "x"}))), Err(SkipReason::MirrorPod));
        let mut windows = pod(&labels, &json!(null));
        windows["spec"]["os"] = json!({"name": "windows"});
        assert_eq!(outcome(&windows), Err(SkipReason::Windows));
    }

    #[test]
    fn what_comes_behind_boot_is_seen_where_boot_is_to_be_the_last() {
        let first = r#"{"profile":"a","position":"First"}"#;
        let last = r#"{"profile":"a","position":"Last","reason":"\"position\":\"First\""}"#;
        for (init, mark, moved) in [
            (&["own", "bootlace-boot"][..], last, None),
            (&["bootlace-boot", "mesh"], first, None),
            (&["bootlace-boot", "mesh"], last, Some(&[0][..])),
            (&["bootlace-boot", "mesh"], "{}", Some(&[0])),
            (&["own", "bootlace-boot", "mesh", "other"], last, Some(&[1])),
            (&["own", "bootlace-boot", "bootlace-pipe"], last, None),
            (&["bootlace-boot", "bootlace-pipe", "mesh"], last, Some(&[0, 1])),
            (&["bootlace-boot", "mesh", "bootlace-pipe"], last, Some(&[0, 2])),
            (
                &[
                    "bootlace-wait",
                    "bootlace-look",
                    "bootlace-install",
                    "bootlace-init",
                    "bootlace-boot",
                    "mesh",
                ],
                last,
                Some(&[0, 1, 2, 3, 4]),
            ),
            // An init container of the pod uses an awaited input.
            (&["bootlace-wait", "own", "bootlace-boot", "mesh"], last, Some(&[2])),
        ] {
            let mut made =
                pod(&json!({names::LABEL_TASK: "true"}), &json!({names::ANNOTATION_INJECTED: mark}));
            made["spec"]["initContainers"] = init.iter().map(|name| json!({"name": name})).collect();
            let made = Json::from(&made);
            let made = Pod::read(&made).unwrap();
            match (select(&made, None, &Schedulers::built_in()), moved) {
                (Selection::Skip(SkipReason::AlreadyInjected), None) => {}
                (Selection::Overtaken(places), Some(moved)) => assert_eq!(places, moved, "{init:?}"),
                _ => panic!("{init:?} with {mark}"),
            }
        }
    }

    #[test]
    fn the_annotation_alone_does_not_count_as_injected() {
        let labels = json!({names::LABEL_TASK: "true"});
        let mut claimed = pod(&labels, &json!({names::ANNOTATION_INJECTED: "{}"}));
        assert_eq!(outcome(&claimed), Ok("default".to_owned()));
        claimed["spec"]["initContainers"] = json!([{"name": names::CONTAINER_BOOT}]);
        assert_eq!(outcome(&claimed), Err(SkipReason::AlreadyInjected));
    }
}
