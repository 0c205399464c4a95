//! What became of one pod, without Bootlace and with it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::api::Answer;
use super::fields::Fields;
use super::pods::Entry;
use super::{kept, requests};

/// What the sidecar of a task with outputs asks for on top at most (docs/pipes.md): twice as much in a Guaranteed pod, where
/// requests are what limits are.
const PIPE: [(&str, f64); 2] = [("cpu", 0.02), ("memory", 32.0 * 1_048_576.0)];

/// The memory that boot needs with the profile of the cluster tests: a pod that asks for less is given it
/// (docs/memory.md).
const NEED: f64 = 17.0 * 1_048_576.0;

/// How a pod ended that the API server takes without Bootlace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It is injected.
    Injected,
    /// It is as it was.
    LeftAlone,
    /// Bootlace refuses it, as the corpus says.
    Refused,
    /// Something else, which is wrong.
    Wrong,
}

/// One pod under one namespace's rules.
pub(super) struct Row {
    pub(super) title: String,
    pub(super) theme: String,
    /// `None` where the API server does not take it without Bootlace either.
    pub(super) ended: Option<Ended>,
    /// Whether it has the class of service that it has without Bootlace.
    pub(super) class_is_kept: bool,
    /// What is not as it should be.
    pub(super) wrong: Vec<String>,
    /// The fields that the pod sets, and those that the API server stores, by type.
    pub(super) fields: [BTreeSet<String>; 2],
    /// As it is stored without Bootlace.
    before: Option<Value>,
}

impl Row {
    pub(super) fn new(entry: &Entry, must_be_taken: bool, before: Answer, after: &Answer) -> Self {
        let (title, theme) = (entry.title.clone(), entry.theme.clone());
        let (fields, wrong) = (<[_; 2]>::default(), Vec::new());
        let mut row = Self { title, theme, ended: None, class_is_kept: false, wrong, fields, before: None };
        match (&before, after) {
            (Err(sentence), Err(_)) => row.not_taken(entry, must_be_taken, sentence),
            (Err(sentence), Ok(_))
                if entry.injection_lifts.as_ref().is_some_and(|part| sentence.contains(part)) => {}
            (Err(sentence), Ok(_)) => {
                row.wrong.push(format!("it is taken injected alone. Without Bootlace: {sentence}"));
            }
            (Ok(before), after) => {
                let ended = row.taken(entry, before, after);
                row.ended = Some(if row.wrong.is_empty() { ended } else { Ended::Wrong });
            }
        }
        row.before = before.ok();
        row
    }

    /// Counts the fields of a pod that is taken.
    pub(super) fn count_fields(&mut self, entry: &Entry, fields: &Fields) {
        let Some(before) = &self.before else { return };
        for (pod, counted) in [&entry.pod, before].into_iter().zip(&mut self.fields) {
            if let Err(error) = fields.set_by(&pod["spec"], counted) {
                self.wrong.push(error);
            }
        }
    }

    fn not_taken(&mut self, entry: &Entry, must_be_taken: bool, sentence: &str) {
        match &entry.api_server_refuses {
            Some(part) if must_be_taken && !sentence.contains(part.as_str()) => {
                self.wrong.push(format!("{part:?} is not in: {sentence}"));
            }
            None if must_be_taken => self.wrong.push(format!("the API server does not take it: {sentence}")),
            _ => {}
        }
    }

    fn taken(&mut self, entry: &Entry, before: &Value, after: &Answer) -> Ended {
        if entry.api_server_refuses.is_some() {
            self.wrong.push("the API server takes it".to_owned());
        }
        let after = match (after, &entry.bootlace_refuses) {
            (Ok(after), None) => after,
            (Ok(_), Some(_)) => {
                self.wrong.push("Bootlace takes it".to_owned());
                return Ended::Wrong;
            }
            (Err(sentence), Some(part)) => {
                if !sentence.contains(part.as_str()) || !sentence.contains("bootlace") {
                    self.wrong.push(format!("{part:?} or Bootlace is not in: {sentence}"));
                }
                return Ended::Refused;
            }
            (Err(sentence), None) => {
                self.wrong.push(format!("it is not taken any more: {sentence}"));
                return Ended::Wrong;
            }
        };
        if entry.left_alone {
            if before != after {
                self.wrong.push(format!("it is not left alone: {after}"));
            }
            return Ended::LeftAlone;
        }
        if kept::tasks(after).is_none() {
            self.wrong.push("it is not injected".to_owned());
        }
        self.wrong.extend(kept::differences(&without_status(before), &without_status(after)));
        self.class(before, after);
        self.requests(before, after);
        Ended::Injected
    }

    fn class(&mut self, before: &Value, after: &Value) {
        let class = |pod: &Value| pod["status"]["qosClass"].as_str().unwrap_or_default().to_owned();
        let (before, after) = (class(before), class(after));
        if before.is_empty() || before != after {
            self.wrong.push(format!("its class of service was {before:?} and is {after:?}"));
        } else {
            self.class_is_kept = true;
        }
    }

    /// It asks for no more than before: boot ends before the task starts. The sidecar of a task with outputs stays.
    fn requests(&mut self, before: &Value, after: &Value) {
        let mut init = after["spec"]["initContainers"].as_array().into_iter().flatten();
        let has_outputs = init.any(|container| container["name"] == "bootlace-pipe");
        let (was, is) = (requests::effective(before), requests::effective(after));
        for (resource, pipe) in PIPE {
            let (was, is) = (was[resource], is[resource]);
            let own = if resource == "memory" && was > 0.0 { was.max(NEED) } else { was };
            let most = own + if has_outputs { pipe } else { 0.0 };
            if is > most * 1.000_001 {
                self.wrong
                    .push(format!("it asked for {was} of {resource} and asks for {is}, more than {most}"));
            }
        }
    }
}

/// The class of service is compared by itself.
fn without_status(pod: &Value) -> Value {
    let mut pod = pod.clone();
    pod.as_object_mut().expect("a pod is an object").remove("status");
    pod
}
