//! A page for a custom resource: every field with its type, default, limits and description.
//!
//! It is rendered from the CRD in the chart, which another test compares with the Rust types.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use crate::markdown::{anchor, cell, code, head, row};

/// The page for the resource `kind`, whose CRD is `charts/bootlace/crds/PLURAL.yaml`.
pub(crate) fn page(kind: &str, plural: &str) -> String {
    let path = Path::new(env!("BOOTLACE_ROOT")).join(format!("charts/bootlace/crds/{plural}.yaml"));
    let crd: Value = serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let version = crd.pointer("/spec/versions/0").unwrap();
    let mut page = head(kind, &format!("`charts/bootlace/crds/{plural}.yaml`"));
    let (group, name) = (text(&crd, "/spec/group"), text(version, "/name"));
    let scope = text(&crd, "/spec/scope").to_lowercase();
    let scope = if scope == "cluster" { "cluster-scoped" } else { "namespaced" };
    writeln!(page, "A `{kind}` is a {scope} resource of `{group}/{name}`.\n").unwrap();
    let schema = version.pointer("/schema/openAPIV3Schema").unwrap();
    let mut sections = Vec::new();
    for part in ["spec", "status"] {
        if let Some(schema) = schema.pointer(&format!("/properties/{part}")) {
            collect(part, schema, &mut sections);
        }
    }
    for section in &sections {
        write(&mut page, section, &sections);
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap()
}

/// An object that has fields, and the heading of its section.
struct Section<'v> {
    heading: String,
    schema: &'v Value,
    fields: &'v Map<String, Value>,
}

/// Adds a section for an object, and for the objects among its fields. Objects with equal fields share one.
fn collect<'v>(heading: &str, schema: &'v Value, sections: &mut Vec<Section<'v>>) {
    let Some(fields) = schema["properties"].as_object() else { return };
    if sections.iter().any(|section| section.fields == fields) {
        return;
    }
    sections.push(Section { heading: heading.to_owned(), schema, fields });
    for (name, field) in fields {
        let (path, field) = inner(&format!("{heading}.{name}"), field);
        collect(&path, field, sections);
    }
}

fn write(page: &mut String, section: &Section<'_>, sections: &[Section<'_>]) {
    let Section { heading, schema, fields } = section;
    writeln!(page, "## {heading}").unwrap();
    if let Some(description) = schema["description"].as_str() {
        writeln!(page, "{}\n", line(description)).unwrap();
    }
    *page += "| field | type | default | limits | description |\n|---|---|---|---|---|\n";
    let required: Vec<_> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, field) in *fields {
        let mut limits = limits(field);
        if required.contains(&name.as_str()) {
            limits.insert(0, "required".to_owned());
        }
        let default = match &field["default"] {
            Value::Null | Value::Object(_) => String::new(),
            value => code(&value.to_string()),
        };
        let description = cell(field["description"].as_str().unwrap_or_default());
        *page += &row(&[code(name), type_of(field, sections), default, limits.join(", "), description]);
    }
    page.push('\n');
    let rules: Vec<_> = schema["x-kubernetes-validations"].as_array().into_iter().flatten().collect();
    if !rules.is_empty() {
        *page += "The API server also checks:\n\n";
        for rule in rules {
            writeln!(page, "- {}", line(rule["message"].as_str().or(rule["rule"].as_str()).unwrap()))
                .unwrap();
        }
        page.push('\n');
    }
}

/// The type of a field, with a link to the section of an object.
fn type_of(field: &Value, sections: &[Section<'_>]) -> String {
    let (_, values) = inner("", field);
    let name = match values["type"].as_str() {
        Some("object") => {
            let section =
                sections.iter().find(|section| Some(section.fields) == values["properties"].as_object());
            section.map_or("object".to_owned(), |section| format!("[object](#{})", anchor(&section.heading)))
        }
        Some(name) => name.to_owned(),
        None if values["x-kubernetes-int-or-string"] == true => "integer or string".to_owned(),
        None => "any".to_owned(),
    };
    match field["type"].as_str() {
        Some("array") => format!("list of {name}"),
        Some("object") if field["additionalProperties"].is_object() => format!("map to {name}"),
        _ => name,
    }
}

/// A text on one line, for use outside of a table.
fn line(text: &str) -> String {
    cell(text).replace("\\|", "|")
}

/// The schema of the values of a list or map, or that of the field.
fn inner<'v>(path: &str, field: &'v Value) -> (String, &'v Value) {
    if field["items"].is_object() {
        (format!("{path}[]"), &field["items"])
    } else if field["additionalProperties"].is_object() {
        (format!("{path}.*"), &field["additionalProperties"])
    } else {
        (path.to_owned(), field)
    }
}

/// A limit, without the fraction `.0` that limits of integers have in the schema.
fn number(value: &Value) -> Option<String> {
    let text = (!value.is_null()).then(|| value.to_string())?;
    Some(text.strip_suffix(".0").map_or(text.clone(), str::to_owned))
}

fn limits(field: &Value) -> Vec<String> {
    let mut limits = Vec::new();
    let values = field["enum"].as_array().into_iter().flatten().filter(|value| !value.is_null());
    let values: Vec<_> = values.map(|value| code(value.as_str().unwrap_or(&value.to_string()))).collect();
    if !values.is_empty() {
        limits.push(values.join(", "));
    }
    for (least, most, unit) in [
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
        ("minProperties", "maxProperties", " entries"),
    ] {
        match (number(&field[least]), number(&field[most])) {
            (None, None) => {}
            (None, Some(most)) => limits.push(format!("at most {most}{unit}")),
            (Some(least), None) => limits.push(format!("at least {least}{unit}")),
            (Some(least), Some(most)) => limits.push(format!("{least} to {most}{unit}")),
        }
    }
    if let Some(pattern) = field["pattern"].as_str() {
        limits.push(code(pattern));
    }
    if field["items"].is_object() {
        let each = self::limits(&field["items"]);
        if !each.is_empty() {
            limits.push(format!("each: {}", each.join(", ")));
        }
    }
    let rules = field["x-kubernetes-validations"].as_array().into_iter().flatten();
    if !field["properties"].is_object() {
        limits.extend(rules.filter_map(|rule| rule["message"].as_str()).map(cell));
    }
    limits
}
