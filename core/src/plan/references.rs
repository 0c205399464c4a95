//! What of a container's spec refers to variables that boot may give.
//!
//! The kubelet resolves `$(NAME)` in `command`, `args` and `env` before the launcher runs, and leaves a reference as it
//! is where it knows no such variable. Those texts go to the launcher as they stand in the spec.

use std::borrow::Cow;
use std::collections::BTreeSet;

use bootlace_launch::expansion;
use bootlace_launch::references::Place;

use super::env_names::BootEnvNames;
use crate::pod::Container;

/// A text of the spec, under the key of its place.
pub(super) type Text<'a> = (String, Cow<'a, str>);

/// The texts of `container` that refer to what boot may give, in the order in which the kubelet reads them. `before`
/// words that the kubelet does not expand stand before `args`.
pub(super) fn spec_texts<'a>(
    container: &Container<'a>,
    before: usize,
    given: &BootEnvNames,
) -> Vec<Text<'a>> {
    let words = || container.command.iter().flatten().chain(&container.args).copied();
    let mut all = container.variables().filter_map(|variable| variable.text).chain(words());
    // As in most pods, and then who declares what need not be kept.
    if !all.any(|text| text.contains('$')) {
        return Vec::new();
    }
    let mut texts = Vec::new();
    // Variables before the one that is looked at: only those can be referred to.
    let mut declared = BTreeSet::new();
    // Those of them that boot has a part in.
    let mut changed = BTreeSet::new();
    let refers = |text: &str, declared: &BTreeSet<&str>, changed: &BTreeSet<&str>| {
        let to_boot =
            |name: &str| changed.contains(name) || (!declared.contains(name) && given.may_hold(name));
        expansion::references(text).any(to_boot)
    };
    for variable in container.variables() {
        match variable.text.filter(|text| refers(text, &declared, &changed)) {
            Some(text) => {
                texts.push((Place::Variable(variable.name).key(), Cow::Borrowed(text)));
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
            texts.push((Place::Argument(position).key(), Cow::Borrowed(word)));
        }
    }
    texts
}

/// The names that variables of `container` refer to before it sets them, or while it does: `PATH=$(PATH):/opt/bin`. Of
/// those that it never sets, all.
pub(super) fn built_on<'a>(container: &Container<'a>) -> BTreeSet<&'a str> {
    let (mut declared, mut built_on) = (BTreeSet::new(), BTreeSet::new());
    for variable in container.variables() {
        let names = variable.text.into_iter().flat_map(expansion::references);
        built_on.extend(names.filter(|name| !declared.contains(name)));
        declared.insert(variable.name);
    }
    built_on
}

/// The names in `texts` that boot may give, for messages.
pub(super) fn names(texts: &[Text<'_>], given: &BootEnvNames) -> Vec<String> {
    let names: BTreeSet<_> = texts.iter().flat_map(|(_, text)| expansion::references(text)).collect();
    names.into_iter().filter(|name| given.may_hold(name)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::pod::{Json, Pod};

    fn texts(container: &Value, before: usize) -> Vec<String> {
        let sources = json!([{"name": "a", "inline": {"env": {"A": "x", "B": "x"}}}]);
        let profile = serde_json::from_value(json!({"sources": sources})).unwrap();
        let given = BootEnvNames::by(&crate::plan::boot::sources(&profile));
        let pod = json!({"spec": {"containers": [container]}});
        let pod = Json::from(&pod);
        let pod = Pod::read(&pod).unwrap();
        spec_texts(&pod.containers[0], before, &given)
            .into_iter()
            .map(|(key, text)| format!("{key}={text}"))
            .collect()
    }

    #[test]
    fn only_what_boot_may_give_is_listed() {
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
    fn a_variable_that_builds_on_its_own_name_refers_to_boots() {
        let container = json!({"env": [{"name": "A", "value": "$(A):/opt"}, {"name": "A", "value": "x"}], "args": ["$(A)"]});
        assert_eq!(texts(&container, 0), ["variable:A=$(A):/opt"], "it is set anew afterwards");
    }

    #[test]
    fn arguments_are_counted_behind_the_images_own_words() {
        assert_eq!(texts(&json!({"args": ["x", "$(A)"]}), 3), ["argument:4=$(A)"]);
    }
}
