//! The objects, and the settings of a test.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::Slow;
use crate::path::ResourcePath;
use crate::responses::{Response, failure};

/// The state of the server.
#[derive(Default)]
pub(crate) struct State {
    objects: BTreeMap<String, Arc<Value>>,
    /// All changes in their order. The version of an object is the number of changes after its last change.
    pub(crate) changes: Vec<Change>,
    pub(crate) requests: Vec<String>,
    pub(crate) writes: BTreeMap<String, usize>,
    pub(crate) failures: Vec<Failure>,
    /// A part of a path, and the status and message for requests that create an object there.
    pub(crate) refused: Option<(&'static str, u16, &'static str)>,
    /// A field of the spec that is dropped when an object is written.
    pub(crate) dropped_field: Option<&'static str>,
    pub(crate) is_silent: bool,
    pub(crate) slow: Option<Slow>,
}

/// Requests that fail.
pub(crate) struct Failure {
    /// The beginning of their paths.
    pub(crate) path: String,
    pub(crate) code: u16,
}

/// A change of an object.
#[derive(Clone)]
pub(crate) struct Change {
    pub(crate) path: String,
    /// The object before the change; `None` if it was created.
    pub(crate) before: Option<Arc<Value>>,
    /// The object after the change; `None` if it was deleted.
    pub(crate) after: Option<Arc<Value>>,
}

/// Which objects of a collection a request selects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selector {
    /// The fields, by their paths, and the values that they must have.
    fields: Vec<(String, String)>,
    /// The labels that must exist, and their values if these must be equal.
    labels: Vec<(String, Option<String>)>,
}

impl Selector {
    /// Parses the parameters of a request.
    pub(crate) fn parse(query: &BTreeMap<String, String>) -> Self {
        let field = |field: &str| {
            let (path, value) = field.split_once('=').expect("a selector of equal values");
            (path.to_owned(), value.to_owned())
        };
        let fields = query.get("fieldSelector").map(|fields| fields.split(',').map(field).collect());
        let label = |label: &str| match label.split_once('=') {
            Some((label, value)) => (label.to_owned(), Some(value.to_owned())),
            None => (label.to_owned(), None),
        };
        let labels = query.get("labelSelector").map(|labels| labels.split(',').map(label).collect());
        Self { fields: fields.unwrap_or_default(), labels: labels.unwrap_or_default() }
    }

    /// Whether it selects an object.
    pub(crate) fn matches(&self, object: &Value) -> bool {
        let metadata = &object["metadata"];
        let has_label = |(label, value): &(String, Option<String>)| {
            let found = metadata["labels"].get(label).and_then(Value::as_str);
            found.is_some_and(|found| value.as_ref().is_none_or(|value| value == found))
        };
        let has_field = |(path, value): &(String, String)| {
            path.split('.').fold(object, |object, field| &object[field]) == value.as_str()
        };
        self.fields.iter().all(has_field) && self.labels.iter().all(has_label)
    }
}

impl State {
    pub(crate) fn get(&self, path: &str) -> Option<&Value> {
        self.objects.get(path).map(|object| &**object)
    }

    pub(crate) fn all(&self, resource: &str) -> Vec<Value> {
        let is_of = |path: &str| ResourcePath::parse(path).is_some_and(|path| path.resource == resource);
        let objects = self.objects.iter().filter(|(path, _)| is_of(path));
        objects.map(|(_, object)| Value::clone(object)).collect()
    }

