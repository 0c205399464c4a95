//! The fields of a pod spec, from the `OpenAPI` document of the API server. `fields.txt` has one line for
//! each type.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

/// The type of a pod spec in the `OpenAPI` document.
const ROOT: &str = "PodSpec";

/// The fields of each type. If a field is an object, or a list or map of objects, also its type.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(BTreeMap<String, BTreeMap<String, Option<String>>>);

impl Fields {
    /// Parses the format of [`Self::fmt`].
    pub(crate) fn parse(text: &str) -> Self {
        let field = |field: &str| match field.split_once('=') {
            Some((name, kind)) => (name.to_owned(), Some(kind.to_owned())),
            None => (field.to_owned(), None),
        };
        let line = |line: &str| {
            let (kind, fields) = line.split_once(": ").unwrap_or_else(|| panic!("no type in {line:?}"));
            (kind.to_owned(), fields.split(", ").map(field).collect())
        };
        Self(text.lines().map(line).collect())
    }

    /// Extracts the fields from the `OpenAPI` document of `/api/v1`.
    #[allow(dead_code, reason = "used by the scenario, which has an API server")]
    pub(crate) fn from_document(document: &Value) -> Self {
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let by_name: BTreeMap<_, _> = schemas.iter().map(|(name, schema)| (short(name), schema)).collect();
        let mut fields = Self::default();
        let mut remaining = vec![ROOT.to_owned()];
        while let Some(kind) = remaining.pop() {
            let Some(properties) = by_name[kind.as_str()]["properties"].as_object() else { continue };
            if fields.0.contains_key(&kind) {
                continue;
            }
            let kinds = properties.iter().map(|(field, schema)| {
                let kind = reference(schema).filter(|kind| by_name[*kind].get("properties").is_some());
                (field.clone(), kind.map(str::to_owned))
            });
            let kinds: BTreeMap<_, _> = kinds.collect();
            remaining.extend(kinds.values().flatten().cloned());
            fields.0.insert(kind, kinds);
        }
        fields
    }

    /// All fields, as `Type.field`.
    #[allow(dead_code, reason = "used offline")]
    pub(crate) fn all(&self) -> BTreeSet<String> {
        let qualified = |(kind, fields): (&String, &BTreeMap<String, _>)| {
            fields.keys().map(|field| format!("{kind}.{field}")).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(qualified).collect()
    }

    /// Adds the fields that `spec` sets to `set`, as `Type.field`.
    ///
    /// # Errors
    /// If it sets a field that the API does not have. The error contains its path.
    pub(crate) fn set_by(&self, spec: &Value, set: &mut BTreeSet<String>) -> Result<(), String> {
        self.walk(ROOT, spec, "spec", set)
    }

    fn walk(&self, kind: &str, value: &Value, path: &str, set: &mut BTreeSet<String>) -> Result<(), String> {
        if let Some(items) = value.as_array() {
            return items.iter().try_for_each(|item| self.walk(kind, item, &format!("{path}[]"), set));
        }
        for (field, value) in value.as_object().ok_or_else(|| format!("{path} is not an object"))? {
            let path = format!("{path}.{field}");
            let field_kind =
                self.0[kind].get(field).ok_or_else(|| format!("{path} is not a field of the API"))?;
            set.insert(format!("{kind}.{field}"));
            if let Some(kind) = field_kind {
                self.walk(kind, value, &path, set)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, fields) in &self.0 {
            let field = |(name, kind): (&String, &Option<String>)| match kind {
                Some(kind) => format!("{name}={kind}"),
                None => name.clone(),
            };
            writeln!(f, "{kind}: {}", fields.iter().map(field).collect::<Vec<_>>().join(", "))?;
        }
        Ok(())
    }
}

/// `io.k8s.api.core.v1.PodSpec` as `PodSpec`.
fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// The type that a property refers to: directly, through `allOf`, or as the items of a list or the values of
/// a map.
fn reference(schema: &Value) -> Option<&str> {
    let inner = [&schema["allOf"][0], &schema["items"], &schema["additionalProperties"]];
    match schema["$ref"].as_str() {
        Some(reference) => Some(short(reference)),
        None => inner.into_iter().find_map(|inner| inner.is_object().then(|| reference(inner)).flatten()),
    }
}
