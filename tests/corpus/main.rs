//! Tests the corpus offline: its pods set every field of a pod, and engine and command line inject them.
//! `tests/cluster/tests/scenarios/corpus` creates the same pods on a real API server.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; the exemption of clippy does not include the helpers of tests"
)]

mod fields;
mod kept;
mod pods;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bootlace::profile_files;
use bootlace_core::admission::{self, ReviewOutcome};
use bootlace_core::injected_config::StoreEndpoint;
use bootlace_core::plan::{InstallationSettings, PreparedProfiles};
use bootlace_core::selection::SkipReason;
use fields::Fields;
use pods::Entry;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Fields that no pod of the corpus sets, and the reasons.
const EXCEPTIONS: &[(&str, &str)] = &[
    (
        "EphemeralContainer.",
        "no pod can be created with ephemeral containers: they are added to a running pod, which is not a CREATE. One entry \
         shows that",
    ),
    ("ObjectMeta.", "the metadata of a claim template: the API server accepts only labels and annotations"),
    ("ManagedFieldsEntry.", "part of ObjectMeta"),
    ("OwnerReference.", "part of ObjectMeta"),
    ("TypedObjectReference.namespace", "a claim from another namespace requires a feature gate that is off"),
];

fn corpus() -> Vec<Entry> {
    pods::read(&Path::new(env!("BOOTLACE_ROOT")).join("tests/corpus"))
}

/// The profile of the cluster tests, as a file.
struct Profile(TempDir);

impl Profile {
    fn write() -> Self {
        let values: Value = serde_saphyr::from_str(include_str!("../cluster/values.yaml")).unwrap();
        let profile = json!({
            "apiVersion": "bootlace.dev/v1alpha1", "kind": "BootProfile", "metadata": {"name": "default"},
            "spec": values["profiles"]["default"],
        });
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("default.yaml"), profile.to_string()).unwrap();
        Self(folder)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("default.yaml")
    }

    fn recipes(&self, store: Option<StoreEndpoint>) -> PreparedProfiles {
        let settings = InstallationSettings { store, ..InstallationSettings::default() };
        PreparedProfiles::new(profile_files::read(&self.path()).unwrap(), &settings).unwrap()
    }
}

fn store() -> StoreEndpoint {
    StoreEndpoint { url: "https://bootlace-store.bootlace.svc:8443".to_owned(), ca: "PEM".to_owned() }
}

/// Reviews a pod. Returns the pod with the patch applied, the outcome, and the error message.
fn review(pod: &Value, recipes: &PreparedProfiles) -> (Value, ReviewOutcome, String) {
    let body = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u-1", "operation": "CREATE", "namespace": "default",
            "kind": {"group": "", "version": "v1", "kind": "Pod"}, "object": pod,
        },
    });
    let reviewed = admission::review(body.to_string().as_bytes(), recipes);
    let response: Value = serde_json::from_slice(&reviewed.response.to_json().unwrap()).unwrap();
    let mut pod = pod.clone();
    if let Some(patch) = response["response"]["patch"].as_str() {
        let patch: json_patch::Patch = serde_json::from_slice(&STANDARD.decode(patch).unwrap()).unwrap();
        json_patch::patch(&mut pod, &patch).unwrap();
    }
    let message = response["response"]["status"]["message"].as_str().unwrap_or_default().to_owned();
    (pod, reviewed.outcome, message)
}

/// Runs the command line, with manifests on standard input.
fn bootlace(verb: &str, profile: &Profile, manifests: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bootlace"));
    for name in ["BOOTLACE_PROFILES", "BOOTLACE_BOOT_IMAGE"] {
        command.env_remove(name);
    }
    command.args([verb, "--profiles"]).arg(profile.path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let mut stdin = process.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // In a thread, so that neither process blocks when a pipe is full.
        scope.spawn(move || {
            // The program stops at the first pod that it refuses, and does not read the rest.
            let _ = stdin.write_all(manifests.as_bytes());
        });
        process.wait_with_output().unwrap()
    })
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn the_corpus_has_pods_of_many_kinds_with_unique_titles() {
    let corpus = corpus();
    assert!(corpus.len() >= 150, "{} pods", corpus.len());
    let titles: BTreeSet<_> = corpus.iter().map(|entry| &entry.title).collect();
    assert_eq!(titles.len(), corpus.len(), "two pods have the same title");
    let running = corpus.iter().filter(|entry| entry.runs).count();
    assert!(running >= 10, "{running} pods are started");
}

