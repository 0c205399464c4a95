//! The merge keys of the lists in a pod, from the `OpenAPI` document of the API server.
//! `core/src/overlay/merge_keys.txt` has one line for each field that is a list with keys, a set, or an
//! object with such a list. All other lists are atomic.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

/// The types of the parts of a pod that an overlay can change.
const ROOTS: [&str; 2] = ["ObjectMeta", "PodSpec"];

/// A field whose value is not merged like a scalar or an atomic list.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Field {
    /// An object of this type.
    Object(String),
    /// A list of objects that are identified by keys, some of which have defaults.
    List { item: Option<String>, keys: Vec<String> },
    /// A list in which each value occurs once.
    Set,
}

/// The fields of each type.
#[derive(Debug, Default)]
pub(crate) struct MergeKeys(BTreeMap<String, BTreeMap<String, Field>>);

impl MergeKeys {
    /// Extracts the merge keys from the `OpenAPI` document of `/api/v1`.
    pub(crate) fn from_document(document: &Value) -> Self {
        let schemas = document["components"]["schemas"].as_object().expect("the document has schemas");
        let schemas: BTreeMap<_, _> = schemas.iter().map(|(name, schema)| (short(name), schema)).collect();
        let mut types = BTreeMap::new();
        let mut remaining: Vec<_> = ROOTS.map(str::to_owned).into();
        while let Some(name) = remaining.pop() {
            if types.contains_key(&name) {
                continue;
            }
            let properties = schemas[name.as_str()]["properties"].as_object();
            let fields = properties
                .into_iter()
                .flatten()
                .filter_map(|(name, schema)| Some((name.clone(), field(schema, &schemas)?)));
            let fields: BTreeMap<_, _> = fields.collect();
            remaining.extend(fields.values().filter_map(Field::type_name).map(str::to_owned));
            types.insert(name, fields);
        }
        let mut keys = Self(types);
        keys.prune();
        keys
    }

    /// Removes types that contain no list with keys and no set, and the fields of these types.
    fn prune(&mut self) {
        loop {
            let known: BTreeSet<_> = self
                .0
                .iter()
                .filter(|(_, fields)| !fields.is_empty())
                .map(|(name, _)| name.clone())
                .collect();
            let mut changed = false;
            for fields in self.0.values_mut() {
                fields.retain(|_, field| {
                    let keep = !matches!(field, Field::Object(name) if !known.contains(name));
                    changed |= !keep;
                    keep
                });
                for field in fields.values_mut() {
                    if let Field::List { item, .. } = field
                        && item.as_ref().is_some_and(|name| !known.contains(name))
                    {
                        *item = None;
                        changed = true;
                    }
                }
            }
            self.0.retain(|name, _| known.contains(name));
            if !changed {
                return;
            }
        }
    }
}

impl Field {
    fn type_name(&self) -> Option<&str> {
        match self {
            Self::Object(name) => Some(name),
            Self::List { item, .. } => item.as_deref(),
            Self::Set => None,
        }
    }
}

fn field(schema: &Value, schemas: &BTreeMap<&str, &Value>) -> Option<Field> {
    if schema["type"] != "array" {
        // Types that contain themselves do not occur in a pod.
        return reference(schema).map(|name| Field::Object(name.to_owned()));
    }
    let item = reference(&schema["items"]);
    let keys = |keys: &[&str]| {
        let properties = item.and_then(|item| schemas[item].get("properties"));
        let key = |key: &&str| match properties.map(|properties| &properties[*key]["default"]) {
            // The key must be set, and its default is that of the type in Go.
            Some(Value::String(default)) if !default.is_empty() => format!("{key}={default}"),
            _ => (*key).to_owned(),
        };
        keys.iter().map(key).collect()
    };
    let list = |keys| Some(Field::List { item: item.map(str::to_owned), keys });
    match schema["x-kubernetes-list-type"].as_str() {
        Some("map") => {
            let names = schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
            list(keys(&names.filter_map(Value::as_str).collect::<Vec<_>>()))
        }
        Some("set") => Some(Field::Set),
        // An older list may only have the markers of strategic merge patches.
        None if strategy(schema).contains("merge") => match schema["x-kubernetes-patch-merge-key"].as_str() {
            Some(key) => list(keys(&[key])),
            None => Some(Field::Set),
        },
        _ => None,
    }
}

fn strategy(schema: &Value) -> &str {
    schema["x-kubernetes-patch-strategy"].as_str().unwrap_or_default()
}

impl fmt::Display for MergeKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (type_, fields) in &self.0 {
            for (name, field) in fields {
                write!(f, "{type_}.{name}: ")?;
                match field {
                    Field::Object(name) => writeln!(f, "object {name}")?,
                    Field::List { item, keys } => {
                        writeln!(f, "list {} {}", item.as_deref().unwrap_or("-"), keys.join(","))?;
                    }
                    Field::Set => writeln!(f, "set")?,
                }
            }
        }
        Ok(())
    }
}

/// `io.k8s.api.core.v1.PodSpec` as `PodSpec`.
fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// The type that a schema refers to, directly or through `allOf`.
fn reference(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str()).map(short)
}
