//! The state of the watch of profiles: the last valid version of each, and the problem of the newest.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use kube::core::DynamicObject;
use kube::runtime::watcher::Event;
use serde_json::Value;
use tracing::{info, warn};

use super::StatusWriter;
use bootlace_core::profile::{BootProfileSpec, BootProfileStatus, Profile, Profiles};

/// A profile as JSON, because it can be invalid: it can have fields of a newer version, or bypass the schema.
type Raw = DynamicObject;

/// All profiles by name. Applies events and creates snapshots, without input or output.
#[derive(Debug, Default)]
pub struct Catalogue {
    entries: BTreeMap<String, Entry>,
    /// The names in an incomplete list. Profiles that are not in the list are removed when it is complete.
    listed: Vec<String>,
}

#[derive(Debug, Default)]
struct Entry {
    /// Distinguishes an object from a later one with the same name.
    uid: Option<String>,
    generation: i64,
    resource_version: Option<String>,
    good: Option<Profile>,
    problem: Option<String>,
    /// The status of the object.
    status: BootProfileStatus,
}

impl Catalogue {
    /// Applies an event. Returns whether the snapshot can have changed.
    pub fn apply(&mut self, event: Event<Raw>) -> bool {
        match event {
            Event::Init => {
                self.listed.clear();
                false
            }
            Event::InitApply(profile) => {
                self.listed.push(profile.name_any());
                self.put(&profile);
                false
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                self.entries.retain(|name, _| listed.contains(name));
                true
            }
            Event::Apply(profile) => {
                self.put(&profile);
                true
            }
            Event::Delete(profile) => {
                self.entries.remove(&profile.name_any());
                true
            }
        }
    }

    fn put(&mut self, profile: &Raw) {
        let name = profile.name_any();
        let entry = self.entries.entry(name.clone()).or_default();
        if entry.uid != profile.uid() {
            *entry = Entry { uid: profile.uid(), ..Entry::default() };
        }
        entry.generation = profile.metadata.generation.unwrap_or_default();
        entry.resource_version = profile.resource_version();
        entry.status = profile.data.get("status").and_then(read_status).unwrap_or_default();
        match read(profile, &name, entry.generation) {
            Ok(profile) => {
                if entry.problem.take().is_some() {
                    info!(profile = name, "BootProfile is valid again");
                }
                entry.good = Some(profile);
            }
            Err(problem) => {
                if entry.good.is_none() {
                    // This process started after the last valid version was replaced. Another replica wrote
                    // it to the status.
                    entry.good = entry.status.last_good.as_ref().and_then(|good| good.profile(&name));
                }
                // Reported once, not for every list.
                if entry.problem.as_ref() != Some(&problem) {
                    let consequence = match &entry.good {
                        Some(good) => format!("generation {} stays active", good.generation),
                        None => "no earlier valid version is known".to_owned(),
                    };
                    warn!(profile = name, problem, "BootProfile is invalid: {consequence}");
                }
                entry.problem = Some(problem);
            }
        }
    }

    /// The statuses that differ from those of the objects.
    #[must_use]
    pub fn reports(&self, now: Timestamp) -> Vec<StatusWriter> {
        let report = |(name, entry): (&String, &Entry)| {
            let (problem, good) = (entry.problem.as_deref(), entry.good.as_ref());
            let status = BootProfileStatus::of(entry.generation, problem, good, &entry.status, now);
            let resource_version = entry.resource_version.clone();
            (status != entry.status).then(|| StatusWriter { name: name.clone(), resource_version, status })
        };
        self.entries.iter().filter_map(report).collect()
    }

    /// The name of each profile, its active generation, and whether that is the newest.
    pub fn states(&self) -> impl Iterator<Item = (&str, Option<i64>, bool)> {
        self.entries.iter().map(|(name, entry)| {
            (name.as_str(), entry.good.as_ref().map(|good| good.generation), entry.problem.is_none())
        })
    }

    /// The last valid version of each profile, and the problems of those without one.
    #[must_use]
    pub fn snapshot(&self) -> Profiles {
        let problem = |(name, entry): (&String, &Entry)| {
            let problem = entry.problem.clone().filter(|_| entry.good.is_none())?;
            Some((name.clone(), problem))
        };
        let good: Profiles = self.entries.values().filter_map(|entry| entry.good.clone()).collect();
        good.with_not_in_force(self.entries.iter().filter_map(problem).collect())
    }

    /// The number of profiles whose newest version is invalid.
    #[must_use]
    pub fn invalid(&self) -> usize {
        self.entries.values().filter(|entry| entry.problem.is_some()).count()
    }
}