#[test]
fn every_field_of_a_pod_is_set_by_one() {
    let fields = Fields::parse(include_str!("fields.txt"));
    let mut set = BTreeSet::new();
    for Entry { title, pod, .. } in corpus() {
        fields.set_by(&pod["spec"], &mut set).unwrap_or_else(|error| panic!("{title}: {error}"));
    }
    let all = fields.all();
    for (start, _) in EXCEPTIONS {
        assert!(
            all.iter().any(|field| field.starts_with(start)),
            "no field starts with the exception {start}"
        );
    }
    let missing: Vec<_> = all
        .difference(&set)
        .filter(|field| !EXCEPTIONS.iter().any(|(start, _)| field.starts_with(start)))
        .collect();
    assert!(missing.is_empty(), "no pod of the corpus sets {missing:#?}");
}

#[test]
fn each_is_injected_with_every_field_kept_or_has_the_end_that_it_names() {
    let profile = Profile::write();
    for store in [Some(store()), None] {
        let without_store = store.is_none();
        let recipes = profile.recipes(store);
        let mut problems = Vec::new();
        let hardened = corpus().into_iter().map(|mut entry| {
            entry.pod = pods::hardened(&entry.pod);
            entry
        });
        for Entry { title, pod, bootlace_refuses, unchanged, .. } in corpus().into_iter().chain(hardened) {
            let (injected, outcome, message) = review(&pod, &recipes);
            let is_expected = match (&outcome, &bootlace_refuses) {
                (ReviewOutcome::Injected, None) => !unchanged && kept::tasks(&injected).is_some(),
                (ReviewOutcome::Skipped(_), None) => unchanged && injected == pod,
                (ReviewOutcome::Refused, Some(part)) => message.contains(part.as_str()),
                // These pods need a store.
                (ReviewOutcome::Refused, None) => without_store && message.contains("store.enabled"),
                _ => false,
            };
            if !is_expected {
                problems.push(format!("{title}: {outcome}: {message}"));
            }
            let differences = kept::differences(&pod, &injected);
            problems.extend(differences.iter().map(|difference| format!("{title}: {difference}")));
        }
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }
}

#[test]
fn a_second_review_does_not_change_an_injected_pod() {
    let profile = Profile::write();
    let recipes = profile.recipes(Some(store()));
    for Entry { title, pod, .. } in corpus() {
        let (injected, outcome, _) = review(&pod, &recipes);
        if outcome == ReviewOutcome::Injected {
            let (twice, outcome, _) = review(&injected, &recipes);
            assert_eq!(outcome, ReviewOutcome::Skipped(SkipReason::AlreadyInjected), "{title}");
            assert_eq!(twice, injected, "{title}");
        }
    }
}

#[test]
fn the_command_line_makes_the_same_of_them_once_and_can_explain_it() {
    let profile = Profile::write();
    let recipes = profile.recipes(None);
    let mut manifests = String::new();
    let mut expected = Vec::new();
    for Entry { title, pod, .. } in corpus() {
        let manifest = format!("{pod}\n");
        let (injected, outcome, message) = review(&pod, &recipes);
        if outcome == ReviewOutcome::Refused {
            let refused = bootlace("inject", &profile, &manifest);
            assert!(!refused.status.success(), "{title}");
            assert!(text(&refused.stderr).contains(&message), "{title}: {}", text(&refused.stderr));
            let explained = bootlace("explain", &profile, &manifest);
            assert!(text(&explained.stdout).contains(&message), "{title}: {}", text(&explained.stdout));
            continue;
        }
        manifests.push_str("---\n");
        manifests.push_str(&manifest);
        expected.push((title, injected));
    }

    let once = bootlace("inject", &profile, &manifests);
    assert!(once.status.success(), "{}", text(&once.stderr));
    let injected: Vec<Value> = serde_saphyr::from_multiple(text(&once.stdout)).unwrap();
    assert_eq!(injected.len(), expected.len());
    for ((title, expected), injected) in expected.iter().zip(&injected) {
        assert_eq!(injected, expected, "{title}");
    }
    let twice = bootlace("inject", &profile, text(&once.stdout));
    assert!(twice.status.success(), "{}", text(&twice.stderr));
    assert_eq!(text(&twice.stdout), text(&once.stdout));

    for manifests in [&manifests, text(&once.stdout)] {
        let explained = bootlace("explain", &profile, manifests);
        assert!(explained.status.success(), "{}", text(&explained.stderr));
        let count = text(&explained.stdout).lines().filter(|line| line.starts_with("Pod ")).count();
        assert_eq!(count, expected.len(), "{}", text(&explained.stdout));
    }
}
