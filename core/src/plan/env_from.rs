//! Variables of the pod whose names or existence are unknown during admission: `envFrom`, and optional keys
//! of objects.
//!
//! The boot container gets the same variables with a prefix. The kubelet resolves them as for the task
//! container, and boot finds their names in its env. The variables of the pod then win over the boot env
//! without a permission to read the objects. Boot does not read the values.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::names;
use crate::pod::{Container, List, WrongType};
use crate::profile::spec::Position;

/// The env of the task containers that the boot container gets too.
#[derive(Debug, Default, PartialEq)]
pub(super) struct EnvFromMirror {
    /// The prefix of the names, by container, for containers with such variables.
    pub(super) prefixes: BTreeMap<String, String>,
    /// Entries of `env`.
    pub(super) env: Vec<Value>,
    /// Entries of `envFrom`.
    pub(super) env_from: Vec<Value>,
}

/// The variables for `containers`, if boot runs at `position`.
pub(super) fn mirror(containers: &[&Container<'_>], position: Position) -> Result<EnvFromMirror, WrongType> {
    let mut mirror = EnvFromMirror::default();
    for container in containers {
        // The indexes of both lists start at 0.
        let list = match container.list {
            List::App => "",
            List::Init => "INIT_",
        };
        let prefix = format!("{}{list}{}_", names::ENV_HELD_PREFIX, container.index);
        let before = mirror.env.len() + mirror.env_from.len();
        for source in container.env_from()? {
            // With `First`, an init container that runs after boot may create the object, so boot must not
            // wait for it.
            let optional = source.optional || position == Position::First;
            let prefix = format!("{prefix}{}", source.prefix);
            let mut object = serde_json::Map::from_iter([("name".to_owned(), source.name.into())]);
            if optional {
                object.insert("optional".to_owned(), true.into());
            }
            mirror.env_from.push(json!({"prefix": prefix, (source.field): object}));
        }
        for variable in container.variables() {
            if let Some(from) = variable.optional {
                mirror.env.push(
                    json!({"name": format!("{prefix}{}", variable.name), "valueFrom": Value::from(from)}),
                );
            }
        }
        if mirror.env.len() + mirror.env_from.len() > before {
            mirror.prefixes.insert(container.name.to_owned(), prefix);
        }
    }
    Ok(mirror)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::{Json, Pod};

    #[test]
    fn boot_gets_the_env_of_a_container_with_a_prefix() {
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
        let found = mirror(&containers, Position::Last).unwrap();
        let login = json!({"prefix": "BOOTLACE_HELD_1_", "secretRef": {"name": "login", "optional": true}});
        assert_eq!(
            found,
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
        let found = mirror(&containers, Position::First).unwrap();
        let settings = json!({"name": "settings", "optional": true});
        assert_eq!(
            found.env_from,
            [json!({"prefix": "BOOTLACE_HELD_1_APP_", "configMapRef": settings}), login]
        );
        let found = mirror(&[&pod.init_containers[1]], Position::First).unwrap();
        let prefix = "BOOTLACE_HELD_INIT_1_";
        assert_eq!(found.prefixes, [("early".to_owned(), prefix.to_owned())].into());
        assert_eq!(
            found.env_from,
            [json!({"prefix": prefix, "secretRef": {"name": "early", "optional": true}})]
        );
    }
}
