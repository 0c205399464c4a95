//! How the API merges the fields of a pod, from a table that is generated from its `OpenAPI` document.
//!
//! The table contains what is not merged like an object, a scalar or an atomic list. To update it for a newer
//! Kubernetes:
//!
//! ```sh
//! kubectl get --raw /openapi/v3/api/v1 |
//!   cargo run -p bootlace-core --example merge_keys > core/src/overlay/merge_keys.txt
//! ```
//!
//! The scenario `overlays` compares it with the API server of the test cluster.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

use crate::pod::{Fields, Json};

const TABLE: &str = include_str!("merge_keys.txt");

/// Fields that the API merges as atomic lists, although their order has no meaning and their elements do not
/// depend on each other. The API server sets tolerations on every pod before it calls webhooks, so no overlay
/// could add one if they were atomic.
const SETS: [(&str, &str); 1] = [("PodSpec", "tolerations")];

/// How a field is merged.
#[derive(Debug, Clone, Copy)]
pub(super) enum Merge {
    /// Field by field, if it is an object. Any other value, such as an atomic list, is kept or replaced.
    Fields(Type),
    /// Element by element: a list of objects with keys.
    Keyed(&'static KeyedList),
    /// Elements that are not present are added.
    Set,
}

/// A list of objects that are identified by keys.
#[derive(Debug)]
pub(super) struct KeyedList {
    item: Option<Box<str>>,
    pub(super) keys: Vec<Key>,
}

/// A field that identifies an object in a list.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: Box<str>,
    default: Option<Box<str>>,
}

/// The type of an object. Most types are not in the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Type(Option<&'static BTreeMap<Box<str>, Field>>);

#[derive(Debug)]
enum Field {
    Object(Box<str>),
    List(KeyedList),
    Set,
}

type Table = BTreeMap<Box<str>, BTreeMap<Box<str>, Field>>;

static TYPES: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table::new();
    // A test parses the same text.
    for (type_, name, field) in TABLE.lines().filter_map(parse) {
        table.entry(type_.into()).or_default().insert(name.into(), field);
    }
    for (type_, name) in SETS {
        table.entry(type_.into()).or_default().insert(name.into(), Field::Set);
    }
    let object = |name: &str, type_: &str| (name.into(), Field::Object(type_.into()));
    table.insert("Pod".into(), [object("metadata", "ObjectMeta"), object("spec", "PodSpec")].into());
    table
});

/// Parses `Type.field: object Type`, `Type.field: list Type key,key=default` or `Type.field: set`.
fn parse(line: &str) -> Option<(&str, &str, Field)> {
    let (place, field) = line.split_once(": ")?;
    let (type_, name) = place.split_once('.')?;
    let mut words = field.split(' ');
    let field = match words.next()? {
        "object" => Field::Object(words.next()?.into()),
        "list" => {
            let item = words.next().filter(|item| *item != "-").map(Box::from);
            let key = |key: &str| match key.split_once('=') {
                Some((name, default)) => Key { name: name.into(), default: Some(default.into()) },
                None => Key { name: key.into(), default: None },
            };
            Field::List(KeyedList { item, keys: words.next()?.split(',').map(key).collect() })
        }
        "set" => Field::Set,
        _ => return None,
    };
    Some((type_, name, field))
}

impl Type {
    /// A type of which nothing is known.
    pub(super) const UNKNOWN: Self = Self(None);

    pub(super) fn pod() -> Self {
        Self::named("Pod")
    }

    /// The type of a container.
    pub(super) fn container() -> Self {
        Self::named("Container")
    }

    fn named(name: &str) -> Self {
        Self(TYPES.get(name))
    }

    /// How a field is merged.
    pub(super) fn field(self, name: &str) -> Merge {
        match self.0.and_then(|fields| fields.get(name)) {
            None => Merge::Fields(Self::UNKNOWN),
            Some(Field::Object(type_)) => Merge::Fields(Self::named(type_)),
            Some(Field::List(list)) => Merge::Keyed(list),
            Some(Field::Set) => Merge::Set,
        }
    }
}

impl Merge {
    /// How the value at `token` is merged, which is a field of an object or an index of a list.
    pub(super) fn at(self, token: &str) -> Self {
        match self {
            Self::Fields(type_) => type_.field(token),
            Self::Keyed(list) => Self::Fields(list.item_type()),
            Self::Set => Self::Fields(Type::UNKNOWN),
        }
    }
}

