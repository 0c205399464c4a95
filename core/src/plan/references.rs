//! References to variables of the boot env in the spec of a container.
//!
//! The kubelet resolves `$(NAME)` in `command`, `args` and `env` before the launcher runs, and does not
//! change references to unknown variables. The launcher gets these texts as they are in the spec, and
//! resolves them.

use std::borrow::Cow;
use std::collections::BTreeSet;

use bootlace_launch::expansion;
use bootlace_launch::references::ReferenceLocation;

use super::env_names::BootEnvNames;
use crate::pod::Container;

/// The key of a place in the spec, and the text there.
pub(super) type Text<'a> = (String, Cow<'a, str>);

/// The texts of `container` that reference variables of the boot env, in the order in which the kubelet
/// resolves them. `before` is the number of words before `args` that the kubelet does not expand.
pub(super) fn spec_texts<'a>(
    container: &Container<'a>,
    before: usize,
    env_names: &BootEnvNames,
) -> Vec<Text<'a>> {
    let words = || container.command.iter().flatten().chain(&container.args).copied();
    let mut all = container.variables().filter_map(|variable| variable.text).chain(words());
    // Most pods contain no references, and then the declared names are not needed.
    if !all.any(|text| text.contains('$')) {
        return Vec::new();
    }
    let mut texts = Vec::new();
    // The variables before the current one: only these can be referenced.
    let mut declared = BTreeSet::new();
    // Those of them that reference the boot env.
    let mut changed = BTreeSet::new();
    let refers = |text: &str, declared: &BTreeSet<&str>, changed: &BTreeSet<&str>| {
        let to_boot =
            |name: &str| changed.contains(name) || (!declared.contains(name) && env_names.may_contain(name));
        expansion::references(text).any(to_boot)
    };
    for variable in container.variables() {
        match variable.text.filter(|text| refers(text, &declared, &changed)) {
            Some(text) => {
                texts.push((ReferenceLocation::Variable(variable.name).key(), Cow::Borrowed(text)));
                changed.insert(variable.name);
            }
            None => {
                changed.remove(variable.name);
            }
        }
        declared.insert(variable.name);
    }
    for (position, word) in (before..).zip(words()) {
        if refers(word, &declared, &changed) {
            texts.push((ReferenceLocation::Argument(position).key(), Cow::Borrowed(word)));
        }
    }
    texts
}

/// The names that variables of `container` reference before it sets them, or in their own value
/// (`PATH=$(PATH):/opt/bin`), and names that it never sets.
pub(super) fn referenced_before_set<'a>(container: &Container<'a>) -> BTreeSet<&'a str> {
    let (mut declared, mut referenced) = (BTreeSet::new(), BTreeSet::new());
    for variable in container.variables() {
        let names = variable.text.into_iter().flat_map(expansion::references);
        referenced.extend(names.filter(|name| !declared.contains(name)));
        declared.insert(variable.name);
    }
    referenced
}

/// The names of the boot env in `texts`, for messages.
pub(super) fn names(texts: &[Text<'_>], env_names: &BootEnvNames) -> Vec<String> {
    let names: BTreeSet<_> = texts.iter().flat_map(|(_, text)| expansion::references(text)).collect();
    names.into_iter().filter(|name| env_names.may_contain(name)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::pod::{Json, Pod};

    fn texts(container: &Value, before: usize) -> Vec<String> {
        let sources = json!([{"name": "a", "inline": {"env": {"A": "x", "B": "x"}}}]);
        let profile = serde_json::from_value(json!({"sources": sources})).unwrap();
        let env_names = BootEnvNames::new(&crate::plan::sources::all(&profile));
        let pod = json!({"spec": {"containers": [container]}});
        let pod = Json::from(&pod);
        let pod = Pod::read(&pod).unwrap();
        spec_texts(&pod.containers[0], before, &env_names)
            .into_iter()
            .map(|(key, text)| format!("{key}={text}"))
            .collect()
    }

    #[test]
    fn only_references_to_the_boot_env_are_listed() {
        let container = json!({
            "command": ["run", "$(A)", "$$(A)", "$(B)"],
            "args": ["$(NONE)", "$(LINK)", "x$(A)y"],
            "env": [
                {"name": "PLAIN", "value": "1"},
                {"name": "LINK", "value": "$(A)$(PLAIN)"},
                {"name": "CHAIN", "value": "<$(LINK)>"},
                {"name": "B", "value": "pod"},
                {"name": "OWN", "value": "$(B)"},
                {"name": "A_REF", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            ],
        });
        assert_eq!(
            texts(&container, 0),
            [
                "variable:LINK=$(A)$(PLAIN)",
                "variable:CHAIN=<$(LINK)>",
                "argument:1=$(A)",
                "argument:5=$(LINK)",
                "argument:6=x$(A)y",
            ]
        );
    }

    #[test]
    fn a_variable_that_references_its_own_name_references_the_boot_env() {
        let container = json!({"env": [{"name": "A", "value": "$(A):/opt"}, {"name": "A", "value": "x"}], "args": ["$(A)"]});
        assert_eq!(texts(&container, 0), ["variable:A=$(A):/opt"], "it is set again afterwards");
    }

    #[test]
    fn arguments_are_counted_after_the_words_of_the_image() {
        assert_eq!(texts(&json!({"args": ["x", "$(A)"]}), 3), ["argument:4=$(A)"]);
    }
}
