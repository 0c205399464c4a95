//! The pods that the monitor checks again, and when. Its memory grows with the pods that have not started,
//! not with the cluster: of each pod, only the name and two times are kept.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;

use super::settings::Settings;
use super::verdict::{Verdict, verdict, was_gated};
use crate::server::memory::MONITORED_PODS;

/// A pod that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuePod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: Arc<str>,
    /// When its scheduling gates were gone (see [`was_gated`]).
    pub ungated: Option<Timestamp>,
}

/// The pods, by UID and by time.
#[derive(Debug, Default)]
pub struct Queue {
    pods: HashMap<Arc<str>, Entry>,
    due: BTreeSet<(Timestamp, Arc<str>)>,
    /// Counts the lists of all pods. A pod that is not in the newest list does not exist any more.
    list: u32,
    /// Whether a pod was left out.
    is_incomplete: bool,
}

#[derive(Debug)]
struct Entry {
    namespace: Box<str>,
    name: Box<str>,
    /// `None` while an action for the pod runs.
    due: Option<Timestamp>,
    ungated: Option<Timestamp>,
    list: u32,
}

impl Queue {
    /// The number of pods.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pods.len()
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }

    /// Whether a pod was left out because there were too many, and now there is space: all must be listed
    /// again.
    #[must_use]
    pub fn must_list_again(&self) -> bool {
        self.is_incomplete && self.pods.len() < MONITORED_PODS / 2
    }

    /// A list of all pods begins.
    pub fn begin_list(&mut self) {
        self.list = self.list.wrapping_add(1);
    }

    /// The list is complete: removes the pods that it did not contain.
    pub fn end_list(&mut self) {
        let (list, due) = (self.list, &mut self.due);
        self.pods.retain(|uid, entry| {
            let is_listed = entry.list == list;
            if let (false, Some(time)) = (is_listed, entry.due) {
                due.remove(&(time, Arc::clone(uid)));
            }
            is_listed
        });
        self.pods.shrink_to_fit();
    }

    /// A pod exists and has this state at `now`.
    pub fn update(&mut self, pod: &Pod, now: Timestamp) {
        let Some(uid) = pod.metadata.uid.as_deref() else { return };
        let before = self.pods.get(uid);
        let ungated = was_gated(pod).then(|| before.and_then(|entry| entry.ungated).unwrap_or(now));
        let verdict = Settings::of(pod).map(|settings| verdict(pod, &settings, ungated, now));
        let due = match verdict {
            None | Some(Verdict::Nothing) => return self.remove(uid),
            Some(Verdict::Wait(due)) => due,
            Some(Verdict::Fail(_)) => now,
        };
        if before.is_none() && self.pods.len() >= MONITORED_PODS {
            self.is_incomplete = true;
            return;
        }
        let is_in_action = before.is_some_and(|entry| entry.due.is_none());
        self.remove(uid);
        let (uid, list) = (Arc::<str>::from(uid), self.list);
        let (namespace, name) = (pod.namespace().unwrap_or_default().into(), pod.name_any().into());
        let due = (!is_in_action).then_some(due);
        if let Some(due) = due {
            self.due.insert((due, Arc::clone(&uid)));
        }
        self.pods.insert(uid, Entry { namespace, name, due, ungated, list });
    }

    /// A pod does not exist any more, or is not selected any more.
    pub fn remove(&mut self, uid: &str) {
        if let Some((uid, Entry { due: Some(due), .. })) = self.pods.remove_entry(uid) {
            self.due.remove(&(due, uid));
        }
    }

    /// When the next pod is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(due, _)| *due)
    }

    /// The next pod that is due at `now`. It is not due again before [`Self::finish`].
    pub fn take(&mut self, now: Timestamp) -> Option<DuePod> {
        let (due, uid) = self.due.pop_first()?;
        if due > now {
            self.due.insert((due, uid));
            return None;
        }
        let entry = self.pods.get_mut(&uid)?;
        entry.due = None;
        let (namespace, name) = (entry.namespace.to_string(), entry.name.to_string());
        Some(DuePod { namespace, name, ungated: entry.ungated, uid })
    }

    /// The action for a pod has ended. It is due again at `due`, or never.
    pub fn finish(&mut self, uid: &Arc<str>, due: Option<Timestamp>) {
        let Some(due) = due else { return self.remove(uid) };
        if let Some(entry) = self.pods.get_mut(uid)
            && entry.due.is_none()
        {
            entry.due = Some(due);
            self.due.insert((due, Arc::clone(uid)));
        }
    }
}
