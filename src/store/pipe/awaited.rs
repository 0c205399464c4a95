//! Whether an output is there that a pod waits for, under the name that its spec holds. Pure.
//!
//! What will never be there is told at once: nobody should wait for a deadline to learn of a missing word in a manifest.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use kube::api::ObjectMeta;

use crate::store_client::protocol::AwaitedResponse;
use bootlace_core::input::AwaitedOutput;
use bootlace_core::names;
use bootlace_core::output::{AwaitedStatus, Pipe};

/// How many keys of the task's an answer lists.
const LISTED: usize = 10;
/// How many characters of each.
const LISTED_CHARS: usize = 253;

/// What there is of the task that a pod waits for, in bounded memory: of all that is shown to it, it keeps the newest Pipe
/// and a few names.
pub struct AwaitedSearch<'a> {
    awaits: &'a AwaitedOutput,
    /// The newest of the key and the element that are waited for.
    newest: Option<Pipe>,
    /// Whether another element has stored the key.
    of_key: bool,
    /// Map indexes of the key, the first few.
    indexes: BTreeSet<String>,
    /// Keys of the task, the first few.
    keys: BTreeSet<String>,
}

impl<'a> AwaitedSearch<'a> {
    /// Nothing yet.
    #[must_use]
    pub fn new(awaits: &'a AwaitedOutput) -> Self {
        Self { awaits, newest: None, of_key: false, indexes: BTreeSet::new(), keys: BTreeSet::new() }
    }

    /// Looks at a Pipe, which may be of any task.
    pub fn add(&mut self, pipe: Pipe) {
        let (awaits, producer) = (self.awaits, &pipe.spec.producer);
        if !pipe.is_there() || !producer.is_of_run(&awaits.from) || producer.task != awaits.from.task {
            return;
        }
        keep(&mut self.keys, &pipe.spec.key);
        if pipe.spec.key != awaits.key {
            return;
        }
        self.of_key = true;
        if let Some(index) = &producer.map_index {
            keep(&mut self.indexes, index);
        }
        // The newest attempt counts, as it does where nobody waits.
        if producer.map_index == awaits.from.map_index
            && self.newest.as_ref().is_none_or(|newest| newest.by_age(&pipe) != Ordering::Greater)
        {
            // Nothing of its metadata counts.
            self.newest = Some(Pipe { metadata: ObjectMeta::default(), ..pipe });
        }
    }

    /// What it comes to.
    #[must_use]
    pub fn outcome(&self) -> AwaitedResponse {
        match &self.newest {
            Some(newest) => of_newest(self.awaits, newest),
            None => self.of_others(),
        }
    }

    /// The element that is waited for has stored nothing under the key yet.
    fn of_others(&self) -> AwaitedResponse {
        let Self { awaits, indexes, .. } = self;
        let annotation = names::ANNOTATION_PIPE_IN;
        if awaits.from.map_index.is_none() && !indexes.is_empty() {
            let indexes: Vec<_> = indexes.iter().map(String::as_str).collect();
            let indexes = indexes.join(", ");
            return AwaitedResponse::Never {
                why: format!(
                    "the task is mapped, and its map indexes so far are {indexes}: name one as mapIndex: in the pod's \
                     annotation {annotation}"
                ),
            };
        }
        if awaits.from.map_index.is_some() && indexes.is_empty() && self.of_key {
            return AwaitedResponse::Never {
                why: format!(
                    "the task is not mapped: remove mapIndex: from the pod's annotation {annotation}"
                ),
            };
        }
        AwaitedResponse::NotYet { so_far: self.keys.iter().cloned().collect() }
    }
}

/// Keeps the first [`LISTED`] names in their order, each cut to what a key may have.
fn keep(names: &mut BTreeSet<String>, name: &str) {
    names.insert(name.chars().take(LISTED_CHARS).collect());
    if names.len() > LISTED {
        names.pop_last();
    }
}