fn read(profile: &Raw, name: &str, generation: i64) -> Result<Profile, String> {
    let spec = profile.data.get("spec").cloned().unwrap_or(Value::Null);
    let spec: BootProfileSpec = serde_json::from_value(spec).map_err(|error| format!("spec: {error}"))?;
    Profile::new(name, generation, spec).map_err(|error| error.to_string())
}

fn read_status(status: &Value) -> Option<BootProfileStatus> {
    serde_json::from_value(status.clone()).ok()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::json;

    use super::*;
    use bootlace_core::profile::NoProfile;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn profile(name: &str, generation: i64, timeout: &Value) -> Raw {
        let profile = json!({
            "apiVersion": "bootlace.dev/v1alpha1", "kind": "BootProfile",
            "metadata": {"name": name, "generation": generation},
            "spec": {"hook": {"timeoutSeconds": timeout}},
        });
        serde_json::from_value(profile).unwrap()
    }

    fn list(catalogue: &mut Catalogue, profiles: Vec<Raw>) -> bool {
        catalogue.apply(Event::Init);
        for profile in profiles {
            catalogue.apply(Event::InitApply(profile));
        }
        catalogue.apply(Event::InitDone)
    }

    fn names(catalogue: &Catalogue) -> Vec<String> {
        catalogue.snapshot().iter().map(|profile| profile.name.clone()).collect()
    }

    fn a(catalogue: &Catalogue) -> Profile {
        catalogue.snapshot().iter().find(|profile| profile.name == "a").unwrap().as_ref().clone()
    }

    #[test]
    fn a_list_replaces_the_state() {
        let mut catalogue = Catalogue::default();
        assert!(list(&mut catalogue, vec![profile("a", 1, &json!(5)), profile("b", 1, &json!(5))]));
        assert_eq!(names(&catalogue), ["a", "b"]);
        assert!(list(&mut catalogue, vec![profile("b", 2, &json!(6))]));
        assert_eq!(names(&catalogue), ["b"]);
    }

    #[test]
    fn changes_update_the_state() {
        let mut catalogue = Catalogue::default();
        list(&mut catalogue, vec![]);
        assert!(catalogue.apply(Event::Apply(profile("a", 1, &json!(5)))));
        assert!(catalogue.apply(Event::Apply(profile("a", 2, &json!(6)))));
        assert_eq!(a(&catalogue).spec.hook.timeout_seconds, 6);
        assert!(catalogue.apply(Event::Delete(profile("a", 2, &json!(6)))));
        assert!(names(&catalogue).is_empty());
    }

    #[test]
    fn an_invalid_profile_keeps_its_last_valid_version_and_the_others() {
        let mut catalogue = Catalogue::default();
        list(&mut catalogue, vec![profile("a", 1, &json!(5)), profile("b", 1, &json!(5))]);
        catalogue.apply(Event::Apply(profile("a", 2, &json!("soon"))));
        assert_eq!((names(&catalogue).len(), catalogue.invalid()), (2, 1));
        assert_eq!(a(&catalogue).generation, 1);
        // A new list does not change that.
        list(&mut catalogue, vec![profile("a", 2, &json!("soon")), profile("b", 1, &json!(5))]);
        assert_eq!(a(&catalogue).generation, 1);
        catalogue.apply(Event::Apply(profile("a", 3, &json!(7))));
        assert_eq!(a(&catalogue).generation, 3);
        assert_eq!(catalogue.invalid(), 0);
    }

    #[test]
    fn an_invalid_profile_without_an_earlier_version_is_not_active() {
        let mut catalogue = Catalogue::default();
        list(&mut catalogue, vec![profile("a", 1, &json!(-1))]);
        assert_eq!((names(&catalogue).len(), catalogue.invalid()), (0, 1));
        // It is distinguished from a profile that does not exist.
        let snapshot = catalogue.snapshot();
        let NoProfile::NotInForce { problem, .. } = snapshot.missing("a") else { panic!("a is not known") };
        assert!(problem.starts_with("spec: "), "{problem}");
        assert!(matches!(snapshot.missing("b"), NoProfile::Unknown { .. }));
        let ready = catalogue.reports(at(3))[0].status.ready().unwrap().message.clone();
        assert!(ready.starts_with(&problem), "{ready} is not of {problem}");
        // With an earlier valid version, it is not missing.
        catalogue.apply(Event::Apply(profile("a", 2, &json!(5))));
        catalogue.apply(Event::Apply(profile("a", 3, &json!(-1))));
        assert_eq!(
            (names(&catalogue), catalogue.snapshot().not_in_force().count()),
            (vec!["a".to_owned()], 0)
        );
    }

    /// The API server accepts this profile, but no pod could boot with it.
    #[test]
    fn a_profile_that_no_pod_could_boot_with_is_not_activated() {
        let with = |generation: i64, sources: &Value| {
            let mut profile = profile("a", generation, &json!(5));
            profile.data["spec"]["sources"] = sources.clone();
            profile
        };
        let inline = |env: &Value| json!([{"name": "s", "inline": {"env": env}}]);
        let mut catalogue = Catalogue::default();
        list(&mut catalogue, vec![with(1, &inline(&json!({"PATH": "/opt"})))]);
        assert!(names(&catalogue).is_empty());
        let message = catalogue.snapshot().missing("a").to_string();
        assert!(message.contains("spec") && message.contains("env.allow"), "{message}");
        catalogue.apply(Event::Apply(with(2, &inline(&json!({"spring.datasource.url": "x"})))));
        assert_eq!(a(&catalogue).generation, 2);
        catalogue.apply(Event::Apply(with(3, &inline(&json!({"A=B": "x"})))));
        assert_eq!(a(&catalogue).generation, 2, "an invalid change keeps the last valid version");
        let status = catalogue.reports(at(3))[0].status.clone();
        let ready = status.ready().unwrap();
        assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "Invalid"));
        assert!(ready.message.contains("spec.sources[0].inline.env[\"A=B\"]: "), "{}", ready.message);
    }

    /// A profile with the status that the catalogue would write.
    fn with_status(catalogue: &Catalogue, mut profile: Raw) -> Raw {
        profile.data["status"] = serde_json::to_value(&catalogue.reports(at(1))[0].status).unwrap();
        profile
    }

    #[test]
    fn a_replica_that_starts_with_an_invalid_profile_has_its_last_valid_version() {
        let mut first = Catalogue::default();
        list(&mut first, vec![profile("a", 1, &json!(5))]);
        let good = with_status(&first, profile("a", 1, &json!(5)));
        first.apply(Event::Apply(good.clone()));
        assert!(first.reports(at(2)).is_empty(), "an unchanged status is not written");
        let mut broken = profile("a", 2, &json!("soon"));
        broken.data["status"] = good.data["status"].clone();

        let mut second = Catalogue::default();
        list(&mut second, vec![broken.clone()]);
        assert_eq!((a(&second).generation, a(&second).spec.hook.timeout_seconds), (1, 5));
        first.apply(Event::Apply(broken));
        // Both compute the same status, so either can be written.
        assert_eq!(first.reports(at(2)), second.reports(at(2)));
        let status = &first.reports(at(2))[0].status;
        let ready = status.ready().unwrap();
        assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "Invalid"));
        assert_eq!((status.observed_generation, &ready.last_transition_time), (2, &Time(at(2))));
        assert_eq!(ready.observed_generation, Some(2));
        let stalled = &status.conditions[1];
        assert_eq!((stalled.type_.as_str(), stalled.status.as_str()), ("Stalled", "True"));
        assert_eq!(stalled.message, ready.message);
        assert!(ready.message.contains("soon") && ready.message.contains("generation 1 "));
        assert_eq!(status.last_good.as_ref().unwrap().generation, 1);
        first.apply(Event::Apply(profile("a", 3, &json!(7))));
        let status = &first.reports(at(1))[0].status;
        assert_eq!(status.ready().unwrap().status, "True");
        assert_eq!(status.conditions.len(), 1, "the condition Stalled is removed");
    }

    #[test]
    fn an_unknown_filter_is_reported_and_a_new_object_inherits_nothing() {
        let mut catalogue = Catalogue::default();
        let mut old = profile("a", 1, &json!(5));
        old.metadata.uid = Some("old".to_owned());
        list(&mut catalogue, vec![old]);
        let mut new = profile("a", 1, &json!(5));
        new.metadata.uid = Some("new".to_owned());
        new.data["spec"]["sources"] = json!([{"name": "s", "inline": {"env": {"A": "{{ run | shout }}"}}}]);
        list(&mut catalogue, vec![new]);
        assert!(names(&catalogue).is_empty());
        let message = catalogue.reports(at(3))[0].status.ready().unwrap().message.clone();
        assert!(
            message.contains("source \"s\", inline.env[\"A\"]: line 1: ") && message.contains("\"shout\""),
            "{message}"
        );
    }
}
