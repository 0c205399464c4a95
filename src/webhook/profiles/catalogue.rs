//! What the watch has told of profiles: the last good version of each, and what is wrong with the newest.

use std::collections::BTreeMap;

use kube::ResourceExt as _;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;
use tracing::{info, warn};

use crate::profile::{BootProfile, Profile, Profiles};

/// A profile that may be undecodable: a newer version's field, or an edit past the schema.
type Guarded = DeserializeGuard<BootProfile>;

/// All profiles that there are, by name. Pure: it is told of events and asked for snapshots.
#[derive(Debug, Default)]
pub struct Catalogue {
    entries: BTreeMap<String, Entry>,
    /// Names seen since the beginning of a list; what the list does not hold is gone.
    listed: Vec<String>,
}

#[derive(Debug, Default)]
struct Entry {
    good: Option<Profile>,
    problem: Option<String>,
}

impl Catalogue {
    /// Takes in what the watch tells. True where a snapshot can be taken that may differ from the last.
    pub fn take(&mut self, event: Event<Guarded>) -> bool {
        match event {
            Event::Init => {
                self.listed.clear();
                false
            }
            Event::InitApply(profile) => {
                self.listed.push(profile.name_any());
                self.put(profile);
                false
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                self.entries.retain(|name, _| listed.contains(name));
                true
            }
            Event::Apply(profile) => {
                self.put(profile);
                true
            }
            Event::Delete(profile) => {
                self.entries.remove(&profile.name_any());
                true
            }
        }
    }

    fn put(&mut self, profile: Guarded) {
        let name = profile.name_any();
        let entry = self.entries.entry(name.clone()).or_default();
        let read = match profile.0 {
            Ok(profile) => Profile::try_from(profile).map_err(|invalid| invalid.to_string()),
            Err(invalid) => Err(invalid.error),
        };
        match read {
            Ok(profile) => {
                if entry.problem.take().is_some() {
                    info!(profile = name, "BootProfile can be read again");
                }
                entry.good = Some(profile);
            }
            Err(problem) => {
                // Told once, not with every list that follows.
                if entry.problem.as_ref() != Some(&problem) {
                    let kept = match &entry.good {
                        Some(good) => format!("generation {} stays in force", good.generation),
                        None => "there is no earlier version to stay in force".to_owned(),
                    };
                    warn!(profile = name, problem, "BootProfile cannot be read: {kept}");
                }
                entry.problem = Some(problem);
            }
        }
    }

    /// The last good version of each.
    #[must_use]
    pub fn snapshot(&self) -> Profiles {
        self.entries.values().filter_map(|entry| entry.good.clone()).collect()
    }

    /// How many cannot be read as they are now.
    #[must_use]
    pub fn invalid(&self) -> usize {
        self.entries.values().filter(|entry| entry.problem.is_some()).count()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn profile(name: &str, generation: i64, timeout: &serde_json::Value) -> Guarded {
        let profile = json!({
            "apiVersion": "bootlace.dev/v1alpha1", "kind": "BootProfile",
            "metadata": {"name": name, "generation": generation},
            "spec": {"hook": {"timeoutSeconds": timeout}},
        });
        serde_json::from_value(profile).unwrap()
    }

    fn list(catalogue: &mut Catalogue, profiles: Vec<Guarded>) -> bool {
        catalogue.take(Event::Init);
        for profile in profiles {
            catalogue.take(Event::InitApply(profile));
        }
        catalogue.take(Event::InitDone)
    }

    fn names(catalogue: &Catalogue) -> Vec<String> {
        catalogue.snapshot().iter().map(|profile| profile.name.clone()).collect()
    }

    fn a(catalogue: &Catalogue) -> Profile {
        catalogue.snapshot().iter().find(|profile| profile.name == "a").unwrap().as_ref().clone()
    }

    #[test]
    fn a_list_replaces_what_was_known() {
        let mut catalogue = Catalogue::default();
        assert!(list(&mut catalogue, vec![profile("a", 1, &json!(5)), profile("b", 1, &json!(5))]));
        assert_eq!(names(&catalogue), ["a", "b"]);
        assert!(list(&mut catalogue, vec![profile("b", 2, &json!(6))]));
        assert_eq!(names(&catalogue), ["b"]);
    }

    #[test]
    fn changes_are_followed() {
        let mut catalogue = Catalogue::default();
        list(&mut catalogue, vec![]);
        assert!(catalogue.take(Event::Apply(profile("a", 1, &json!(5)))));
        assert!(catalogue.take(Event::Apply(profile("a", 2, &json!(6)))));
        assert_eq!(a(&catalogue).spec.hook.timeout_seconds, 6);
        assert!(catalogue.take(Event::Delete(profile("a", 2, &json!(6)))));
        assert!(names(&catalogue).is_empty());
    }

    #[test]
    fn an_unreadable_profile_keeps_its_last_good_version_and_the_others() {
        let mut catalogue = Catalogue::default();
        list(&mut catalogue, vec![profile("a", 1, &json!(5)), profile("b", 1, &json!(5))]);
        catalogue.take(Event::Apply(profile("a", 2, &json!("soon"))));
        assert_eq!((names(&catalogue).len(), catalogue.invalid()), (2, 1));
        assert_eq!(a(&catalogue).generation, 1);
        // A new list says the same, and it stays so.
        list(&mut catalogue, vec![profile("a", 2, &json!("soon")), profile("b", 1, &json!(5))]);
        assert_eq!(a(&catalogue).generation, 1);
        catalogue.take(Event::Apply(profile("a", 3, &json!(7))));
        assert_eq!(a(&catalogue).generation, 3);
        assert_eq!(catalogue.invalid(), 0);
    }

    #[test]
    fn an_unreadable_profile_without_an_earlier_version_is_not_there() {
        let mut catalogue = Catalogue::default();
        list(&mut catalogue, vec![profile("a", 1, &json!(-1))]);
        assert_eq!((names(&catalogue).len(), catalogue.invalid()), (0, 1));
    }
}