impl KeyedList {
    /// The type of the elements.
    pub(super) fn item_type(&self) -> Type {
        self.item.as_deref().map_or(Type::UNKNOWN, Type::named)
    }

    /// The position of the element that has the same keys as `value`.
    pub(super) fn find(&self, elements: &[Json<'_>], value: &Value) -> Option<usize> {
        let Value::Object(wanted) = value else { return None };
        elements.iter().position(|element| {
            element.as_object().is_some_and(|element| {
                self.keys.iter().all(|key| key.is_same(element, wanted.get(&*key.name)))
            })
        })
    }

    /// The keys of an element, for messages: `containerPort 80, protocol UDP`, or only the value of a single
    /// key.
    pub(super) fn describe(&self, value: &Value) -> String {
        let text = |key: &Key| match value.get(&*key.name) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => key.default.as_deref().unwrap_or_default().to_owned(),
        };
        match &*self.keys {
            [key] => text(key),
            keys => {
                keys.iter().map(|key| format!("{} {}", key.name, text(key))).collect::<Vec<_>>().join(", ")
            }
        }
    }
}

impl Key {
    /// Whether an element can omit it.
    pub(super) fn has_default(&self) -> bool {
        self.default.is_some()
    }

    /// Whether an element has this value of the key, or both have the default.
    fn is_same(&self, element: &Fields<'_>, wanted: Option<&Value>) -> bool {
        let default = self.default.as_deref();
        match (element.get(&self.name), wanted) {
            (Some(Json::String(held)), Some(Value::String(wanted))) => held == wanted,
            (Some(Json::Number(held)), Some(Value::Number(wanted))) => held == wanted,
            (None, Some(Value::String(text))) => Some(text.as_str()) == default,
            (Some(Json::String(text)), None) => Some(&**text) == default,
            (None, None) => default.is_some(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_line_of_the_table_is_understood() {
        assert!(TABLE.lines().count() > 20);
        for line in TABLE.lines() {
            assert!(parse(line).is_some(), "{line}");
        }
        let types: Vec<_> = TYPES.values().flat_map(BTreeMap::values).collect();
        for field in types {
            let name = match field {
                Field::Object(name) => Some(name),
                Field::List(list) => list.item.as_ref(),
                Field::Set => None,
            };
            assert!(name.is_none_or(|name| TYPES.contains_key(name)), "{field:?}");
        }
    }

    fn merge(path: &[&str]) -> Merge {
        path.iter().fold(Merge::Fields(Type::pod()), |merge, token| merge.at(token))
    }

    #[test]
    fn lists_have_the_keys_of_the_api() {
        let keys = |path: &[&str]| match merge(path) {
            Merge::Keyed(list) => list.keys.iter().map(|key| &*key.name).collect::<Vec<_>>().join(","),
            Merge::Set => "set".to_owned(),
            Merge::Fields(_) => String::new(),
        };
        for (path, expected) in [
            (&["spec", "containers"][..], "name"),
            (&["spec", "containers", "0", "env"], "name"),
            (&["spec", "initContainers", "0", "volumeMounts"], "mountPath"),
            (&["spec", "containers", "0", "ports"], "containerPort,protocol"),
            (&["spec", "volumes"], "name"),
            (&["spec", "tolerations"], "set"),
            (&["spec", "containers", "0", "args"], ""),
            (&["spec", "fieldOfTheFuture", "list"], ""),
            (&["metadata", "finalizers"], "set"),
        ] {
            assert_eq!(keys(path), expected, "{path:?}");
        }
    }

    #[test]
    fn an_element_is_found_by_its_keys_and_their_defaults() {
        let Merge::Keyed(ports) = merge(&["spec", "containers", "0", "ports"]) else { panic!("a list") };
        let held = json!([{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53}]);
        let Json::Array(held) = Json::from(&held) else { panic!("a list") };
        for (wanted, position) in [
            (json!({"containerPort": 53}), Some(1)),
            (json!({"containerPort": 53, "protocol": "TCP"}), Some(1)),
            (json!({"containerPort": 53, "protocol": "UDP"}), Some(0)),
            (json!({"containerPort": 80}), None),
            (json!("53"), None),
        ] {
            assert_eq!(ports.find(&held, &wanted), position, "{wanted}");
        }
        assert_eq!(ports.describe(&json!({"containerPort": 53})), "containerPort 53, protocol TCP");
    }
}
