//! The result for one pod, without Bootlace and with it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::api::Response;
use super::fields::Fields;
use super::pods::Entry;
use super::{kept, requests};

/// The maximum additional requests of the sidecar in a pod with outputs (docs/pipes.md). In a Guaranteed pod
/// they are twice as large, because requests equal limits.
const PIPE: [(&str, f64); 2] = [("cpu", 0.02), ("memory", 32.0 * 1_048_576.0)];

/// The memory that boot needs with the profile of the cluster tests. The request of a pod with less is raised
/// to it (docs/memory.md).
const BOOT_MEMORY: f64 = 17.0 * 1_048_576.0;

/// The result for a pod that the API server accepts without Bootlace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is injected.
    Injected,
    /// It does not change.
    Unchanged,
    /// Bootlace refuses it, as the corpus declares.
    Refused,
    /// A result that is not expected.
    Unexpected,
}

/// The result for one pod in a namespace with certain rules.
pub(super) struct Row {
    pub(super) title: String,
    pub(super) theme: String,
    /// `None` if the API server does not accept it without Bootlace either.
    pub(super) outcome: Option<Outcome>,
    /// Whether its QoS class is the same as without Bootlace.
    pub(super) same_class: bool,
    pub(super) problems: Vec<String>,
    /// The fields that the pod sets, and those that the API server stores, by type.
    pub(super) fields: [BTreeSet<String>; 2],
    /// The pod as it is stored without Bootlace.
    before: Option<Value>,
}

impl Row {
    pub(super) fn new(entry: &Entry, must_be_accepted: bool, before: Response, after: &Response) -> Self {
        let (title, theme) = (entry.title.clone(), entry.theme.clone());
        let (fields, problems) = (<[_; 2]>::default(), Vec::new());
        let mut row = Self { title, theme, outcome: None, same_class: false, problems, fields, before: None };
        match (&before, after) {
            (Err(error), Err(_)) => row.check_rejected(entry, must_be_accepted, error),
            (Err(error), Ok(_))
                if entry.injection_lifts.as_ref().is_some_and(|part| error.contains(part)) => {}
            (Err(error), Ok(_)) => {
                row.problems
                    .push(format!("it is accepted only if it is injected. Without Bootlace: {error}"));
            }
            (Ok(before), after) => {
                let outcome = row.check_accepted(entry, before, after);
                row.outcome = Some(if row.problems.is_empty() { outcome } else { Outcome::Unexpected });
            }
        }
        row.before = before.ok();
        row
    }

    /// Counts the fields of a pod that is accepted.
    pub(super) fn count_fields(&mut self, entry: &Entry, fields: &Fields) {
        let Some(before) = &self.before else { return };
        for (pod, counted) in [&entry.pod, before].into_iter().zip(&mut self.fields) {
            if let Err(error) = fields.set_by(&pod["spec"], counted) {
                self.problems.push(error);
            }
        }
    }

    fn check_rejected(&mut self, entry: &Entry, must_be_accepted: bool, error: &str) {
        match &entry.api_server_refuses {
            Some(part) if must_be_accepted && !error.contains(part.as_str()) => {
                self.problems.push(format!("{part:?} is not in: {error}"));
            }
            None if must_be_accepted => {
                self.problems.push(format!("the API server does not accept it: {error}"));
            }
            _ => {}
        }
    }

    fn check_accepted(&mut self, entry: &Entry, before: &Value, after: &Response) -> Outcome {
        if entry.api_server_refuses.is_some() {
            self.problems.push("the API server accepts it".to_owned());
        }
        let after = match (after, &entry.bootlace_refuses) {
            (Ok(after), None) => after,
            (Ok(_), Some(_)) => {
                self.problems.push("Bootlace accepts it".to_owned());
                return Outcome::Unexpected;
            }
            (Err(error), Some(part)) => {
                if !error.contains(part.as_str()) || !error.contains("bootlace") {
                    self.problems.push(format!("{part:?} or Bootlace is not in: {error}"));
                }
                return Outcome::Refused;
            }
            (Err(error), None) => {
                self.problems.push(format!("it is not accepted with Bootlace: {error}"));
                return Outcome::Unexpected;
            }
        };
        if entry.unchanged {
            if before != after {
                self.problems.push(format!("it was changed: {after}"));
            }
            return Outcome::Unchanged;
        }
        if kept::tasks(after).is_none() {
            self.problems.push("it is not injected".to_owned());
        }
        self.problems.extend(kept::differences(&without_status(before), &without_status(after)));
        self.check_class(before, after);
        self.check_requests(before, after);
        Outcome::Injected
    }

    fn check_class(&mut self, before: &Value, after: &Value) {
        let class = |pod: &Value| pod["status"]["qosClass"].as_str().unwrap_or_default().to_owned();
        let (before, after) = (class(before), class(after));
        if before.is_empty() || before != after {
            self.problems.push(format!("its QoS class changed from {before:?} to {after:?}"));
        } else {
            self.same_class = true;
        }
    }

    /// Checks that the requests do not increase, because boot ends before the task starts. Only the sidecar
    /// of a task with outputs runs at the same time.
    fn check_requests(&mut self, before: &Value, after: &Value) {
        let mut init = after["spec"]["initContainers"].as_array().into_iter().flatten();
        let has_outputs = init.any(|container| container["name"] == "bootlace-pipe");
        let (was, is) = (requests::effective(before), requests::effective(after));
        for (resource, pipe) in PIPE {
            let (was, is) = (was[resource], is[resource]);
            let own = if resource == "memory" && was > 0.0 { was.max(BOOT_MEMORY) } else { was };
            let max = own + if has_outputs { pipe } else { 0.0 };
            if is > max * 1.000_001 {
                self.problems.push(format!(
                    "its {resource} request changed from {was} to {is}, which is more than {max}"
                ));
            }
        }
    }
}

/// The pod without its status. The QoS class, which is in the status, is compared separately.
fn without_status(pod: &Value) -> Value {
    let mut pod = pod.clone();
    pod.as_object_mut().expect("a pod is an object").remove("status");
    pod
}
