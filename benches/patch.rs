//! The time to compute a patch, compared with `serde_json` parsing the same review:
//! `cargo bench --bench patch`.
//!
//! It does not use a benchmark library, because the result is a ratio: batches of both sides run in turn, so
//! that changes of the speed of the machine affect both.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bootlace_core::admission::{self, ReviewOutcome};
use bootlace_core::injected_config::StoreEndpoint;
use bootlace_core::plan::{InstallationSettings, PreparedProfiles};
use bootlace_core::profile::{Inline, Mounted, Profile, Source, SourceTarget};
use bootlace_core::signature::SigningKeys;
use serde_json::{Value, json};

// The same allocator as in `bootlace`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The number of batches of each side, of which the median ratio is printed.
const BATCHES: usize = 21;
/// The minimum duration of a batch.
const BATCH: Duration = Duration::from_millis(20);

fn main() {
    println!("| env vars | review | parsed by `serde_json` | processed | ratio |");
    println!("|---:|---:|---:|---:|---:|");
    for variables in [10, 100, 1_000, 10_000] {
        let body = review(variables);
        let recipes = recipes();
        let outcome = admission::review(&body, &recipes).outcome;
        assert_eq!(outcome, ReviewOutcome::Injected);
        let (parsed, processed, ratio) = compare(
            || {
                black_box(serde_json::from_slice::<Value>(black_box(&body)).unwrap());
            },
            || {
                black_box(admission::review(black_box(&body), &recipes).response.to_json().unwrap());
            },
        );
        println!(
            "| {variables} | {:.1} KB | {parsed:.1?} | {processed:.1?} | {ratio:.2} |",
            kilobytes(body.len())
        );
    }
    println!("\nWith a store, with and without a signature:\n");
    println!("| env vars | unsigned | signed | ratio |");
    println!("|---:|---:|---:|---:|");
    for variables in [10, 100, 1_000] {
        let body = review(variables);
        let keys = SigningKeys::read([("key-1700000000", [7; 32])], 1_700_000_000).unwrap();
        let (unsigned, signed) = (with_store(None), with_store(Some(keys)));
        let process = |recipes: &PreparedProfiles| {
            black_box(admission::review(black_box(&body), recipes).response.to_json().unwrap());
        };
        let (without, with, ratio) = compare(|| process(&unsigned), || process(&signed));
        println!("| {variables} | {without:.1?} | {with:.1?} | {ratio:.2} |");
    }
    println!("\nWith ten overlays, and without:\n");
    println!("| env vars | without | with ten overlays | ratio |");
    println!("|---:|---:|---:|---:|");
    for variables in [10, 100, 1_000] {
        let body = review(variables);
        let (plain, overlaid) = (recipes(), with_overlays());
        let process = |recipes: &PreparedProfiles| {
            black_box(admission::review(black_box(&body), recipes).response.to_json().unwrap());
        };
        assert_eq!(admission::review(&body, &overlaid).outcome, ReviewOutcome::Injected);
        let (without, with, ratio) = compare(|| process(&plain), || process(&overlaid));
        println!("| {variables} | {without:.1?} | {with:.1?} | {ratio:.2} |");
    }
}

/// Ten overlays such as those in `examples/overlays`: with conditions, templates, and changes to the task
/// container.
fn with_overlays() -> PreparedProfiles {
    let overlays = json!([
        {"name": "cost", "pod": {"metadata": {"labels": {
            "cost-workflow": "{{ workflow | default('none') }}", "cost-team": "{{ labels.team | default(namespace) }}",
        }}}},
        {"name": "task", "pod": {"metadata": {"annotations": {"cost-task": "{{ workflow }}/{{ task }}"}}}},
        {"name": "gpu", "when": "labels.queue | default('') == 'gpu'", "pod": {"spec": {"runtimeClassName": "nvidia"}}},
        {"name": "spot", "when": "labels.queue | default('') in ['', 'spot']", "pod": {"spec": {
            "priorityClassName": "batch-low", "tolerations": [{"key": "spot", "operator": "Exists"}],
        }}},
        {"name": "pool", "when": "scheduler == 'airflow'", "pod": {"spec": {"nodeSelector": {"pool": "airflow"}}}},
        {"name": "dns", "pod": {"spec": {"dnsConfig": {"options": [{"name": "ndots", "value": "2"}]}}}},
        {"name": "shared", "rename": true, "pod": {"spec": {
            "volumes": [{"name": "shared", "emptyDir": {}}],
            "containers": [{"name": "*", "volumeMounts": [{"name": "shared", "mountPath": "/data/shared"}]}],
        }}},
        {"name": "env", "pod": {"spec": {"containers": [{"name": "*", "env": [{"name": "NAMESPACE", "value": "{{ namespace }}"}]}]}}},
        {"name": "patch", "jsonPatch": [
            {"op": "add", "path": "/metadata/labels/queue", "value": "{{ labels.team | default('shared') }}"},
        ]},
        {"name": "user", "override": true, "pod": {"spec": {"securityContext": {"runAsNonRoot": true}}}},
    ]);
    let mut profile = profile();
    profile.spec.overlays = serde_json::from_value(overlays).unwrap();
    PreparedProfiles::new([profile].into_iter().collect(), &InstallationSettings::default()).unwrap()
}