    /// Creates or replaces an object, with the metadata that the server sets.
    pub(crate) fn write(&mut self, path: &str, mut object: Value) -> Value {
        let version = self.changes.len() + 1;
        if let Some(parsed) = ResourcePath::parse(path) {
            if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
                spec.retain(|field, _| self.dropped_field != Some(field));
            }
            let before = self.get(path).map(|object| object["metadata"].clone());
            let (uid, created) = match before {
                Some(before) => (before["uid"].clone(), before["creationTimestamp"].clone()),
                None => (json!(format!("u-{version}")), json!("2026-11-21T10:00:00Z")),
            };
            let metadata = &mut object["metadata"];
            if let Some(namespace) = parsed.namespace {
                metadata["namespace"] = json!(namespace);
            }
            metadata["uid"] = uid;
            metadata["creationTimestamp"] = created;
            metadata["resourceVersion"] = json!(version.to_string());
        }
        let after = Arc::new(object.clone());
        let before = self.objects.insert(path.to_owned(), Arc::clone(&after));
        self.changes.push(Change { path: path.to_owned(), before, after: Some(after) });
        object
    }

    /// Deletes an object, if it exists.
    pub(crate) fn remove(&mut self, path: &str) -> Option<Value> {
        let object = self.objects.remove(path)?;
        self.changes.push(Change { path: path.to_owned(), before: Some(Arc::clone(&object)), after: None });
        Some(Value::clone(&object))
    }

    pub(crate) fn delete_with_grace(&mut self, path: &str) {
        let mut object = self.get(path).cloned().expect("the object exists");
        object["metadata"]["deletionTimestamp"] = json!("2026-11-21T10:00:30Z");
        self.write(path, object);
    }

    pub(crate) fn collect_garbage(&mut self) {
        loop {
            let uids: Vec<_> =
                self.objects.values().map(|object| object["metadata"]["uid"].clone()).collect();
            let is_garbage = |object: &Value| {
                let owners = object["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
                !owners.is_empty() && !owners.iter().any(|owner| uids.contains(&owner["uid"]))
            };
            let garbage = self.objects.iter().filter(|(_, object)| is_garbage(object));
            let garbage: Vec<_> = garbage.map(|(path, _)| path.clone()).collect();
            if garbage.is_empty() {
                return;
            }
            for path in garbage {
                self.remove(&path);
            }
        }
    }

    /// The object, if it fulfils the preconditions.
    pub(crate) fn check(&self, path: &str, expected: &Value) -> Result<Value, Box<Response>> {
        let object = self.get(path).ok_or_else(|| Box::new(failure(404, &not_found(path))))?;
        for field in ["uid", "resourceVersion"] {
            if !expected[field].is_null() && expected[field] != object["metadata"][field] {
                return Err(failure(409, "the object has been modified").into());
            }
        }
        Ok(object.clone())
    }

    /// A page of a collection.
    pub(crate) fn list(&self, collection: &ResourcePath<'_>, query: &BTreeMap<String, String>) -> Value {
        let selector = Selector::parse(query);
        let is_in = |path: &str| ResourcePath::parse(path).is_some_and(|object| collection.contains(&object));
        let from = query.get("continue").map_or("", String::as_str);
        let after = (Bound::Excluded(from), Bound::Unbounded);
        let items = self.objects.range::<str, _>(after);
        let mut items = items.filter(|(path, object)| is_in(path) && selector.matches(object)).peekable();
        let limit = query.get("limit").map_or(usize::MAX, |limit| limit.parse().unwrap());
        let page: Vec<_> = items.by_ref().take(limit).collect();
        let mut metadata = json!({"resourceVersion": self.changes.len().to_string()});
        if let (Some((last, _)), Some(_)) = (page.last(), items.peek()) {
            metadata["continue"] = json!(last);
            if selector == Selector::default() {
                metadata["remainingItemCount"] = json!(items.count());
            }
        }
        let page: Vec<_> = page.iter().map(|(_, object)| &***object).collect();
        json!({"apiVersion": "v1", "kind": "List", "metadata": metadata, "items": page})
    }

    /// The review of a token. The token of a pod is its name, optionally after its namespace and before its
    /// UID.
    pub(crate) fn review(&self, token: &Value) -> Value {
        let text = token.as_str().unwrap();
        let (namespace, text) = text.split_once('/').unwrap_or(("etl", text));
        let (name, uid) = text.split_once(':').map_or((text, None), |(name, uid)| (name, Some(uid)));
        let Some(pod) = self.get(&format!("/api/v1/namespaces/{namespace}/pods/{name}")) else {
            return json!({"spec": {"token": token}, "status": {"authenticated": false}});
        };
        let uid = uid.map_or_else(|| pod["metadata"]["uid"].clone(), |uid| json!(uid));
        let extra = json!({
            "authentication.kubernetes.io/pod-name": [name], "authentication.kubernetes.io/pod-uid": [uid],
        });
        let user = json!({"username": format!("system:serviceaccount:{namespace}:runner"), "extra": extra});
        let status = json!({"authenticated": true, "audiences": ["bootlace"], "user": user});
        json!({"spec": {"token": token}, "status": status})
    }
}

/// The message of the server for an object that does not exist. It contains the quoted name of the object,
/// unlike that for a resource that does not exist.
pub(crate) fn not_found(path: &str) -> String {
    let (parent, name) = path.rsplit_once('/').unwrap_or_default();
    format!("{} {name:?} not found", parent.rsplit('/').next().unwrap_or_default())
}
