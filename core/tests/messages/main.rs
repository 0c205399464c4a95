//! Every message that a refusal can have, with its code: `tests/messages.txt` shows them, so that a change of
//! wording is one difference in one file. Other tests compare codes or variants. `src/messages` does the same
//! for the other programs.
//!
//! `UPDATE_MESSAGES=1 cargo test -p bootlace-core --test messages` writes this part of the file.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking; it reads the environment and its own files"
)]

#[path = "../../../tests/messages/snapshot.rs"]
mod snapshot;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use bootlace_core::code::{Code, Coded};
use bootlace_core::input::InputError;
use bootlace_core::output::sidecar_config::ObjectKind;
use bootlace_core::overlay::{InvalidOverlay, OverlayError, OverlayProblem};
use bootlace_core::plan::{
    ContextLeftOut, ContextProblem, HooksError, InitImageError, PipesError, PlanError, Version,
};
use bootlace_core::pod::{Image, Json, Pod};
use bootlace_core::profile::NoProfile;
use bootlace_core::profile::context::A_DATE;
use bootlace_core::profile::links::{LinkLeftOut, LinkProblem};
use bootlace_core::profile::task_info::InvalidTaskInfo;
use bootlace_core::profile::templates::{FieldError, InvalidTemplate};
use bootlace_core::quantity::Quantity;
use bootlace_core::telemetry::airflow::UnknownRun;
use bootlace_core::template::{InvalidTemplateSyntax, RenderError, VARIABLES};
use serde_json::json;

/// Codes of refusals without an error variant: see `core/src/admission`.
const OF_ADMISSION: &[Code] = &[Code::ReviewMalformed, Code::LookupUnavailable];