fn of_newest(awaits: &AwaitedOutput, newest: &Pipe) -> AwaitedResponse {
    let (found, declares) = (newest.spec.kind, format!("its entry in {}", names::ANNOTATION_PIPE_OUT));
    if found != awaits.kind {
        return AwaitedResponse::Never {
            why: format!(
                "it is stored as a {found}, and the pod names a {}: write kind: {found} in the pod's annotation {}",
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
            why: format!(
                "an attempt before the newest one stored other content under the name {}, which this pod holds: create \
                 the pod anew, and it takes the newest",
                awaits.object
            ),
        },
        // Being changed by an attempt that declares it at last.
        (None, Some(_)) => AwaitedResponse::NotYet { so_far: Vec::new() },
        (_, None) => AwaitedResponse::Never {
            why: format!(
                "it is stored, and not under a name that can be waited for: add awaited: true to {declares}, or to \
                 pipes.outputs of its BootProfile; this pod, created anew, takes it without waiting"
            ),
        },
        (Some(AwaitedStatus::Stored), Some(other)) => AwaitedResponse::Never {
            why: format!(
                "it is stored under the name {other}, and the pod holds {}: use a store and a webhook of one version",
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

    fn judged(index: Option<&str>, pipes: &[&str]) -> AwaitedResponse {
        let awaits = awaits(index);
        let mut search = AwaitedSearch::new(&awaits);
        for text in pipes {
            search.add(pipe(text));
        }
        search.outcome()
    }

    #[test]
    fn it_is_there_once_the_newest_attempt_has_it_under_the_name() {
        let stored = |attempt: &str| AwaitedResponse::Stored { files: vec![format!("Some({attempt:?})")] };
        assert_eq!(judged(None, &["A Secret - 1 stored", "B Secret - 2 -"]), stored("1"));
        assert_eq!(judged(Some("3"), &["A Secret 3 1 stored", "A Secret 4 1 -"]), stored("1"));
        assert_eq!(judged(None, &["A Secret - 1 taken", "A Secret - 2 stored"]), stored("2"));
    }

    #[test]
    fn until_then_it_is_not_yet_with_what_there_is() {
        let so_far = |keys: &[&str]| AwaitedResponse::NotYet {
            so_far: keys.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(judged(None, &[]), so_far(&[]));
        assert_eq!(
            judged(None, &["B Secret - 1 -", "B Secret - 2 -", "C ConfigMap - 1 -"]),
            so_far(&["B", "C"])
        );
        assert_eq!(judged(Some("3"), &["A Secret 4 1 -"]), so_far(&["A"]));
        assert_eq!(judged(None, &["A Secret - 1 declared"]), so_far(&[]));
    }

    #[test]
    fn what_will_never_be_there_is_said_at_once() {
        for (index, pipes, hint) in [
            (None, &["A Secret - 1 -"][..], "add awaited: true to its entry in bootlace.dev/pipe-out"),
            (None, &["A Secret - 1 stored", "A Secret - 2 -"], "add awaited: true"),
            (None, &["A Secret - 1 stored", "A Secret - 2 taken"], "create the pod anew"),
            (None, &["A ConfigMap - 1 stored"], "write kind: ConfigMap"),
            (
                None,
                &["A Secret 2 1 stored", "A Secret 1 1 -"],
                "map indexes so far are 1, 2: name one as mapIndex:",
            ),
            (Some("1"), &["A Secret - 1 stored"], "is not mapped: remove mapIndex:"),
            (None, &["A Secret - 1 elsewhere"], "of one version"),
        ] {
            let AwaitedResponse::Never { why } = judged(index, pipes) else { panic!("{pipes:?}") };
            assert!(why.contains(hint), "{why}");
        }
    }

    #[test]
    fn another_tasks_or_runs_is_none_of_it() {
        let awaits = awaits(None);
        let stored = pipe("A Secret - 1 stored");
        for field in ["scheduler", "workflow", "run", "task"] {
            let mut other = serde_json::to_value(&stored).unwrap();
            other["spec"]["producer"][field] = json!("other");
            let mut search = AwaitedSearch::new(&awaits);
            search.add(serde_json::from_value(other).unwrap());
            assert_eq!(search.outcome(), AwaitedResponse::NotYet { so_far: Vec::new() }, "{field}");
        }
        let mut going = serde_json::to_value(&stored).unwrap();
        going["metadata"]["deletionTimestamp"] = json!("2026-11-21T10:00:00Z");
        let mut search = AwaitedSearch::new(&awaits);
        search.add(serde_json::from_value(going).unwrap());
        assert_eq!(search.outcome(), AwaitedResponse::NotYet { so_far: Vec::new() });
    }

    #[test]
    fn of_a_run_of_many_pipes_few_names_are_kept() {
        let awaits = awaits(None);
        let mut search = AwaitedSearch::new(&awaits);
        for number in 0..1000 {
            search.add(pipe(&format!("K{number:04} Secret - 1 -")));
            search.add(pipe(&format!("A Secret {number:04} 1 stored")));
        }
        assert_eq!((search.keys.len(), search.indexes.len()), (LISTED, LISTED));
        let AwaitedResponse::Never { why } = search.outcome() else { panic!("it is mapped") };
        assert!(why.contains("so far are 0000, 0001, "), "{why}");
    }
}
