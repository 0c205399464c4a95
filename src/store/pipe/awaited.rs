//! Whether an output that a pod waits for is stored, under the name in the spec of the pod. Pure functions.
//!
//! If it can never be stored under this name, the pod gets an error at once: a user should not wait for a
//! deadline to learn of a missing field in a manifest.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use kube::api::ObjectMeta;

use crate::store_client::protocol::AwaitedResponse;
use bootlace_core::input::AwaitedOutput;
use bootlace_core::names;
use bootlace_core::output::{AwaitedStatus, Pipe};

/// How many keys of the task a response lists.
const MAX_LISTED: usize = 10;
/// How many characters of each key.
const MAX_LISTED_CHARS: usize = 253;

/// Searches the Pipes of a run for the output that a pod waits for, in bounded memory: it keeps only the
/// newest Pipe and a few names.
pub struct AwaitedSearch<'a> {
    awaits: &'a AwaitedOutput,
    /// The newest Pipe with the awaited key and map index.
    newest: Option<Pipe>,
    /// Whether the task has stored the key, with any map index.
    has_key: bool,
    /// The first few map indexes of the key.
    indexes: BTreeSet<String>,
    /// The first few keys of the task.
    keys: BTreeSet<String>,
}

impl<'a> AwaitedSearch<'a> {
    /// A search that has seen no Pipe.
    #[must_use]
    pub fn new(awaits: &'a AwaitedOutput) -> Self {
        Self { awaits, newest: None, has_key: false, indexes: BTreeSet::new(), keys: BTreeSet::new() }
    }

    /// Adds a Pipe, which can be of any task.
    pub fn add(&mut self, pipe: Pipe) {
        let (awaits, producer) = (self.awaits, &pipe.spec.producer);
        if !pipe.is_there() || !producer.is_of_run(&awaits.from) || producer.task != awaits.from.task {
            return;
        }
        keep(&mut self.keys, &pipe.spec.key);
        if pipe.spec.key != awaits.key {
            return;
        }
        self.has_key = true;
        if let Some(index) = &producer.map_index {
            keep(&mut self.indexes, index);
        }
        // The newest attempt is used, as for pods that do not wait.
        if producer.map_index == awaits.from.map_index
            && self.newest.as_ref().is_none_or(|newest| newest.by_age(&pipe) != Ordering::Greater)
        {
            // The metadata is not needed.
            self.newest = Some(Pipe { metadata: ObjectMeta::default(), ..pipe });
        }
    }

    /// The result of the search.
    #[must_use]
    pub fn outcome(&self) -> AwaitedResponse {
        match &self.newest {
            Some(newest) => newest_outcome(self.awaits, newest),
            None => self.missing_outcome(),
        }
    }

    /// The result if nothing is stored with the awaited key and map index.
    fn missing_outcome(&self) -> AwaitedResponse {
        let Self { awaits, indexes, .. } = self;
        let annotation = names::ANNOTATION_PIPE_IN;
        if awaits.from.map_index.is_none() && !indexes.is_empty() {
            let indexes: Vec<_> = indexes.iter().map(String::as_str).collect();
            let indexes = indexes.join(", ");
            return AwaitedResponse::Never {
                reason: format!(
                    "the task is mapped, and its map indexes so far are {indexes}: set `mapIndex` in the annotation \
                     {annotation} of the pod"
                ),
            };
        }
        if awaits.from.map_index.is_some() && indexes.is_empty() && self.has_key {
            return AwaitedResponse::Never {
                reason: format!(
                    "the task is not mapped: remove `mapIndex` from the annotation {annotation} of the pod"
                ),
            };
        }
        AwaitedResponse::NotYet { so_far: self.keys.iter().cloned().collect() }
    }
}

/// Keeps the first [`MAX_LISTED`] names in lexical order, each truncated to the length of a key.
fn keep(names: &mut BTreeSet<String>, name: &str) {
    names.insert(name.chars().take(MAX_LISTED_CHARS).collect());
    if names.len() > MAX_LISTED {
        names.pop_last();
    }
}

