//! Selects the stored output that a key means.

use super::annotation::PipeIn;
use super::{AwaitedOutput, InputError};
use crate::identity::Identity;
use crate::output::{ObjectKind, Pipe};

/// Maximum number of other pipes of a run in a message.
const MAX_LISTED: usize = 10;

/// A requested output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PipeQuery {
    /// The key.
    pub(super) key: String,
    /// Only scheduler, workflow and run are set.
    pub(super) run: Identity,
    /// The task, if it is specified.
    pub(super) task: Option<String>,
    /// The map index, if it is specified.
    map_index: Option<String>,
    /// The map index of the requesting task.
    own_index: Option<String>,
    /// The required kind, if it is specified.
    pub(super) kind: Option<ObjectKind>,
    /// Seconds that the pod waits if it is not stored yet.
    pub(super) wait: Option<u32>,
}

impl PipeQuery {
    /// A request for `key` from a pod with the identity `own`, with the details of `entry`.
    pub(super) fn new(key: &str, own: &Identity, entry: Option<&PipeIn>) -> Self {
        let named = |field: fn(&PipeIn) -> &Option<String>| entry.and_then(|entry| field(entry).clone());
        let workflow = named(|entry| &entry.workflow);
        let scheduler = named(|entry| &entry.scheduler);
        let run = named(|entry| &entry.run);
        Self {
            key: key.to_owned(),
            run: Identity {
                scheduler: scheduler.or_else(|| own.scheduler.clone()),
                workflow: workflow.or_else(|| own.workflow.clone()),
                run: run.or_else(|| own.run.clone()),
                ..Identity::default()
            },
            task: named(|entry| &entry.task),
            map_index: named(|entry| &entry.map_index),
            own_index: own.map_index.clone(),
            kind: entry.and_then(|entry| entry.kind),
            wait: entry.and_then(|entry| entry.wait),
        }
    }

    /// Describes the request: `pipe "Cert" of etl, run r1`.
    pub(super) fn describe(&self) -> String {
        match self.run.describe() {
            run if run.is_empty() => format!("pipe {:?}", self.key),
            run => format!("pipe {:?} of {run}", self.key),
        }
    }

    /// The output that the pod waits for if it is not stored yet; `None` if it does not wait.
    pub(super) fn awaits(&self) -> Option<AwaitedOutput> {
        let from =
            Identity { task: self.task.clone(), map_index: self.map_index.clone(), ..self.run.clone() };
        Some(AwaitedOutput::new(&self.key, self.kind?, from, self.wait?))
    }

    /// The newest matching one of `pipes`.
    pub(super) fn choose<'p>(&self, pipes: &'p [Pipe]) -> Result<&'p Pipe, InputError> {
        let of_run: Vec<_> =
            pipes.iter().filter(|pipe| pipe.is_there() && pipe.spec.producer.is_of_run(&self.run)).collect();
        let named = |pipe: &&&Pipe| {
            let producer = &pipe.spec.producer;
            pipe.spec.key == self.key
                && (self.task.is_none() || producer.task == self.task)
                && (self.map_index.is_none() || producer.map_index == self.map_index)
        };
        let named: Vec<_> = of_run.iter().filter(named).copied().collect();

        let tasks = distinct(named.iter().filter_map(|pipe| pipe.spec.producer.task.as_deref()));
        if tasks.len() > 1 {
            return Err(InputError::AmbiguousTask { asked: self.describe(), tasks });
        }
        let matching = self.of_map_index(named)?;
        matching.into_iter().max_by(|one, two| one.by_age(two)).ok_or_else(|| InputError::NotStored {
            asked: self.describe(),
            task: self.task.clone(),
            known: known(&of_run),
        })
    }

    /// The pipes of the matching map index: that of the requesting task, if it is mapped too.
    fn of_map_index<'p>(&self, pipes: Vec<&'p Pipe>) -> Result<Vec<&'p Pipe>, InputError> {
        let indexes = distinct(pipes.iter().filter_map(|pipe| pipe.spec.producer.map_index.as_deref()));
        if self.map_index.is_some() || indexes.is_empty() {
            return Ok(pipes);
        }
        match &self.own_index {
            None => Err(InputError::AmbiguousIndex { asked: self.describe(), indexes }),
            Some(own) => {
                let is_own = |pipe: &&Pipe| pipe.spec.producer.map_index.as_ref() == Some(own);
                Ok(pipes.into_iter().filter(is_own).collect())
            }
        }
    }
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut distinct: Vec<String> = Vec::new();
    for name in names {
        if !distinct.iter().any(|known| known == name) {
            distinct.push(name.to_owned());
        }
    }
    distinct.sort_unstable();
    distinct
}

