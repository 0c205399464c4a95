//! The table of schedulers, compiled once so that a pod is matched quickly.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use super::error::{InvalidSchedulers, MAX_EXTRA};
use super::scheduler::Scheduler;
use super::spec::SchedulerSpec;
use super::{Identity, run_annotation};
use crate::pod::Pod;

/// The entries that Bootlace is built with. The chart renders its match conditions from the same file.
const BUILT_IN: &str = include_str!("../../../charts/bootlace/files/schedulers.yaml");

/// The table of schedulers.
#[derive(Debug, Default)]
pub struct Schedulers {
    entries: Vec<Arc<Scheduler>>,
    /// The entries with a condition for a label, by that label.
    by_label: HashMap<String, Vec<usize>>,
    /// The other entries.
    without_label: Vec<usize>,
}

impl PartialEq for Schedulers {
    fn eq(&self, other: &Self) -> bool {
        self.specs().eq(other.specs())
    }
}

impl Eq for Schedulers {}

impl Schedulers {
    /// The built-in table.
    #[must_use]
    pub fn built_in() -> Arc<Self> {
        static TABLE: LazyLock<Arc<Schedulers>> = LazyLock::new(|| {
            // A test parses the same text.
            Arc::new(parse(BUILT_IN).and_then(Schedulers::new).unwrap_or_default())
        });
        Arc::clone(&TABLE)
    }

    /// The built-in table, preceded by the entries of `text`, a YAML list.
    ///
    /// # Errors
    /// If an entry is invalid.
    pub fn with_extra(text: &str) -> Result<Arc<Self>, InvalidSchedulers> {
        let mut specs = parse(text)?;
        if specs.len() > MAX_EXTRA {
            return Err(InvalidSchedulers::TooMany { count: specs.len() });
        }
        specs.extend(parse(BUILT_IN)?);
        Self::new(specs).map(Arc::new)
    }

    fn new(specs: Vec<SchedulerSpec>) -> Result<Self, InvalidSchedulers> {
        let entries = specs.into_iter().map(|spec| Scheduler::new(spec).map(Arc::new));
        let entries: Vec<_> = entries.collect::<Result<_, _>>()?;
        let mut table = Self { entries, ..Self::default() };
        for (index, entry) in table.entries.iter().enumerate() {
            let mut present = entry.spec().conditions.iter().filter(|condition| !condition.absent);
            match present.find_map(|condition| condition.label.as_ref()) {
                Some(label) => table.by_label.entry(label.clone()).or_default().push(index),
                None => table.without_label.push(index),
            }
        }
        Ok(table)
    }

    /// The entries, in the order in which pods are compared with them.
    pub fn specs(&self) -> impl Iterator<Item = &SchedulerSpec> {
        self.entries.iter().map(|entry| entry.spec())
    }

    /// The scheduler that created the pod, if it is known: the first entry whose conditions the pod meets.
    #[must_use]
    pub fn detect(&self, pod: &Pod<'_>) -> Option<&Arc<Scheduler>> {
        let labelled = pod.labels.iter().filter_map(|(label, _)| self.by_label.get(label)).flatten();
        let mut found = usize::MAX;
        for &index in labelled.chain(&self.without_label) {
            if index < found && self.entries.get(index).is_some_and(|entry| entry.recognises(pod)) {
                found = index;
            }
        }
        self.entries.get(found)
    }

    /// The identity of the task: from an annotation if it names the run, else from the scheduler; empty if it
    /// is unknown.
    #[must_use]
    pub fn identify(&self, pod: &Pod<'_>) -> Identity {
        identify(pod, self.detect(pod))
    }
}

/// The same, if `scheduler` is what [`Schedulers::detect`] has found for the pod.
pub(crate) fn identify(pod: &Pod<'_>, scheduler: Option<&Arc<Scheduler>>) -> Identity {
    run_annotation::identity(pod, scheduler.map(|scheduler| scheduler.identity(pod)).unwrap_or_default())
}

fn parse(text: &str) -> Result<Vec<SchedulerSpec>, InvalidSchedulers> {
    // An empty file, or one with comments only.
    let specs: Option<Vec<SchedulerSpec>> =
        serde_saphyr::from_str_with_options(text, serde_saphyr::options! { with_snippet: false }).map_err(
            |error| {
                let message = error.to_string();
                let message = message.lines().next().unwrap_or_default().trim_end_matches([':', '.']);
                InvalidSchedulers::Malformed(format!("{message}: correct the entry"))
            },
        )?;
    Ok(specs.unwrap_or_default())
}
