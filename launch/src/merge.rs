//! Merges environments. Precedence: `env` in the spec of the pod > boot env > ENV of the image.
//!
//! A process cannot distinguish variables of the spec from those of the image, so boot writes a keep list
//! with the names in the spec.

use std::ffi::{OsStr, OsString};

use crate::environ::Record;

use crate::env::Env;

/// The env of a process: [`Self::given`] overrides [`Self::own`].
#[derive(Debug)]
pub(crate) struct Merged<'a> {
    /// The env of the process without the boot env.
    pub(crate) own: Env<'a>,
    /// The variables of the boot env that the process did not have, or had with another value.
    pub(crate) given: Env<'a>,
}

impl<'a> Merged<'a> {
    pub(crate) fn get(&self, name: &OsStr) -> Option<&'a OsStr> {
        self.given.get(name).or_else(|| self.own.get(name))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'a OsStr, &'a OsStr)> {
        self.own.iter().filter(|(name, _)| self.given.get(name).is_none()).chain(self.given.iter())
    }

    /// Replaces variables of the pod with their resolved values.
    pub(crate) fn with<'b>(self, resolved: &'b [(OsString, OsString)]) -> Merged<'b>
    where
        'a: 'b,
    {
        if resolved.is_empty() {
            return self;
        }
        let resolved = resolved.iter().map(|(name, value)| (&**name, &**value));
        let changed = resolved.filter(|(name, value)| self.own.get(name) != Some(value));
        Merged { given: self.given.iter().chain(changed).collect(), own: self.own }
    }
}

/// Merges the boot env over the env of a process, except for variables in `keep` that the process has.
pub(crate) fn merge<'a>(
    process: &'a [(OsString, OsString)],
    boot: &[Record<'a>],
    keep: &[&OsStr],
) -> Merged<'a> {
    // In reverse order: if a name occurs twice in a process, the first value is used, as in getenv(3).
    let own: Env<'a> = process.iter().rev().map(|(name, value)| (&**name, &**value)).collect();
    // The last of several records of a name is used.
    let mut given: Env<'a> = boot.iter().map(|record| (record.name(), record.value())).collect();
    // Both are sorted, so one pass suffices.
    let mut others = own.iter().peekable();
    given.retain(|name, value| {
        while others.next_if(|(other, _)| *other < name).is_some() {}
        match others.peek().filter(|(other, _)| *other == name) {
            Some((_, own)) => *own != value && !keep.contains(&name),
            None => true,
        }
    });
    Merged { own, given }
}

#[cfg(test)]
impl<'a> Merged<'a> {
    /// An env of these parts.
    pub(crate) fn new(own: Env<'a>, given: Env<'a>) -> Self {
        Self { own, given }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(OsString, OsString)> {
        let split = |pair: &str| pair.split_once('=').map(|(name, value)| (name.into(), value.into()));
        text.split_whitespace().map(|pair| split(pair).unwrap()).collect()
    }

    fn text<'a>(env: impl Iterator<Item = (&'a OsStr, &'a OsStr)>) -> String {
        let pairs = env.map(|(name, value)| format!("{}={}", name.display(), value.display()));
        pairs.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_pod_overrides_boot_and_boot_overrides_the_image() {
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
            ("each part sorted", "Z=1 M=2", "N=3 B=4", "", "M=2 Z=1 B=4 N=3", "B=4 N=3"),
        ] {
            let (process, boot) = (pairs(process), pairs(boot));
            let boot: Vec<_> = boot.iter().map(|(name, value)| Record::new(name, value).unwrap()).collect();
            let keep: Vec<_> = keep.split_whitespace().map(OsStr::new).collect();
            let merged = merge(&process, &boot, &keep);
            assert_eq!(text(merged.iter()), env, "{case}");
            assert_eq!(text(merged.given.iter()), given, "{case}");
        }
    }
}
