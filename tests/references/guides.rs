//! The guides in `docs/schedulers`: the index lists them all, their YAML can be parsed, their tables are
//! those of real pods, and their commands without a cluster work.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bootlace_core::identity::Schedulers;
use bootlace_core::identity::spec::IdentityField;
use bootlace_core::pod::Pod;
use serde_json::Value;

use crate::markdown::code;
use crate::schedulers::guide;

fn root() -> &'static Path {
    Path::new(env!("BOOTLACE_ROOT"))
}

/// The guides by name, without the index.
fn guides() -> BTreeMap<String, String> {
    let mut guides = BTreeMap::new();
    for entry in fs::read_dir(root().join("docs/schedulers")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        guides.insert(name, fs::read_to_string(path).unwrap());
    }
    assert!(guides.remove("README").is_some());
    guides
}

fn index() -> String {
    fs::read_to_string(root().join("docs/schedulers/README.md")).unwrap()
}

#[test]
fn each_scheduler_has_a_guide_and_the_index_lists_it() {
    let expected: BTreeSet<_> =
        Schedulers::built_in().specs().map(|spec| guide(&spec.name).to_owned()).collect();
    assert_eq!(guides().into_keys().collect::<BTreeSet<_>>(), expected);
    let index = index();
    let listed: BTreeSet<_> = index
        .lines()
        .filter_map(|line| {
            Some(line.strip_prefix("| [")?.split_once("](")?.1.split_once(".md)")?.0.to_owned())
        })
        .collect();
    assert_eq!(listed, expected);
}

/// The blocks of code in `language`, without their indentation.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if line.trim_start().strip_prefix("```") == Some(language) {
            let indentation = line.len() - line.trim_start().len();
            let block = lines.by_ref().take_while(|line| !line.trim_start().starts_with("```"));
            blocks.push(
                block.map(|line| line.get(indentation..).unwrap_or_default().to_owned() + "\n").collect(),
            );
        }
    }
    blocks
}

#[test]
fn the_yaml_of_the_guides_can_be_parsed() {
    let mut count = 0;
    for (name, page) in guides() {
        for block in blocks(&page, "yaml") {
            let parsed: Result<Value, _> = serde_saphyr::from_str(&block);
            assert!(parsed.is_ok_and(|value| !value.is_null()), "{name}: invalid YAML:\n{block}");
            count += 1;
        }
    }
    assert!(count > 20, "only {count} blocks");
}

/// The cells of a row of a table.
fn cells(line: &str) -> Vec<&str> {
    line.trim().trim_matches('|').split(" | ").map(str::trim).collect()
}

/// The pod that a heading of a table links to.
fn linked_pod(heading: &str) -> Value {
    let file = heading.split_once("](").and_then(|(_, file)| file.strip_suffix(')')).expect(heading);
    let path: PathBuf = root().join("docs/schedulers").join(file);
    serde_json::from_str(&fs::read_to_string(&path).expect(file)).unwrap()
}

/// A row is: template, description, the values for the pods that the heading links to.
#[test]
fn the_tables_contain_the_identity_of_the_pods() {
    let schedulers = Schedulers::built_in();
    for (name, page) in guides() {
        let (heading, table) = page.split_once("| template | value | ").expect(&name);
        assert!(heading.contains("\n## Identity\n"), "{name}");
        let mut lines = table.lines();
        let pods: Vec<_> = cells(lines.next().unwrap()).into_iter().map(linked_pod).collect();
        assert!(!pods.is_empty(), "{name}");
        for (field, line) in IdentityField::ALL.into_iter().zip(lines.skip(1)) {
            let [template, description, values @ ..] = &cells(line)[..] else { panic!("{name}: {line}") };
            assert_eq!(*template, format!("`{{{{ {} }}}}`", field.as_str()), "{name}");
            assert_eq!(values.len(), pods.len(), "{name}: {line}");
            for (pod, value) in pods.iter().zip(values) {
                let json = pod.into();
                let pod = Pod::read(&json).unwrap();
                let spec = schedulers.detect(&pod).expect(&name);
                assert_eq!(guide(spec.name()), name);
                let identity = serde_json::to_value(schedulers.identify(&pod)).unwrap();
                let expected = identity.get(field.as_str()).and_then(Value::as_str);
                let expected = expected.map_or_else(|| "undefined".to_owned(), code);
                assert_eq!(*value, expected, "{name}: {template}");
                if let Some(reason) = spec.unknown(field) {
                    assert!(description.contains(reason), "{name}: {template}: add {reason:?}");
                }
            }
        }
    }
}

/// Labels and annotations of Bootlace in the guides.
#[test]
fn the_guides_only_use_names_that_exist() {
    let names = fs::read_to_string(root().join("core/src/names.rs")).unwrap();
    let pages: Vec<_> = guides().into_values().chain([index()]).collect();
    let mut found = BTreeSet::new();
    for page in &pages {
        for (start, prefix) in page.match_indices("bootlace.dev/") {
            let rest = page.get(start + prefix.len()..).unwrap();
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(rest.len());
            found.insert(rest.get(..end).unwrap());
        }
    }
    assert!(found.len() > 5, "{found:?}");
    for name in found {
        // The version of the API.
        let exists = name == "v1alpha1" || names.contains(&format!("\"bootlace.dev/{name}\""));
        assert!(exists, "bootlace.dev/{name} is not in core/src/names.rs");
    }
}

/// `bootlace explain` in blocks of shell commands.
#[test]
fn the_commands_of_the_guides_work() {
    let pages: Vec<_> = guides().into_values().chain([index()]).collect();
    let blocks: Vec<_> = pages.iter().flat_map(|page| blocks(page, "sh")).collect();
    let lines = blocks.iter().flat_map(|block| block.lines());
    let commands: Vec<_> = lines.filter_map(|line| line.strip_prefix("bootlace ")).collect();
    assert!(!commands.is_empty());
    for command in commands {
        let mut bootlace = Command::new(env!("CARGO_BIN_EXE_bootlace"));
        for name in ["BOOTLACE_PROFILES", "BOOTLACE_BOOT_IMAGE"] {
            bootlace.env_remove(name);
        }
        let output = bootlace.args(command.split_whitespace()).current_dir(root()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && text.contains(" is injected\n"),
            "bootlace {command}: {text}{error}"
        );
    }
}