/// The other outputs of the run, as a hint for a wrong key.
fn known(of_run: &[&Pipe]) -> String {
    if of_run.is_empty() {
        return String::new();
    }
    let describe = |pipe: &&Pipe| match &pipe.spec.producer.task {
        Some(task) => format!("{:?} by task {task:?}", pipe.spec.key),
        None => format!("{:?}", pipe.spec.key),
    };
    let outputs: Vec<_> = of_run.iter().map(describe).collect();
    let outputs = distinct(outputs.iter().map(String::as_str));
    let more = if outputs.len() > MAX_LISTED { ", …" } else { "" };
    let outputs: Vec<_> = outputs.into_iter().take(MAX_LISTED).collect();
    format!(" (stored for this run: {}{more})", outputs.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::code::{Code, Coded as _};

    /// `key task index attempt stored`, with `-` for none, of the run `r` of `etl`.
    fn pipe(text: &str) -> Pipe {
        let words: Vec<_> = text.split_whitespace().map(|word| (word != "-").then_some(word)).collect();
        let [key, task, index, attempt, stored] = words[..] else { panic!("{text}") };
        serde_json::from_value(json!({
            "metadata": {"name": text.replace(' ', "-").to_lowercase()},
            "spec": {"key": key, "kind": "Secret", "object": text, "size": 1, "hash": "", "producer": {
                "scheduler": "airflow", "workflow": "etl", "run": "r", "task": task, "mapIndex": index,
                "attempt": attempt, "pod": "p", "podUid": "u", "container": "base",
            }},
            "status": {"stored": stored},
        }))
        .unwrap()
    }

    fn own(index: Option<&str>) -> Identity {
        let own = |text: &str| Some(text.to_owned());
        Identity {
            scheduler: own("airflow"),
            workflow: own("etl"),
            run: own("r"),
            task: own("later"),
            map_index: index.map(str::to_owned),
            ..Identity::default()
        }
    }

    fn chosen(entry: &str, index: Option<&str>, pipes: &[Pipe]) -> Result<String, InputError> {
        let entry: PipeIn = serde_saphyr::from_str(entry).unwrap();
        let asked = PipeQuery::new("A", &own(index), Some(&entry));
        asked.choose(pipes).map(|pipe| pipe.spec.object.clone())
    }

    #[test]
    fn the_newest_attempt_of_the_run_is_taken() {
        let pipes = ["A t - 2 10:01", "A t - 1 10:02", "B t - 3 10:03", "A t - 3 -"].map(pipe);
        assert_eq!(chosen("{}", None, &pipes).unwrap(), "A t - 2 10:01");
        let pipes = ["A t - - 10:01", "A t - - 10:02"].map(pipe);
        assert_eq!(chosen("{}", None, &pipes).unwrap(), "A t - - 10:02");
    }

    #[test]
    fn another_run_is_taken_only_where_it_is_named() {
        let mut pipes = ["A t - 1 10:01"].map(pipe);
        pipes[0].spec.producer.run = Some("R".to_owned());
        assert_eq!(chosen("{}", None, &pipes).unwrap_err().code(), Code::InputNotStored);
        assert_eq!(chosen("{run: R}", None, &pipes).unwrap(), "A t - 1 10:01");
        for other in ["{run: R, workflow: other}", "{run: R, scheduler: job}", "{run: R, task: u}"] {
            chosen(other, None, &pipes).unwrap_err();
        }
    }

    #[test]
    fn of_several_tasks_one_must_be_named() {
        let pipes = ["A t - 1 10:01", "A u - 9 10:02"].map(pipe);
        let asked = "pipe \"A\" of etl, run r".to_owned();
        let tasks = ["t", "u"].map(str::to_owned).to_vec();
        assert_eq!(chosen("{}", None, &pipes), Err(InputError::AmbiguousTask { asked, tasks }));
        assert_eq!(chosen("{task: t}", None, &pipes).unwrap(), "A t - 1 10:01");
    }

    #[test]
    fn a_mapped_task_uses_the_output_of_the_same_index() {
        let pipes = ["A t 0 1 10:01", "A t 1 1 10:02", "A t 1 2 10:01"].map(pipe);
        assert_eq!(chosen("{}", Some("1"), &pipes).unwrap(), "A t 1 2 10:01");
        assert_eq!(chosen("{mapIndex: 0}", Some("1"), &pipes).unwrap(), "A t 0 1 10:01");
        assert_eq!(chosen("{mapIndex: 0}", None, &pipes).unwrap(), "A t 0 1 10:01");
        assert_eq!(chosen("{}", Some("2"), &pipes).unwrap_err().code(), Code::InputNotStored);
        let asked = "pipe \"A\" of etl, run r".to_owned();
        let indexes = ["0", "1"].map(str::to_owned).to_vec();
        assert_eq!(chosen("{}", None, &pipes), Err(InputError::AmbiguousIndex { asked, indexes }));
        // Every map index can use the output of a task that is not mapped.
        assert_eq!(chosen("{}", Some("1"), &["A t - 1 10:01"].map(pipe)).unwrap(), "A t - 1 10:01");
    }

    #[test]
    fn a_missing_output_is_reported_with_the_stored_ones() {
        let not_yet = |task: Option<&str>, known: &str| InputError::NotStored {
            asked: "pipe \"A\" of etl, run r".to_owned(),
            task: task.map(str::to_owned),
            known: known.to_owned(),
        };
        let pipes = ["B t - 1 10:01", "B t - 2 10:02"].map(pipe);
        let known = " (stored for this run: \"B\" by task \"t\")";
        assert_eq!(chosen("{task: gencert}", None, &pipes), Err(not_yet(Some("gencert"), known)));
        assert_eq!(chosen("{}", None, &[]), Err(not_yet(None, "")));
    }
}
