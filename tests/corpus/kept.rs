//! Checks that an injected pod differs from the original only by the documented additions of Bootlace.

use serde_json::{Map, Value, json};

const ANNOTATION: &str = "bootlace.dev/injected";
const LAUNCHER: &str = "/bootlace/bin/launch";

/// The differences between a pod and the injected one without the additions of Bootlace. Each line names a
/// field and both values.
pub(crate) fn differences(before: &Value, injected: &Value) -> Vec<String> {
    let mut stripped = injected.clone();
    let mut found = match strip(before, &mut stripped) {
        Ok(()) => Vec::new(),
        Err(reason) => vec![reason],
    };
    differ(before, &stripped, "", &mut found);
    found
}

/// The names of the task containers, from the annotation of Bootlace. `None` if the pod is not injected.
pub(crate) fn tasks(pod: &Value) -> Option<Vec<String>> {
    Some(serde_json::from_value(injected(pod)?["containers"].clone()).unwrap())
}

/// The content of the annotation `bootlace.dev/injected`.
pub(crate) fn injected(pod: &Value) -> Option<Value> {
    let annotation = pod["metadata"]["annotations"].get(ANNOTATION)?;
    Some(serde_json::from_str(annotation.as_str().unwrap()).unwrap())
}

/// Whether a name is reserved for Bootlace.
fn is_reserved(name: &Value) -> bool {
    name.as_str().is_some_and(|name| name == "bootlace" || name.starts_with("bootlace-"))
}

fn strip(before: &Value, pod: &mut Value) -> Result<(), String> {
    let Some(tasks) = tasks(pod) else { return Ok(()) };
    let metadata = pod["metadata"].as_object_mut().unwrap();
    metadata["annotations"].as_object_mut().unwrap().remove(ANNOTATION);
    remove_if_added(metadata, before["metadata"].get("annotations"), "annotations");
    let spec = pod["spec"].as_object_mut().unwrap();
    for list in ["initContainers", "volumes"] {
        retain(spec, &before["spec"], list, |item| !is_reserved(&item["name"]));
    }
    let own = before["spec"]["containers"].as_array().unwrap();
    for container in spec["containers"].as_array_mut().unwrap() {
        let name = container["name"].as_str().unwrap().to_owned();
        let own = own.iter().find(|own| own["name"] == name.as_str());
        let own = own.ok_or_else(|| format!("container {name} was added"))?;
        if tasks.contains(&name) {
            strip_task(own, container.as_object_mut().unwrap())
                .map_err(|problem| format!("{name}: {problem}"))?;
        }
    }
    Ok(())
}

fn strip_task(own: &Value, task: &mut Map<String, Value>) -> Result<(), String> {
    retain(task, own, "volumeMounts", |mount| !is_reserved(&mount["name"]));
    retain(task, own, "env", |env| !is_reserved(&env["valueFrom"]["fileKeyRef"]["volumeName"]));
    retain(task, own, "envFrom", |from| !is_reserved(&from["secretRef"]["name"]));
    strip_command(own, task)?;
    strip_hook(own, task)
}

/// Removes the launcher before the command. If the spec has no command, that of the image follows the
/// launcher.
fn strip_command(own: &Value, task: &mut Map<String, Value>) -> Result<(), String> {
    let Some(command) = task.get_mut("command").and_then(Value::as_array_mut) else { return Ok(()) };
    if command.first().is_none_or(|word| word != LAUNCHER) {
        return Ok(());
    }
    let end =
        command.iter().position(|word| word == "--").ok_or("the arguments of the launcher have no `--`")?;
    command.drain(..=end);
    if own.get("command").is_none() {
        task.remove("command")
            .filter(|image| !image.as_array().unwrap().is_empty())
            .ok_or("the launcher has no command")?;
    }
    Ok(())
}

/// Replaces the hook by the pod's own postStart handler, which the hook must run.
fn strip_hook(own: &Value, task: &mut Map<String, Value>) -> Result<(), String> {
    let Some(lifecycle) = task.get_mut("lifecycle").and_then(Value::as_object_mut) else { return Ok(()) };
    let Some(command) = lifecycle.get("postStart").and_then(|hook| hook["exec"]["command"].as_array()) else {
        return Ok(());
    };
    if command.first().is_none_or(|word| word != LAUNCHER) {
        return Ok(());
    }
    let command: Vec<_> = command.iter().map(|word| word.as_str().unwrap()).collect();
    let handler = own["lifecycle"].get("postStart");
    if let Some(handler) = handler {
        let runs_handler = match handler {
            handler if handler.get("exec").is_some() => {
                let own = handler["exec"]["command"].as_array().unwrap();
                let end = command.iter().position(|word| *word == "--").map_or(command.len(), |end| end + 1);
                own.iter().eq(&command[end..])
            }
            handler if handler.get("sleep").is_some() => {
                command.contains(&format!("--sleep={}", handler["sleep"]["seconds"]).as_str())
            }
            _ => command.iter().any(|word| word.starts_with("--http=")),
        };
        if !runs_handler {
            return Err(format!("the hook {command:?} does not run the handler {handler} of the pod"));
        }
    }
    match handler {
        Some(handler) => lifecycle["postStart"] = handler.clone(),
        None => drop(lifecycle.remove("postStart")),
    }
    remove_if_added(task, own.get("lifecycle"), "lifecycle");
    Ok(())
}

/// Keeps only the items of a list for which `keep` returns true. Removes the list if it is empty and was
/// added.
fn retain(object: &mut Map<String, Value>, before: &Value, field: &str, keep: impl Fn(&Value) -> bool) {
    if let Some(list) = object.get_mut(field).and_then(Value::as_array_mut) {
        list.retain(|item| keep(item));
    }
    remove_if_added(object, before.get(field), field);
}

/// Removes a field that is empty and was added.
fn remove_if_added(object: &mut Map<String, Value>, before: Option<&Value>, field: &str) {
    let is_empty = |value: &Value| *value == json!({}) || *value == json!([]);
    if before.is_none() && object.get(field).is_some_and(is_empty) {
        object.remove(field);
    }
}

/// Compares two values. The order of lists counts, that of the fields of an object does not.
fn differ(before: &Value, after: &Value, path: &str, found: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for field in before.keys().chain(after.keys().filter(|field| !before.contains_key(*field))) {
                let path = format!("{path}.{field}");
                match (before.get(field), after.get(field)) {
                    (Some(before), Some(after)) => differ(before, after, &path, found),
                    (Some(before), None) => found.push(format!("{path} was removed: {before}")),
                    (None, after) => {
                        found.push(format!("{path} was added: {}", after.unwrap_or(&Value::Null)));
                    }
                }
            }
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (index, (before, after)) in before.iter().zip(after).enumerate() {
                differ(before, after, &format!("{path}[{index}]"), found);
            }
        }
        _ if before == after => {}
        _ => found.push(format!("{path} changed from {before} to {after}")),
    }
}
