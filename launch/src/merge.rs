//! Precedence: the pod spec's own `env` > boot env > the image's ENV.
//!
//! A process cannot tell which of its variables came from the pod's spec and which from the image, so boot
//! leaves a keep list of the spec's names.

use std::ffi::{OsStr, OsString};

use bootlace_launch::environ::Record;

use crate::env::Env;

/// The outcome of [`merge`].
#[derive(Debug, PartialEq)]
pub(crate) struct Merged<'a> {
    /// The whole env.
    pub(crate) env: Env<'a>,
    /// What in [`Self::env`] only the boot env can have given: variables that the process did not hold, or
    /// held with another value.
    pub(crate) given: Env<'a>,
}

/// Lays the boot env over the env of a process, but for the variables in `keep` that the process holds.
pub(crate) fn merge<'a>(
    process: &'a [(OsString, OsString)],
    boot: &[Record<'a>],
    keep: &[&OsStr],
) -> Merged<'a> {
    // Backwards, because where a process holds a name twice the first counts, as in getenv(3).
    let mut env: Env<'a> = process.iter().rev().map(|(name, value)| (&**name, &**value)).collect();
    // Only the last of several records for one name counts, so they are brought together first.
    let boot: Env<'a> = boot.iter().map(|record| (record.name(), record.value())).collect();
    let stays = |name: &OsStr, value: &OsStr| match env.get(name) {
        Some(held) => held == value || keep.contains(&name),
        None => false,
    };
    let given: Env<'a> = boot.iter().filter(|(name, value)| !stays(name, value)).collect();
    for (name, value) in given.iter() {
        env.set(name, value);
    }
    Merged { env, given }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(OsString, OsString)> {
        let split = |pair: &str| pair.split_once('=').map(|(name, value)| (name.into(), value.into()));
        text.split_whitespace().map(|pair| split(pair).unwrap()).collect()
    }

    fn text(env: &Env<'_>) -> String {
        let pairs = env.iter().map(|(name, value)| format!("{}={}", name.display(), value.display()));
        pairs.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_pod_wins_over_boot_and_boot_over_the_image() {
        for (case, process, boot, keep, env, given) in [
            ("nothing", "", "", "", "", ""),
            ("added", "A=image", "B=boot", "", "A=image B=boot", "B=boot"),
            ("image gives way", "A=image", "A=boot", "", "A=boot", "A=boot"),
            ("pod stays", "A=pod", "A=boot", "A", "A=pod", ""),
            ("empty pod value stays", "A=", "A=boot", "A", "A=", ""),
            ("kept but absent", "", "A=boot", "A", "A=boot", "A=boot"),
            ("kept, not in boot", "A=pod", "B=boot", "A", "A=pod B=boot", "B=boot"),
            ("empty boot value", "A=image", "A=", "", "A=", "A="),
            ("same value", "A=x", "A=x B=y", "", "A=x B=y", "B=y"),
            ("later record wins", "", "A=1 A=2", "", "A=2", "A=2"),
            ("later record wins back", "A=1", "A=2 A=1", "", "A=1", ""),
            ("first of the process wins", "A=1 A=2", "B=3", "", "A=1 B=3", "B=3"),
            ("sorted", "Z=1 M=2", "B=3 N=4", "", "B=3 M=2 N=4 Z=1", "B=3 N=4"),
        ] {
            let (process, boot) = (pairs(process), pairs(boot));
            let boot: Vec<_> = boot.iter().map(|(name, value)| Record::new(name, value).unwrap()).collect();
            let keep: Vec<_> = keep.split_whitespace().map(OsStr::new).collect();
            let merged = merge(&process, &boot, &keep);
            assert_eq!(text(&merged.env), env, "{case}");
            assert_eq!(text(&merged.given), given, "{case}");
        }
    }
}