fn text(text: &str) -> String {
    text.to_owned()
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn version() -> Version {
    Version::read("1", "27").unwrap()
}

fn template(error: impl Into<FieldError>) -> InvalidTemplate {
    InvalidTemplate {
        part: text("source \"settings\""),
        field: text("inline.env.DAY"),
        error: Box::new(error.into()),
    }
}

fn undefined_label() -> RenderError {
    RenderError::Undefined {
        variable: text("labels[\"team\"]"),
        reason: text("looked in metadata.labels"),
        remedy: text("set it there"),
    }
}

fn left_out_links() -> Vec<LinkLeftOut> {
    let left_out = |problem| LinkLeftOut { profile: text("default"), name: text("logs"), problem };
    [LinkProblem::Render(undefined_label()), LinkProblem::TooLong { size: 3000 }].map(left_out).into()
}

fn left_out_contexts() -> Vec<ContextLeftOut> {
    let left_out =
        |part, problem| ContextLeftOut { profile: text("default"), name: text("run"), part, problem };
    let undefined = ContextProblem::Undefined {
        variable: text("run"),
        reason: text("looked in the labels, annotations and env that Airflow's KubernetesPodOperator sets"),
        remedy: text("set annotation bootlace.dev/run of the pod"),
    };
    let unknown = [
        UnknownRun::NoId { name: "try_number" },
        UnknownRun::ChangedId { name: "dag_id" },
        UnknownRun::NoLogicalDate,
        UnknownRun::TooEarly,
    ];
    let parent = |run| left_out("the parent run of OpenLineage", ContextProblem::Run(run));
    let root = left_out("the root run of OpenLineage", UnknownRun::NoClearNumber.into());
    unknown.map(parent).into_iter().chain([left_out("TRACEPARENT", undefined), root]).collect()
}

fn plan_errors() -> Vec<PlanError> {
    let malformed = json!({"spec": {"containers": "main"}});
    vec![
        PlanError::NoContainers,
        PlanError::TooManyContainers { count: 600, limit: 500 },
        PlanError::UnknownContainer { name: text("bsae"), available: texts(&["base", "side"]) },
        PlanError::InitContainer {
            name: text("setup"),
            profile: text("default"),
            available: texts(&["base"]),
        },
        PlanError::NoHook {
            container: text("setup"),
            reason: text("env.mode of BootProfile \"default\" is Hook"),
        },
        PlanError::InitCommandUnknown { container: text("setup"), reason: String::new() },
        PlanError::NoContainerNamed,
        PlanError::NameTaken { field: "volume", name: text("bootlace") },
        PlanError::Mounts {
            container: text("base"),
            problem: text("mounts volume \"data\" at /var/assets, where Bootlace also mounts a volume"),
            remedy: text("mount volume \"data\" elsewhere"),
        },
        PlanError::ReservedVolume {
            container: text("base"),
            volume: text("bootlace"),
            path: text("/bootlace"),
        },
        PlanError::Architecture { required: text("s390x"), profile: text("default") },
        PlanError::CommandUnknown {
            container: text("base"),
            reason: text(" (the registry did not respond)"),
            mode: text("env.mode of BootProfile \"default\" is Launch"),
        },
        PlanError::Entrypoint { problem: text("is not valid JSON") },
        PlanError::EnvMode { value: text("Magic") },
        PlanError::TooOldForFile {
            mode: text("env.mode of BootProfile \"default\" is File"),
            version: version(),
        },
        PlanError::TooOldForImageVolume { name: text("model"), profile: text("default"), version: version() },
        PlanError::NoFileKeys {
            mode: text("env.mode of BootProfile \"default\" is File"),
            profile: text("default"),
        },
        PlanError::NoStore { mode: text("env.mode of BootProfile \"default\" is Secret") },
        PlanError::NoReview {
            reason: text("a task container has no command"),
            remedy: "set the image's entrypoint as `command` of each task container that has none",
        },
        PlanError::InjectedConfigInvalid { container: "bootlace-boot", env: "BOOTLACE_SPEC" },
        PlanError::InjectedConfigDiffers {
            part: "the task of the outputs",
            found: text("task a"),
            planned: text("task b"),
        },
        Pod::read(&Json::from(&malformed)).err().unwrap().into(),
        PlanError::Handler { container: text("base"), field: "postStart", handler: "tcpSocket" },
        PlanError::NeedsHook {
            mode: text("env.mode of BootProfile \"default\" is Hook"),
            profile: text("default"),
        },
        PlanError::CommandUnknownWithoutHook {
            container: text("base"),
            reason: String::new(),
            profile: text("default"),
        },
        PlanError::ImageLookupFailed {
            container: text("base"),
            reason: text("the registry did not respond"),
        },
        InitImageError::Empty.into(),
        InitImageError::from(Image::parse("UPPER/case").unwrap_err()).into(),
        InitImageError::NotAllowed {
            image: text("evil.example/boot:1"),
            profile: text("default"),
            allowed: texts(&["r.example.com/data/*"]),
        }
        .into(),
        PlanError::SpecTooLarge { size: 600_000, limit: 524_288, profile: text("default") },
        PlanError::PodMemory {
            container: "bootlace-boot",
            limit: Quantity::parse("8Mi").unwrap(),
            need: Quantity::parse("32Mi").unwrap(),
            profile: text("default"),
        },
        PlanError::Template {
            profile: text("default"),
            error: template(FieldError::Format { value: text("today"), expected: A_DATE }),
        },
        PlanError::Template {
            profile: text("default"),
            error: template(RenderError::Undefined {
                variable: text("run"),
                reason: text(
                    "looked in the labels and annotations that Airflow's KubernetesPodOperator sets",
                ),
                remedy: text("set annotation bootlace.dev/run of the pod"),
            }),
        },
        PlanError::TaskInfo {
            profile: text("default"),
            error: InvalidTaskInfo { name: text("owner"), problem: undefined_label().into() },
        },
        PlanError::InvalidTemplate(template(InvalidTemplateSyntax::UnknownVariable {
            name: text("rnu"),
            known: VARIABLES,
        })),
        PlanError::Serialization(text("a key is not a string")),
    ]
}

fn pipes_errors() -> Vec<PipesError> {
    let declared_in = || text("annotation bootlace.dev/pipe-out");
    vec![
        PipesError::NotAList { reason: text("line 1: unexpected end") },
        PipesError::InvalidEntry { position: 0, problem: text("missing field `file`") },
        PipesError::DuplicateKey { key: text("Report") },
        PipesError::NotATaskContainer {
            declared_in: declared_in(),
            key: text("Report"),
            container: text("x"),
            available: texts(&["base"]),
        },
        PipesError::InitContainer {
            declared_in: declared_in(),
            key: text("Report"),
            container: text("setup"),
        },
        PipesError::AmbiguousContainer {
            declared_in: declared_in(),
            key: text("Report"),
            available: texts(&["base", "side"]),
        },
        PipesError::TooMany { count: 101 },
        PipesError::NoRun,
        PipesError::NoStore { profile: text("default") },
        PipesError::TooOld { version: version() },
        PipesError::NotShared {
            key: text("Report"),
            container: text("base"),
            file: text("/out/report.json"),
            reason: text("its command is unknown"),
        },
        PipesError::SubPathExpression {
            key: text("Report"),
            container: text("base"),
            file: text("/out/report.json"),
            volume: text("out"),
        },
        PipesError::WaitNoStore { key: text("Report") },
        PipesError::WaitTooOld { key: text("Report"), version: version() },
        PipesError::TooLarge { container: "bootlace-pipe", size: 200_000, limit: 131_008 },
    ]
}

fn hooks_errors() -> Vec<HooksError> {
    let profile = || text("spark");
    vec![
        HooksError::NotLaunched {
            hooks: "hooks.abort",
            profile: profile(),
            container: text("base"),
            reason: text("its command is unknown"),
        },
        HooksError::NoStore { profile: profile() },
        HooksError::TooOld { profile: profile(), version: version() },
        HooksError::TooLarge { profile: profile(), size: 200_000, limit: 131_008 },
    ]
}

fn input_errors() -> Vec<InputError> {
    let pipe = || text("pipe \"Report\" of shop, run r1");
    vec![
        InputError::InvalidList { reason: text("line 1: unexpected end") },
        InputError::Entry { position: 0, message: text("missing field `key`") },
        InputError::PlaceholderNotAlone {
            field: text("spec.volumes[0].secret.secretName"),
            value: text("a-{{.Pipes.Report}}"),
        },
        InputError::InvalidPlaceholderKey {
            field: text("spec.volumes[0].secret.secretName"),
            value: text("pipe:a b"),
        },
        InputError::PlaceholderNotReplaced { field: text("spec.containers[0].args[0]") },
        InputError::UnknownRun { asked: text("pipe \"Report\"") },
        InputError::TooManyRuns { count: 20, limit: 16 },
        InputError::NotStored { asked: pipe(), task: Some(text("extract")), known: String::new() },
        InputError::AmbiguousTask { asked: pipe(), tasks: texts(&["a", "b"]) },
        InputError::AmbiguousIndex { asked: pipe(), indexes: texts(&["0", "1"]) },
        InputError::WrongKind {
            field: text("spec.volumes[0].secret"),
            expected: "Secret",
            asked: pipe(),
            found: ObjectKind::ConfigMap,
        },
        InputError::KindDiffers { asked: pipe(), declared: ObjectKind::Secret, found: ObjectKind::ConfigMap },
        InputError::WhichFile { asked: pipe(), files: texts(&["a", "b"]) },
        InputError::NameTaken { name: text("bootlace-in-0") },
        InputError::LookupFailed { asked: pipe(), reason: text("the API server did not respond within 2 s") },
    ]
}

fn invalid_overlay() -> PlanError {
    let problem = InvalidTemplateSyntax::UnknownVariable { name: text("lables"), known: VARIABLES };
    InvalidOverlay { overlay: text("gpu"), field: text("when"), problem: problem.into() }.into()
}

fn overlay_problems() -> Vec<OverlayProblem> {
    vec![
        OverlayProblem::Evaluate {
            field: text("when"),
            error: RenderError::Undefined {
                variable: text("labels[\"queue\"]"),
                reason: text("looked in metadata.labels"),
                remedy: text("set it there"),
            },
        },
        OverlayProblem::Label { field: text("pod.metadata.labels.dag"), value: text("a/b") },
        OverlayProblem::NameTaken {
            list: text("/spec/volumes"),
            name: text("shared"),
            holder: text("the pod"),
            remedy: "rename or override to true",
        },
        OverlayProblem::UnknownContainer {
            list: text("/spec/containers"),
            name: text("bsae"),
            available: texts(&["base", "side"]),
        },
        OverlayProblem::TypeDiffers { path: text("/spec/affinity"), found: "a list", wanted: "an object" },
        OverlayProblem::PathNotFound { position: 1, path: text("/spec/tolerations") },
        OverlayProblem::TestFailed { position: 0, path: text("/spec/priorityClassName") },
        OverlayProblem::TooLarge { limit: 20_000 },
    ]
}

fn overlay_errors() -> Vec<OverlayError> {
    let (profile, name) = (text("default"), text("gpus"));
    let in_overlay = |problem| OverlayError::Overlay {
        profile: text("default"),
        overlay: text("gpu"),
        problem: Box::new(problem),
    };
    let known = texts(&["gpu", "proxy"]);
    let annotation = [
        OverlayError::NoneNamed,
        OverlayError::NamedTwice { name: text("gpu") },
        OverlayError::Unknown { name: name.clone(), profile: profile.clone(), known },
        OverlayError::Unknown { name, profile, known: Vec::new() },
    ];
    annotation.into_iter().chain(overlay_problems().into_iter().map(in_overlay)).collect()
}

fn profile_errors() -> Vec<NoProfile> {
    vec![
        NoProfile::Unknown { name: text("elt"), known: texts(&["default", "etl"]) },
        NoProfile::NotInForce {
            name: text("etl"),
            problem: text("spec.sources[0]: a source must have exactly one kind"),
        },
    ]
}

/// Adds the messages of one type of error.
fn add<E: Coded + std::fmt::Display>(errors: &[E], lines: &mut BTreeSet<String>, codes: &mut BTreeSet<Code>) {
    for error in errors {
        let mut line = String::new();
        write!(line, "{}  {error}", error.code()).unwrap();
        lines.insert(line);
        codes.insert(error.code());
    }
}

fn collect() -> (BTreeSet<String>, BTreeSet<Code>) {
    let (mut lines, mut codes) = (BTreeSet::new(), BTreeSet::new());
    add(&plan_errors(), &mut lines, &mut codes);
    add(&pipes_errors(), &mut lines, &mut codes);
    add(&hooks_errors(), &mut lines, &mut codes);
    add(&input_errors(), &mut lines, &mut codes);
    add(&[invalid_overlay()], &mut lines, &mut codes);
    add(&overlay_errors(), &mut lines, &mut codes);
    add(&left_out_links(), &mut lines, &mut codes);
    add(&left_out_contexts(), &mut lines, &mut codes);
    add(&profile_errors(), &mut lines, &mut codes);
    (lines, codes)
}

#[test]
fn messages_are_those_of_the_snapshot() {
    let (messages, _) = collect();
    snapshot::check(&messages, |line| line.starts_with("BL1"), "-p bootlace-core --test messages");
}

#[test]
fn every_code_has_a_message() {
    let (_, codes) = collect();
    let missing: Vec<_> = Code::ALL
        .iter()
        .filter(|code| code.as_str().starts_with("BL1"))
        .filter(|code| !codes.contains(code) && !OF_ADMISSION.contains(code))
        .collect();
    assert!(missing.is_empty(), "no message has the code of {missing:?}");
}

#[test]
fn the_launcher_has_the_same_codes() {
    use bootlace_launch::code::Code as LauncherCode;

    let launcher: Vec<_> =
        LauncherCode::ALL.iter().map(|code| (code.as_str(), format!("{code:?}"))).collect();
    let codes = Code::ALL.iter().map(|code| (code.as_str(), format!("{code:?}")));
    let expected: Vec<_> = codes.filter(|(code, _)| code.starts_with("BL7")).collect();
    assert_eq!(launcher, expected, "launch/src/code.rs and core/src/code.rs");
}

#[test]
fn every_code_has_a_section_in_the_docs() {
    let page =
        std::fs::read_to_string(Path::new(env!("BOOTLACE_ROOT")).join("docs/troubleshooting.md")).unwrap();
    let sections: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let expected: Vec<_> =
        Code::ALL.iter().map(|code| format!("{code}: {}", code.title().trim_end_matches('.'))).collect();
    assert_eq!(
        sections, expected,
        "docs/troubleshooting.md has one section for each code, in the order of their numbers"
    );
}
