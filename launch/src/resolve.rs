//! Resolves references `$(NAME)` to the boot env in the spec of the pod, as the kubelet would do if it knew
//! the boot env.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::environ::Record;
use crate::expansion;
use crate::references::ReferenceLocation;

use crate::merge::Merged;

/// The resolved arguments of a process, and those of its variables that refer to the boot env.
#[derive(Debug)]
pub(crate) struct Resolved<'a> {
    pub(crate) argv: Cow<'a, [OsString]>,
    pub(crate) env: Vec<(OsString, OsString)>,
}

impl<'a> Resolved<'a> {
    /// A process without references.
    pub(crate) fn unchanged(argv: &'a [OsString]) -> Self {
        Self { argv: Cow::Borrowed(argv), env: Vec::new() }
    }
}

/// Resolves `texts` of the spec for a process with the env `merged` and the arguments `argv`, whose first
/// `own` words belong to the launcher. A text can refer to variables of earlier texts.
pub(crate) fn resolve<'a>(
    texts: &[(ReferenceLocation<'_>, &str)],
    boot: &[Record<'_>],
    merged: &Merged<'_>,
    argv: &'a [OsString],
    own: usize,
) -> Resolved<'a> {
    let mut resolved = Resolved::unchanged(argv);
    for (place, text) in texts {
        match place {
            ReferenceLocation::Variable(name) => {
                let Some(expanded) = merged.own.get(OsStr::new(name)) else { continue };
                let value = expand(text, expanded, &resolved.env, boot, merged);
                resolved.env.push(((*name).into(), value));
            }
            ReferenceLocation::Argument(position) => {
                let position = position.saturating_add(own);
                let Some(expanded) = argv.get(position) else { continue };
                let value = expand(text, expanded, &resolved.env, boot, merged);
                if let Some(word) = resolved.argv.to_mut().get_mut(position) {
                    *word = value;
                }
            }
        }
    }
    resolved
}

/// Expands a text. `expanded` is the text after its expansion by the kubelet.
fn expand(
    text: &str,
    expanded: &OsStr,
    resolved: &[(OsString, OsString)],
    boot: &[Record<'_>],
    merged: &Merged<'_>,
) -> OsString {
    let from_boot = |name: &str| {
        let earlier = resolved.iter().rfind(|(other, _)| other == name).map(|(_, value)| &**value);
        earlier.or_else(|| merged.given.get(OsStr::new(name)))
    };
    // The kubelet does not resolve a reference if the variable of the pod is defined later, as in
    // `PATH=$(PATH):/opt/bin`.
    let is_unresolved = |name: &str| contains(expanded, &expansion::unresolved(name));
    // If boot did not provide the variables of a text, the kubelet has resolved the whole text, with values
    // that can be overridden by now: `PATH=$(PATH):/opt/bin` with a PATH from `envFrom`.
    if !expansion::references(text).any(|name| from_boot(name).is_some() || is_unresolved(name)) {
        return expanded.to_owned();
    }
    let value = |name: &str| {
        from_boot(name).or_else(|| {
            if is_unresolved(name) {
                boot.iter().rfind(|record| record.name() == name).map(Record::value)
            } else {
                merged.own.get(OsStr::new(name))
            }
        })
    };
    OsString::from_vec(expansion::expand(text, |name| value(name).map(OsStrExt::as_bytes)))
}

fn contains(text: &OsStr, part: &str) -> bool {
    text.as_bytes().windows(part.len()).any(|window| window == part.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merge::merge;

    /// Expands `env` and `args` of a spec like the kubelet, with the additional variables `known`.
    fn kubelet(
        known: &[(&str, &str)],
        env: &[(&str, &str)],
        args: &[&str],
    ) -> (Vec<(String, String)>, Vec<String>) {
        let mut held: Vec<(String, String)> =
            known.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let expand = |text: &str, held: &[(String, String)]| {
            let value =
                |name: &str| held.iter().rfind(|(other, _)| other == name).map(|(_, value)| value.as_bytes());
            String::from_utf8(expansion::expand(text, value)).unwrap()
        };
        for (name, text) in env {
            let value = expand(text, &held);
            held.retain(|(other, _)| other != name);
            held.push(((*name).to_owned(), value));
        }
        let args = args.iter().map(|text| expand(text, &held)).collect();
        (held, args)
    }

    /// The kubelet and the launcher together have the same result as the kubelet with the boot env in an
    /// `envFrom`.
    #[track_caller]
    fn same_as_the_kubelet(
        env_from: &[(&str, &str)],
        env: &[(&str, &str)],
        args: &[&str],
        boot: &[(&str, &str)],
    ) {
        let is_overridable = |(name, _): &&(&str, &str)| !env_from.iter().any(|(other, _)| other == name);
        let known: Vec<_> = boot.iter().filter(is_overridable).chain(env_from).copied().collect();
        let (expected_env, expected_args) = kubelet(&known, env, args);

        let (held, words) = kubelet(env_from, env, args);
        let process: Vec<(OsString, OsString)> =
            held.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let words: Vec<OsString> = words.iter().map(Into::into).collect();
        let records: Vec<_> =
            boot.iter().map(|(name, value)| Record::new(name.as_ref(), value.as_ref()).unwrap()).collect();
        let keep: Vec<&OsStr> = env_from.iter().chain(env).map(|(name, _)| OsStr::new(*name)).collect();
        let texts = env.iter().map(|(name, text)| (ReferenceLocation::Variable(name), *text));
        let texts = texts
            .chain((0..).zip(args).map(|(position, text)| (ReferenceLocation::Argument(position), *text)));
        let texts: Vec<_> = texts.collect();

        let merged = merge(&process, &records, &keep);
        let resolved = resolve(&texts, &records, &merged, &words, 0);
        let merged = merged.with(&resolved.env);
        for (name, value) in &expected_env {
            assert_eq!(merged.get(name.as_ref()), Some(value.as_ref()), "{name}");
        }
        let args: Vec<_> = resolved.argv.iter().map(|word| word.to_str().unwrap()).collect();
        assert_eq!(args, expected_args);
    }

    #[test]
    fn arguments_and_variables_refer_to_the_boot_env() {
        same_as_the_kubelet(
            &[("FROM", "cm")],
            &[
                ("HOST", "db"),
                ("URL", "$(SCHEME)://$(HOST):$(PORT)/$$(PORT)"),
                ("LINK", "<$(URL)>"),
                ("X", "$(NONE)"),
            ],
            &["--url=$(URL)", "$(PORT)", "$$(PORT)", "$(NONE)$(FROM)", "$(LINK)", "plain"],
            &[("PORT", "5432"), ("SCHEME", "pg"), ("FROM", "boot"), ("UNUSED", "")],
        );
    }

    #[test]
    fn a_variable_can_refer_to_the_boot_variable_of_its_name() {
        same_as_the_kubelet(&[], &[("PATH", "$(PATH):/opt/bin")], &["$(PATH)"], &[("PATH", "/boot")]);
        same_as_the_kubelet(&[], &[("LATE", "$(A)"), ("A", "pod")], &["$(LATE)$(A)"], &[("A", "boot")]);
    }

    #[test]
    fn a_variable_can_refer_to_an_earlier_variable_of_its_name() {
        let boot = [("A", "boot"), ("B", "1")];
        same_as_the_kubelet(&[("A", "cm")], &[("A", "$(A):x")], &["$(A)", "$(B)"], &boot);
    }

    #[test]
    fn values_are_not_expanded_again() {
        let boot = [("A", "$(B)$$"), ("B", "no")];
        same_as_the_kubelet(&[], &[("V", "$(A)")], &["$(A)", "$(V)"], &boot);
    }

    #[test]
    fn what_a_process_does_not_hold_is_unresolved_out() {
        let merged = merge(&[], &[], &[]);
        let texts = [(ReferenceLocation::Variable("GONE"), "$(A)"), (ReferenceLocation::Argument(3), "$(A)")];
        let resolved = resolve(&texts, &[], &merged, &[], 0);
        assert!(resolved.env.is_empty() && resolved.argv.is_empty());
    }
}
