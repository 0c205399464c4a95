//! Resolves what the pod's own spec refers to with `$(NAME)` and boot gives, as the kubelet would have done, had it
//! known the boot env.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::environ::Record;
use crate::expansion;
use crate::references::Place;

use crate::merge::Merged;

/// A process's arguments, and those of its own variables that refer to the boot env, resolved.
#[derive(Debug)]
pub(crate) struct Resolved<'a> {
    pub(crate) argv: Cow<'a, [OsString]>,
    pub(crate) env: Vec<(OsString, OsString)>,
}

impl<'a> Resolved<'a> {
    /// Of a process that refers to nothing.
    pub(crate) fn of(argv: &'a [OsString]) -> Self {
        Self { argv: Cow::Borrowed(argv), env: Vec::new() }
    }
}

/// Resolves `texts`, which are the spec's own words, for a process with the env `merged`, which the kubelet
/// started with the words in `argv` behind the launcher's `own`. A text may refer to one that stands before it.
pub(crate) fn resolve<'a>(
    texts: &[(Place<'_>, &str)],
    boot: &[Record<'_>],
    merged: &Merged<'_>,
    argv: &'a [OsString],
    own: usize,
) -> Resolved<'a> {
    let mut resolved = Resolved::of(argv);
    for (place, text) in texts {
        match place {
            Place::Variable(name) => {
                let Some(held) = merged.own.get(OsStr::new(name)) else { continue };
                let value = expand(text, held, &resolved.env, boot, merged);
                resolved.env.push(((*name).into(), value));
            }
            Place::Argument(position) => {
                let position = position.saturating_add(own);
                let Some(held) = argv.get(position) else { continue };
                let value = expand(text, held, &resolved.env, boot, merged);
                if let Some(word) = resolved.argv.to_mut().get_mut(position) {
                    *word = value;
                }
            }
        }
    }
    resolved
}

/// `held` is what the kubelet made of the text.
fn expand(
    text: &str,
    held: &OsStr,
    resolved: &[(OsString, OsString)],
    boot: &[Record<'_>],
    merged: &Merged<'_>,
) -> OsString {
    let by_boot = |name: &str| {
        let earlier = resolved.iter().rfind(|(of, _)| of == name).map(|(_, value)| &**value);
        earlier.or_else(|| merged.given.get(OsStr::new(name)))
    };
    // A reference that the kubelet left came before the pod's own variable of that name, if it has one:
    // `PATH=$(PATH):/opt/bin`.
    let is_left = |name: &str| contains(held, &expansion::unresolved(name));
    // A text may refer to what boot could have given and has not. Then the kubelet has resolved all of it, with values that
    // may be gone by now: `PATH=$(PATH):/opt/bin` of an `envFrom`.
    if !expansion::references(text).any(|name| by_boot(name).is_some() || is_left(name)) {
        return held.to_owned();
    }
    let value = |name: &str| {
        by_boot(name).or_else(|| {
            if is_left(name) {
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

    /// What the kubelet makes of a spec's `env` and `args`, where it knows `known` beside them.
    fn kubelet(
        known: &[(&str, &str)],
        env: &[(&str, &str)],
        args: &[&str],
    ) -> (Vec<(String, String)>, Vec<String>) {
        let mut held: Vec<(String, String)> =
            known.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let expand = |text: &str, held: &[(String, String)]| {
            let value =
                |name: &str| held.iter().rfind(|(of, _)| of == name).map(|(_, value)| value.as_bytes());
            String::from_utf8(expansion::expand(text, value)).unwrap()
        };
        for (name, text) in env {
            let value = expand(text, &held);
            held.retain(|(of, _)| of != name);
            held.push(((*name).to_owned(), value));
        }
        let args = args.iter().map(|text| expand(text, &held)).collect();
        (held, args)
    }

    /// The launcher resolves what the kubelet left, and comes to what the kubelet would have come to with the boot
    /// env among the variables that it knows first, as in an `envFrom`.
    #[track_caller]
    fn same_as_the_kubelet(
        env_from: &[(&str, &str)],
        env: &[(&str, &str)],
        args: &[&str],
        boot: &[(&str, &str)],
    ) {
        let not_kept = |(name, _): &&(&str, &str)| !env_from.iter().any(|(of, _)| of == name);
        let known: Vec<_> = boot.iter().filter(not_kept).chain(env_from).copied().collect();
        let (expected_env, expected_args) = kubelet(&known, env, args);

        let (held, words) = kubelet(env_from, env, args);
        let process: Vec<(OsString, OsString)> =
            held.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let words: Vec<OsString> = words.iter().map(Into::into).collect();
        let records: Vec<_> =
            boot.iter().map(|(name, value)| Record::new(name.as_ref(), value.as_ref()).unwrap()).collect();
        let keep: Vec<&OsStr> = env_from.iter().chain(env).map(|(name, _)| OsStr::new(*name)).collect();
        let texts = env.iter().map(|(name, text)| (Place::Variable(name), *text));
        let texts = texts.chain((0..).zip(args).map(|(position, text)| (Place::Argument(position), *text)));
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
    fn arguments_and_variables_read_what_boot_gives() {
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
    fn a_variable_may_build_on_boots_of_its_own_name() {
        same_as_the_kubelet(&[], &[("PATH", "$(PATH):/opt/bin")], &["$(PATH)"], &[("PATH", "/boot")]);
        same_as_the_kubelet(&[], &[("LATE", "$(A)"), ("A", "pod")], &["$(LATE)$(A)"], &[("A", "boot")]);
    }

    #[test]
    fn a_variable_may_build_on_the_pods_own_of_its_own_name() {
        let boot = [("A", "boot"), ("B", "1")];
        same_as_the_kubelet(&[("A", "cm")], &[("A", "$(A):x")], &["$(A)", "$(B)"], &boot);
    }

    #[test]
    fn values_are_not_expanded_again() {
        let boot = [("A", "$(B)$$"), ("B", "no")];
        same_as_the_kubelet(&[], &[("V", "$(A)")], &["$(A)", "$(V)"], &boot);
    }

    #[test]
    fn what_a_process_does_not_hold_is_left_out() {
        let merged = merge(&[], &[], &[]);
        let texts = [(Place::Variable("GONE"), "$(A)"), (Place::Argument(3), "$(A)")];
        let resolved = resolve(&texts, &[], &merged, &[], 0);
        assert!(resolved.env.is_empty() && resolved.argv.is_empty());
    }
}
