//! The tables of schedulers in the docs, the tested pods in the guides, and the schema of the chart value
//! `schedulers.extra`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use bootlace_core::identity::Schedulers;
use bootlace_core::identity::spec::{
    Condition, ContainerRules, IdentityField, OwnerField, Rule, SchedulerSpec, TestedWith,
};
use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::UPDATE;
use crate::markdown::{cell, code, row};

const START: &str =
    "<!-- Generated from charts/bootlace/files/schedulers.yaml by `make references`. Do not edit. -->\n";
const END: &str = "<!-- End of the generated part. -->\n";
/// The generated definitions are the last ones of the schema. This is the first of them.
const FIRST_DEFINITION: &str = "    \"Condition\": {";

/// Compares a part of a file with `part`, or writes it. `split` returns what is before and after the part.
fn check_part(file: &str, part: &str, split: impl Fn(&str) -> Option<(&str, &str)>) {
    let path = Path::new(env!("BOOTLACE_ROOT")).join(file);
    let text = fs::read_to_string(&path).unwrap();
    let (before, after) = split(&text).unwrap_or_else(|| panic!("{file} has no generated part"));
    let expected = format!("{before}{part}{after}");
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, expected).unwrap();
        return;
    }
    assert!(text == expected, "{file} differs from the table: run `make references` and commit the result");
}

fn marked(text: &str) -> Option<(&str, &str)> {
    let start = text.find(START)? + START.len();
    let end = text.find(END).filter(|end| *end >= start)?;
    Some((text.get(..start)?, text.get(end..)?))
}

#[test]
fn the_tables_of_the_reference_match_the_schedulers() {
    check_part("docs/reference.md", &reference(), marked);
}

#[test]
fn the_table_of_the_readme_matches_the_schedulers() {
    let mut page = "\n| pods of | tasks in an opted-in namespace | tested with |\n|---|---|---|\n".to_owned();
    for spec in Schedulers::built_in().specs() {
        let title = linked(spec, "docs/schedulers");
        page += &row(&[title, opted_in(spec).to_owned(), tested(spec).to_owned()]);
    }
    check_part("README.md", &(page + "\n"), marked);
}

#[test]
fn the_schema_of_the_chart_matches_the_schedulers() {
    let mut generator = SchemaSettings::draft07().into_generator();
    generator.subschema_for::<SchedulerSpec>();
    let mut definitions: Vec<_> = generator.take_definitions(true).into_iter().collect();
    definitions.sort_by(|one, two| one.0.cmp(&two.0));
    let mut part = String::new();
    for (name, schema) in definitions {
        let schema: Value = serde_json::to_value(schema).unwrap();
        let text = serde_json::to_string_pretty(&schema).unwrap().replace('\n', "\n    ");
        if !part.is_empty() {
            part += ",\n";
        }
        write!(part, "    \"{name}\": {text}").unwrap();
    }
    assert!(part.starts_with(FIRST_DEFINITION), "{part}");
    check_part("charts/bootlace/values.schema.json", &(part + "\n  }\n}\n"), |text| {
        Some((text.get(..text.find(FIRST_DEFINITION)?)?, ""))
    });
}

/// Each guide states how Bootlace is tested with its entries.
#[test]
fn the_guides_match_the_schedulers() {
    let mut guides = BTreeMap::<_, String>::new();
    let schedulers = Schedulers::built_in();
    for spec in schedulers.specs() {
        let line = format!("- {}: {}\n", title(spec), tested(spec));
        guides.entry(guide(&spec.name)).or_default().push_str(&line);
    }
    for (name, lines) in guides {
        check_part(&format!("docs/schedulers/{name}.md"), &format!("\n{lines}\n"), marked);
    }
}

/// The name of the guide for an entry with this name.
pub(crate) fn guide(name: &str) -> &str {
    match name {
        "cronjob" | "job" => "jobs",
        "gitlab" => "gitlab-runner",
        "kubeflow-training" => "kubeflow",
        name => name,
    }
}

fn title(spec: &SchedulerSpec) -> String {
    cell(spec.title.as_deref().unwrap_or(&spec.name))
}

/// The title as a link to the guide, which is in `folder`.
fn linked(spec: &SchedulerSpec, folder: &str) -> String {
    format!("[{}]({folder}/{}.md)", title(spec), guide(&spec.name))
}

fn opted_in(spec: &SchedulerSpec) -> &'static str {
    if spec.opt_in { "yes" } else { "with the pod label only" }
}

