//! What the pod's own spec sets, but under names or on conditions that are not known at admission: `envFrom`, and
//! keys of objects that may be missing.
//!
//! The boot container is given the same, under a prefix of ours: the kubelet resolves it as it will for the task
//! container, and boot finds the names in its own env. So the pod's variables win over boot's whatever they are
//! called, and nobody needs a right to read the objects. Boot looks at no value.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::names;
use crate::pod::{Container, List, WrongType};
use crate::profile::spec::Position;

/// What the boot container gets of the task containers' env.
#[derive(Debug, Default, PartialEq)]
pub(super) struct EnvFromMirror {
    /// The start of the names by container, for containers that have something here.
    pub(super) prefixes: BTreeMap<String, String>,
    /// What goes into its `env`.
    pub(super) env: Vec<Value>,
    /// What goes into its `envFrom`.
    pub(super) env_from: Vec<Value>,
}

/// What is held for `containers` where boot stands at `position`.
pub(super) fn of(containers: &[&Container<'_>], position: Position) -> Result<EnvFromMirror, WrongType> {
    let mut held = EnvFromMirror::default();
    for container in containers {
        // Both lists count from 0.
        let list = match container.list {
            List::App => "",
            List::Init => "INIT_",
        };
        let prefix = format!("{}{list}{}_", names::ENV_HELD_PREFIX, container.index);
        let before = held.env.len() + held.env_from.len();
        for source in container.env_from()? {
            // Of an init container that comes after boot the pod may expect that it makes the object: boot must
            // not wait for it.
            let optional = source.optional || position == Position::First;
            let prefix = format!("{prefix}{}", source.prefix);
            let mut object = serde_json::Map::from_iter([("name".to_owned(), source.name.into())]);
            if optional {
                object.insert("optional".to_owned(), true.into());
            }
            held.env_from.push(json!({"prefix": prefix, (source.field): object}));
        }
        for variable in container.variables() {
            if let Some(from) = variable.optional {
                held.env.push(
                    json!({"name": format!("{prefix}{}", variable.name), "valueFrom": Value::from(from)}),
                );
            }
        }
        if held.env.len() + held.env_from.len() > before {
            held.prefixes.insert(container.name.to_owned(), prefix);
        }
    }
    Ok(held)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::{Json, Pod};

    #[test]
    fn boot_gets_what_a_container_gets_under_a_prefix_of_its_own() {
        let init = json!({"name": "early", "envFrom": [{"secretRef": {"name": "early"}}]});
        let pod = json!({"spec": {"initContainers": [{"name": "own"}, init], "containers": [
            {"name": "plain", "env": [{"name": "A", "value": "1"}]},
            {"name": "main", "envFrom": [
                {"configMapRef": {"name": "settings"}, "prefix": "APP_"},
                {"secretRef": {"name": "login", "optional": true}},
            ], "env": [
                {"name": "SURE", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                {"name": "PERHAPS", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": true}}},
            ]},
        ]}});
        let pod = Json::from(&pod);
        let pod = Pod::read(&pod).unwrap();
        let containers: Vec<_> = pod.containers.iter().collect();
        let held = of(&containers, Position::Last).unwrap();
        let login = json!({"prefix": "BOOTLACE_HELD_1_", "secretRef": {"name": "login", "optional": true}});
        assert_eq!(
            held,
            EnvFromMirror {
                prefixes: [("main".to_owned(), "BOOTLACE_HELD_1_".to_owned())].into(),
                env: vec![json!({
                    "name": "BOOTLACE_HELD_1_PERHAPS",
                    "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": true}},
                })],
                env_from: vec![
                    json!({"prefix": "BOOTLACE_HELD_1_APP_", "configMapRef": {"name": "settings"}}),
                    login.clone(),
                ],
            }
        );
        let held = of(&containers, Position::First).unwrap();
        let settings = json!({"name": "settings", "optional": true});
        assert_eq!(
            held.env_from,
            [json!({"prefix": "BOOTLACE_HELD_1_APP_", "configMapRef": settings}), login]
        );
        let held = of(&[&pod.init_containers[1]], Position::First).unwrap();
        let prefix = "BOOTLACE_HELD_INIT_1_";
        assert_eq!(held.prefixes, [("early".to_owned(), prefix.to_owned())].into());
        assert_eq!(
            held.env_from,
            [json!({"prefix": prefix, "secretRef": {"name": "early", "optional": true}})]
        );
    }
}