fn newest_outcome(awaits: &AwaitedOutput, newest: &Pipe) -> AwaitedResponse {
    let found = newest.spec.kind;
    if found != awaits.kind {
        return AwaitedResponse::Never {
            reason: format!(
                "it is stored as a {found}, but the pod uses it as a {}: set `kind: {found}` in the annotation {} of the pod",
                awaits.kind,
                names::ANNOTATION_PIPE_IN
            ),
        };
    }
    match (newest.by_name(), newest.spec.awaited.as_deref()) {
        (Some(AwaitedStatus::Stored), Some(name)) if name == awaits.object => {
            AwaitedResponse::Stored { files: newest.spec.files.clone() }
        }
        (Some(AwaitedStatus::Taken), _) => AwaitedResponse::Never {
            reason: format!(
                "an earlier attempt stored other content under the name {}, which this pod uses: recreate the pod to use the \
                 newest content",
                awaits.object
            ),
        },
        // An attempt that declares the output as awaited is changing the Pipe.
        (None, Some(_)) => AwaitedResponse::NotYet { so_far: Vec::new() },
        (_, None) => AwaitedResponse::Never {
            reason: format!(
                "it is stored, but not declared as awaited: set `awaited: true` in its entry of the annotation {}, or in \
                 `pipes.outputs` of its BootProfile; to use it now, recreate the pod",
                names::ANNOTATION_PIPE_OUT
            ),
        },
        (Some(AwaitedStatus::Stored), Some(other)) => AwaitedResponse::Never {
            reason: format!(
                "it is stored under the name {other}, but the pod uses the name {}: use the same version of the store and the \
                 webhook, and recreate the pod",
                awaits.object
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use bootlace_core::identity::Identity;
    use bootlace_core::output::ObjectKind;

    fn awaits(index: Option<&str>) -> AwaitedOutput {
        let own = |text: &str| Some(text.to_owned());
        let from = Identity {
            scheduler: own("airflow"),
            workflow: own("etl"),
            run: own("r"),
            task: own("t"),
            map_index: index.map(str::to_owned),
            ..Identity::default()
        };
        AwaitedOutput::new("A", ObjectKind::Secret, from, 60)
    }

    /// `key kind index attempt state`, of the task `t`; `-` for none.
    fn pipe(text: &str) -> Pipe {
        let words: Vec<_> = text.split_whitespace().map(|word| (word != "-").then_some(word)).collect();
        let [key, kind, index, attempt, state] = words[..] else { panic!("{text}") };
        let name = awaits(index).object;
        let awaited = state.map(|_| if state == Some("elsewhere") { "another" } else { &name });
        let by_name = match state {
            Some("declared") | None => None,
            Some("taken") => Some("Taken"),
            Some(_) => Some("Stored"),
        };
        serde_json::from_value(json!({
            "metadata": {"name": text.replace(' ', "-").to_lowercase()},
            "spec": {
                "key": key, "kind": kind, "object": text, "size": 1, "hash": "", "files": [format!("{attempt:?}")],
                "awaited": awaited, "producer": {
                    "scheduler": "airflow", "workflow": "etl", "run": "r", "task": "t", "mapIndex": index,
                    "attempt": attempt, "pod": "p", "podUid": "u", "container": "base",
                },
            },
            "status": {"stored": "10:00", "awaited": by_name},
        }))
        .unwrap()
    }

    fn outcome(index: Option<&str>, pipes: &[&str]) -> AwaitedResponse {
        let awaits = awaits(index);
        let mut search = AwaitedSearch::new(&awaits);
        for text in pipes {
            search.add(pipe(text));
        }
        search.outcome()
    }

    #[test]
    fn it_is_stored_if_the_newest_attempt_stored_it_under_the_name() {
        let stored = |attempt: &str| AwaitedResponse::Stored { files: vec![format!("Some({attempt:?})")] };
        assert_eq!(outcome(None, &["A Secret - 1 stored", "B Secret - 2 -"]), stored("1"));
        assert_eq!(outcome(Some("3"), &["A Secret 3 1 stored", "A Secret 4 1 -"]), stored("1"));
        assert_eq!(outcome(None, &["A Secret - 1 taken", "A Secret - 2 stored"]), stored("2"));
    }

    #[test]
    fn until_then_the_result_lists_the_stored_keys() {
        let so_far = |keys: &[&str]| AwaitedResponse::NotYet {
            so_far: keys.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(outcome(None, &[]), so_far(&[]));
        assert_eq!(
            outcome(None, &["B Secret - 1 -", "B Secret - 2 -", "C ConfigMap - 1 -"]),
            so_far(&["B", "C"])
        );
        assert_eq!(outcome(Some("3"), &["A Secret 4 1 -"]), so_far(&["A"]));
        assert_eq!(outcome(None, &["A Secret - 1 declared"]), so_far(&[]));
    }

    #[test]
    fn what_will_never_be_stored_is_reported_at_once() {
        for (index, pipes, hint) in [
            (None, &["A Secret - 1 -"][..], "`awaited: true`"),
            (None, &["A Secret - 1 stored", "A Secret - 2 -"], "`awaited: true`"),
            (None, &["A Secret - 1 stored", "A Secret - 2 taken"], "recreate"),
            (None, &["A ConfigMap - 1 stored"], "`kind: ConfigMap`"),
            (None, &["A Secret 2 1 stored", "A Secret 1 1 -"], " 1, 2: "),
            (Some("1"), &["A Secret - 1 stored"], "`mapIndex`"),
            (None, &["A Secret - 1 elsewhere"], " another, "),
        ] {
            let AwaitedResponse::Never { reason } = outcome(index, pipes) else { panic!("{pipes:?}") };
            assert!(reason.contains(hint), "{reason}");
        }
    }

    #[test]
    fn the_pipes_of_other_tasks_and_runs_are_ignored() {
        let awaits = awaits(None);
        let stored = pipe("A Secret - 1 stored");
        for field in ["scheduler", "workflow", "run", "task"] {
            let mut other = serde_json::to_value(&stored).unwrap();
            other["spec"]["producer"][field] = json!("other");
            let mut search = AwaitedSearch::new(&awaits);
            search.add(serde_json::from_value(other).unwrap());
            assert_eq!(search.outcome(), AwaitedResponse::NotYet { so_far: Vec::new() }, "{field}");
        }
        let mut deleted = serde_json::to_value(&stored).unwrap();
        deleted["metadata"]["deletionTimestamp"] = json!("2026-11-21T10:00:00Z");
        let mut search = AwaitedSearch::new(&awaits);
        search.add(serde_json::from_value(deleted).unwrap());
        assert_eq!(search.outcome(), AwaitedResponse::NotYet { so_far: Vec::new() });
    }

    #[test]
    fn few_names_of_a_run_with_many_pipes_are_kept() {
        let awaits = awaits(None);
        let mut search = AwaitedSearch::new(&awaits);
        for number in 0..1000 {
            search.add(pipe(&format!("K{number:04} Secret - 1 -")));
            search.add(pipe(&format!("A Secret {number:04} 1 stored")));
        }
        assert_eq!((search.keys.len(), search.indexes.len()), (MAX_LISTED, MAX_LISTED));
        let AwaitedResponse::Never { reason } = search.outcome() else { panic!("it is mapped") };
        assert!(reason.contains(" 0000, 0001, "), "{reason}");
    }
}
