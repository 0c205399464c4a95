//! Whether an output is there that a pod waits for, under the name that its spec holds. Pure.
//!
//! What will never be there is told at once: nobody should wait for a deadline to learn of a missing word in a manifest.

use crate::input::Awaits;
use crate::names;
use crate::output::{ByName, Pipe};
use crate::store::protocol::Waited;

/// How many keys of the task's an answer lists.
const LISTED: usize = 10;

/// Whether a Pipe is of the task that is waited for, as far as it is to be read at all.
#[must_use]
pub fn is_of_task(awaits: &Awaits, pipe: &Pipe) -> bool {
    let producer = &pipe.spec.producer;
    pipe.is_there() && producer.is_of_run(&awaits.from) && producer.task == awaits.from.task
}

/// What `pipes`, all of the task that is waited for, come to. The newest attempt counts, as it does where nobody waits.
#[must_use]
pub fn judge(awaits: &Awaits, pipes: &[Pipe]) -> Waited {
    let of_key: Vec<_> = pipes.iter().filter(|pipe| pipe.spec.key == awaits.key).collect();
    let index = |pipe: &Pipe| pipe.spec.producer.map_index.clone();
    let of_element = of_key.iter().copied().filter(|pipe| index(pipe) == awaits.from.map_index);
    match of_element.max_by(|one, two| one.by_age(two)) {
        Some(newest) => of_newest(awaits, newest),
        None => of_others(awaits, &of_key, pipes),
    }
}

fn of_newest(awaits: &Awaits, newest: &Pipe) -> Waited {
    let (found, declares) = (newest.spec.kind, format!("its entry in {}", names::ANNOTATION_PIPE_OUT));
    if found != awaits.kind {
        return Waited::Never {
            why: format!(
                "it is stored as a {found}, and the pod names a {}: write kind: {found} in the pod's annotation {}",
                awaits.kind,
                names::ANNOTATION_PIPE_IN
            ),
        };
    }
    match (newest.by_name(), newest.spec.awaited.as_deref()) {
        (Some(ByName::Stored), Some(name)) if name == awaits.object => {
            Waited::Stored { files: newest.spec.files.clone() }
        }
        (Some(ByName::Taken), _) => Waited::Never {
            why: format!(
                "an attempt before the newest one stored other content under the name {}, which this pod holds: create \
                 the pod anew, and it takes the newest",
                awaits.object
            ),
        },
        // Being changed by an attempt that declares it at last.
        (None, Some(_)) => Waited::NotYet { so_far: Vec::new() },
        (_, None) => Waited::Never {
            why: format!(
                "it is stored, and not under a name that can be waited for: add awaited: true to {declares}, or to \
                 pipes.outputs of its BootProfile; this pod, created anew, takes it without waiting"
            ),
        },
        (Some(ByName::Stored), Some(other)) => Waited::Never {
            why: format!(
                "it is stored under the name {other}, and the pod holds {}: use a store and a webhook of one version",
                awaits.object
            ),
        },
    }
}

/// The element that is waited for has stored nothing under the key yet.
fn of_others(awaits: &Awaits, of_key: &[&Pipe], of_task: &[Pipe]) -> Waited {
    let mut indexes: Vec<_> =
        of_key.iter().filter_map(|pipe| pipe.spec.producer.map_index.as_deref()).collect();
    indexes.sort_unstable();
    indexes.dedup();
    indexes.truncate(LISTED);
    let annotation = names::ANNOTATION_PIPE_IN;
    if awaits.from.map_index.is_none() && !indexes.is_empty() {
        let indexes = indexes.join(", ");
        return Waited::Never {
            why: format!(
                "the task is mapped, and its map indexes so far are {indexes}: name one as mapIndex: in the pod's \
                 annotation {annotation}"
            ),
        };
    }
    if awaits.from.map_index.is_some() && indexes.is_empty() && !of_key.is_empty() {
        return Waited::Never {
            why: format!("the task is not mapped: remove mapIndex: from the pod's annotation {annotation}"),
        };
    }
    let mut so_far: Vec<_> = of_task.iter().map(|pipe| pipe.spec.key.clone()).collect();
    so_far.sort_unstable();
    so_far.dedup();
    so_far.truncate(LISTED);
    Waited::NotYet { so_far }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::identity::Identity;
    use crate::output::Kind;

    fn awaits(index: Option<&str>) -> Awaits {
        let own = |text: &str| Some(text.to_owned());
        let from = Identity {
            scheduler: own("airflow"),
            workflow: own("etl"),
            run: own("r"),
            task: own("t"),
            map_index: index.map(str::to_owned),
            ..Identity::default()
        };
        Awaits::new("A", Kind::Secret, from, 60)
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

    fn judged(index: Option<&str>, pipes: &[&str]) -> Waited {
        let pipes: Vec<_> = pipes.iter().map(|text| pipe(text)).collect();
        let awaits = awaits(index);
        assert!(pipes.iter().all(|pipe| is_of_task(&awaits, pipe)));
        judge(&awaits, &pipes)
    }

    #[test]
    fn it_is_there_once_the_newest_attempt_has_it_under_the_name() {
        let stored = |attempt: &str| Waited::Stored { files: vec![format!("Some({attempt:?})")] };
        assert_eq!(judged(None, &["A Secret - 1 stored", "B Secret - 2 -"]), stored("1"));
        assert_eq!(judged(Some("3"), &["A Secret 3 1 stored", "A Secret 4 1 -"]), stored("1"));
        assert_eq!(judged(None, &["A Secret - 1 taken", "A Secret - 2 stored"]), stored("2"));
    }

    #[test]
    fn until_then_it_is_not_yet_with_what_there_is() {
        let so_far =
            |keys: &[&str]| Waited::NotYet { so_far: keys.iter().map(ToString::to_string).collect() };
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
            let Waited::Never { why } = judged(index, pipes) else { panic!("{pipes:?}") };
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
            assert!(!is_of_task(&awaits, &serde_json::from_value(other).unwrap()), "{field}");
        }
        let mut going = serde_json::to_value(&stored).unwrap();
        going["metadata"]["deletionTimestamp"] = json!("2026-11-21T10:00:00Z");
        assert!(!is_of_task(&awaits, &serde_json::from_value(going).unwrap()));
    }
}
