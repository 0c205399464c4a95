//! The hand-written pages contain every name, exit code and event reason that the code defines.

use std::fs;
use std::path::Path;

use bootlace::monitor::launch::verdict::Failure;
use bootlace::store_client::protocol::EventKind;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("BOOTLACE_ROOT")).join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The constants `NAME: TYPE = VALUE` of a source file.
fn constants<'s>(source: &'s str, type_: &'static str) -> impl Iterator<Item = (&'s str, &'s str)> {
    source.lines().filter_map(move |line| {
        let (name, rest) = line.split_once("const ")?.1.split_once(": ")?;
        let value = rest.strip_prefix(type_)?.strip_prefix(" = ")?.strip_suffix(';')?;
        Some((name, value))
    })
}

#[test]
fn every_label_annotation_container_volume_and_env_is_documented() {
    let pages = ["reference.md", "boot-images.md", "certificates.md"]
        .map(|name| read(&format!("docs/{name}")))
        .concat();
    let source = read(NAMES);
    let kinds = ["LABEL_", "ANNOTATION_", "CONTAINER_", "VOLUME", "ENV_", "EVENT_CONTROLLER", "MOUNT"];
    let mut names = 0;
    for (name, value) in constants(&source, "&str") {
        // Others refer to a constant of the launcher.
        let Some(value) = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) else { continue };
        if kinds.iter().any(|kind| name.starts_with(kind)) && value.to_lowercase().contains("bootlace") {
            assert!(pages.contains(value), "no page in docs contains {value} ({name} of {NAMES})");
            names += 1;
        }
    }
    assert!(names > 30, "only {names} names were found in {NAMES}");
}

#[test]
fn every_exit_code_is_documented() {
    let section = |page: &str, heading: &str| {
        let page = read(page);
        let section = page.split(heading).nth(1).unwrap_or_else(|| panic!("no {heading:?}")).to_owned();
        section.split("\n## ").next().unwrap().to_owned()
    };
    let launcher = section("docs/reference.md", "\n## Launcher exit codes\n")
        + &section("docs/boot-images.md", "\n### Exit codes\n");
    let boot = section("docs/sources.md", "\n## Boot exit codes\n");
    for (source, docs) in [("launch/src/exit.rs", launcher), ("src/boot/error/mod.rs", boot)] {
        let text = read(source);
        let codes: Vec<_> = constants(&text, "u8").collect();
        assert!(codes.len() > 4, "only {codes:?} in {source}");
        for (name, code) in codes {
            // 1 is the exit code of the hook, which the kubelet reports.
            let documented =
                docs.contains(&format!("| {code} |")) || docs.contains(&format!("{code} ")) || code == "1";
            assert!(
                documented || docs.contains(&format!("{code},")),
                "exit code {code} ({name} of {source}) is not documented"
            );
        }
    }
}

#[test]
fn every_reason_and_condition_of_the_monitor_is_documented() {
    let (reference, page) = (read("docs/reference.md"), read("docs/monitor.md"));
    for failure in [
        Failure::Schedule { seconds: 1 },
        Failure::Start { seconds: 1 },
        Failure::Sidecar { container: String::new() },
    ] {
        let (type_, status) = failure.condition();
        assert!(reference.contains(&format!("| `{}` |", failure.reason())), "{failure:?}");
        assert!(reference.contains(&format!("`{type_}`")), "{failure:?}");
        assert!(page.contains(&format!("| `{}` | `{type_}={status}` |", failure.reason())), "{failure:?}");
    }
}

#[test]
fn every_event_reason_is_documented() {
    let reference = read("docs/reference.md");
    for kind in [
        EventKind::Booted,
        EventKind::Failed,
        EventKind::OutputsNotStored,
        EventKind::WaitFailed,
        EventKind::Aborted,
        EventKind::AbortFailed,
        EventKind::HookFailed,
    ] {
        // A new kind does not compile here until the list contains it.
        match kind {
            EventKind::Booted
            | EventKind::Failed
            | EventKind::OutputsNotStored
            | EventKind::WaitFailed
            | EventKind::Aborted
            | EventKind::AbortFailed
            | EventKind::HookFailed => {}
        }
        assert!(reference.contains(&format!("| `{}` |", kind.reason())), "{kind:?}");
    }
}

const NAMES: &str = "core/src/names.rs";