fn tested(spec: &SchedulerSpec) -> &'static str {
    match spec.tested.unwrap() {
        TestedWith::RealClient => "its real client",
        TestedWith::CapturedPods => "captured pods",
        TestedWith::Source => "pods written according to its source",
    }
}

fn reference() -> String {
    let mut page =
        "\n| created by | `scheduler` | recognised by | task containers | owner of Pipes | tested with |\n"
            .to_owned();
    page += "|---|---|---|---|---|---|\n";
    for spec in Schedulers::built_in().specs() {
        let conditions: Vec<_> = spec.conditions.iter().map(condition).collect();
        let owners: Vec<_> = spec.run_owners.iter().map(|owner| code(&owner.kind)).collect();
        let mut recognised = conditions.join(", ");
        if !spec.opt_in {
            recognised += "; needs the pod label";
        }
        page += &row(&[
            linked(spec, "schedulers"),
            code(&spec.name),
            recognised,
            containers(spec),
            owners.join(", "),
            tested(spec).to_owned(),
        ]);
    }
    page += "\n| created by | `workflow` | `run` | `task` | `attempt` | `mapIndex` | `scheduledTime` |\n";
    page += "|---|---|---|---|---|---|---|\n";
    for spec in Schedulers::built_in().specs() {
        let mut cells = vec![linked(spec, "schedulers")];
        cells.extend(IdentityField::ALL.map(|field| {
            let rules: Vec<_> = spec.identity.rules(field).0.iter().map(rule).collect();
            let mut rules = rules.join(", or else ");
            if rules.is_empty() && spec.unknown.contains_key(&field) {
                "undefined".clone_into(&mut rules);
            }
            rules
        }));
        page += &row(&cells);
    }
    page + "\n"
}

fn condition(condition: &Condition) -> String {
    let Condition { label, annotation, env, container, owner, absent, value, contains, pattern } = condition;
    let named = |kind: &str, name: &str| match value {
        Some(value) => format!("{kind} {}", code(&format!("{name}={value}"))),
        None => format!("{kind} {}", code(name)),
    };
    let mut text = match (label, annotation, env, container, owner) {
        (Some(label), ..) => named(if *absent { "no label" } else { "label" }, label),
        (_, Some(annotation), ..) => named("annotation", annotation),
        (_, _, Some(env), ..) => named("env", env),
        (_, _, _, Some(container), _) => named("container", container),
        (_, _, _, _, Some(owner)) => named("owner", &owner.kind),
        _ => panic!("a condition has a field"),
    };
    if let Some(pattern) = contains.as_ref().or(pattern.as_ref()) {
        write!(text, " with {}", code(pattern)).unwrap();
    }
    text
}

fn containers(spec: &SchedulerSpec) -> String {
    let ContainerRules { annotation, names, prefix, all, index, ignore, .. } = &spec.containers;
    let mut parts = Vec::new();
    parts.extend(annotation.as_ref().map(|annotation| format!("annotation {}", code(annotation))));
    if !names.is_empty() {
        parts.push(names.iter().map(|name| code(name)).collect::<Vec<_>>().join(", "));
    }
    parts.extend(prefix.as_ref().map(|prefix| code(&format!("{prefix}*"))));
    if *all {
        parts.push("all".to_owned());
    }
    match index {
        Some(0) | None if !*all => parts.push("the first".to_owned()),
        Some(index) => parts.push(format!("index {index}")),
        None => {}
    }
    let mut text = parts.join(", or else ");
    if !ignore.is_empty() {
        let ignored: Vec<_> = ignore.iter().map(|name| code(name)).collect();
        write!(text, "; never {}", ignored.join(", ")).unwrap();
    }
    text
}

fn rule(rule: &Rule) -> String {
    let mut text = if let Some(label) = &rule.label {
        format!("label {}", code(label))
    } else if let Some(annotation) = &rule.annotation {
        format!("annotation {}", code(annotation))
    } else if let Some(env) = &rule.env {
        format!("env {}", code(env))
    } else if let Some(owner) = rule.owner {
        match owner {
            OwnerField::Name => "name of the owner".to_owned(),
            OwnerField::Uid => "UID of the owner".to_owned(),
        }
    } else if rule.pod.is_some() {
        "name of the pod".to_owned()
    } else {
        "command line".to_owned()
    };
    if let Some(container) = &rule.container {
        write!(text, " of {}", code(container)).unwrap();
    }
    if rule.value.is_some() || rule.code.is_some() {
        return format!("from {text}");
    }
    if rule.pattern.is_some() || rule.after_label.is_some() {
        return format!("part of {text}");
    }
    text
}