fn with_store(keys: Option<SigningKeys>) -> PreparedProfiles {
    let store = StoreEndpoint { url: "https://bootlace-store.bootlace.svc".to_owned(), ca: "x".repeat(700) };
    let settings = InstallationSettings {
        store: Some(store),
        keys: keys.map(Arc::new),
        ..InstallationSettings::default()
    };
    PreparedProfiles::new([profile()].into_iter().collect(), &settings).unwrap()
}

#[allow(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
fn kilobytes(bytes: usize) -> f64 {
    bytes as f64 / 1000.0
}

/// The median times of a run of each side, and the median of the ratios of consecutive batches.
fn compare(mut base: impl FnMut(), mut other: impl FnMut()) -> (Duration, Duration, f64) {
    let runs = runs_in_a_batch(&mut base);
    let mut pairs: Vec<_> = (0..BATCHES).map(|_| (time(runs, &mut base), time(runs, &mut other))).collect();
    let mut ratios: Vec<_> =
        pairs.iter().map(|(base, other)| other.as_secs_f64() / base.as_secs_f64()).collect();
    ratios.sort_by(f64::total_cmp);
    let middle = BATCHES / 2;
    pairs.sort_by_key(|pair| pair.0);
    let base = pairs.get(middle).unwrap().0 / runs;
    pairs.sort_by_key(|pair| pair.1);
    let other = pairs.get(middle).unwrap().1 / runs;
    (base, other, *ratios.get(middle).unwrap())
}

fn runs_in_a_batch(base: &mut impl FnMut()) -> u32 {
    let mut runs = 1;
    while time(runs, base) < BATCH {
        runs *= 2;
    }
    runs
}

fn time(runs: u32, side: &mut impl FnMut()) -> Duration {
    let start = Instant::now();
    (0..runs).for_each(|_| side());
    start.elapsed()
}

fn recipes() -> PreparedProfiles {
    PreparedProfiles::new([profile()].into_iter().collect(), &InstallationSettings::default()).unwrap()
}

fn profile() -> Profile {
    let source = |name: &str| Source { name: name.to_owned(), ..Source::default() };
    let object = |name: &str, into, prefix: &str| Mounted {
        name: name.to_owned(),
        into,
        items: Vec::new(),
        exclude: Vec::new(),
        prefix: prefix.to_owned(),
        optional: false,
    };
    let env = [("GREETING".to_owned(), "hello".to_owned())].into();
    let mut profile = Profile { name: "default".to_owned(), generation: 1, ..Profile::default() };
    profile.spec.sources = vec![
        Source { inline: Some(Inline { env, ..Inline::default() }), ..source("settings") },
        Source { config_map: Some(object("tables", SourceTarget::Files, "")), ..source("tables") },
        Source { secret: Some(object("login", SourceTarget::Env, "DB_")), ..source("login") },
    ];
    profile
}

/// A review like those of the API server for a pod of Airflow's operator.
fn review(variables: usize) -> Vec<u8> {
    let mut review: Value = serde_json::from_str(include_str!("review.json")).unwrap();
    let env = (0..variables).map(|n| json!({"name": format!("VARIABLE_{n}"), "value": format!("value {n}")}));
    *review.pointer_mut("/request/object/spec/containers/0/env").unwrap() = env.collect();
    serde_json::to_vec(&review).unwrap()
}
