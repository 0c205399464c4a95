//! Variables that control which code runs in the task. A source only sets them if the profile allows it, so
//! that write access to a `ConfigMap` is not enough to choose the programs of the task.

/// The names, which may end with a wildcard, and what they control.
pub(crate) const RESERVED: &[(&str, &str)] = &[
    ("PATH", "which programs are found by their names"),
    ("HOME", "where programs look for their settings"),
    ("IFS", "how a shell reads its commands"),
    ("ENV", "which script a shell runs first"),
    ("BASH_ENV", "which script a shell runs first"),
    ("SHELLOPTS", "how a shell runs its commands"),
    ("BASHOPTS", "how a shell runs its commands"),
    ("BASH_FUNC_*", "which functions bash has"),
    ("PS4", "which code a tracing shell evaluates"),
    ("LD_*", "which libraries the dynamic linker loads"),
    ("GLIBC_TUNABLES", "how the C library works"),
    ("GCONV_PATH", "which libraries the C library loads"),
    ("LOCPATH", "which files the C library loads"),
    ("PYTHONPATH", "which modules Python loads"),
    ("PYTHONHOME", "which modules Python loads"),
    ("PYTHONUSERBASE", "which modules Python loads"),
    ("PYTHONSTARTUP", "which script Python runs first"),
    ("PYTHONWARNINGS", "which modules Python loads"),
    ("PYTHONBREAKPOINT", "which code Python calls"),
    ("PERL5LIB", "which modules Perl loads"),
    ("PERLLIB", "which modules Perl loads"),
    ("PERL5OPT", "which modules Perl loads"),
    ("PERL5DB", "which code Perl runs"),
    ("RUBYLIB", "which modules Ruby loads"),
    ("RUBYOPT", "which modules Ruby loads"),
    ("NODE_PATH", "which modules Node.js loads"),
    ("NODE_OPTIONS", "which modules Node.js loads"),
    ("CLASSPATH", "which classes Java loads"),
    ("JAVA_TOOL_OPTIONS", "which agents Java loads"),
    ("JDK_JAVA_OPTIONS", "which agents Java loads"),
    ("_JAVA_OPTIONS", "which agents Java loads"),
];

/// What `name` controls, if it is reserved and not in `allow`.
#[must_use]
pub fn decides(name: &str, allow: &[String]) -> Option<&'static str> {
    let (_, decides) = RESERVED.iter().find(|(pattern, _)| matches_pattern(pattern, name))?;
    (!allow.iter().any(|pattern| matches_pattern(pattern, name))).then_some(decides)
}

fn matches_pattern(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_decides_which_code_runs_is_reserved() {
        for name in [
            "PATH",
            "LD_PRELOAD",
            "LD_",
            "HOME",
            "BASH_ENV",
            "PYTHONPATH",
            "JAVA_TOOL_OPTIONS",
            "BASH_FUNC_ls%%",
        ] {
            assert!(decides(name, &[]).is_some(), "{name}");
        }
        for name in ["LDAP_HOST", "PATHS", "HOMEPAGE", "path", "PYTHONUNBUFFERED", "JAVA_HOME"] {
            assert_eq!(decides(name, &[]), None, "{name}");
        }
    }

    #[test]
    fn a_profile_allows_names_and_starts_of_names() {
        let allow = ["PATH".to_owned(), "PYTHON*".to_owned()];
        for name in ["PATH", "PYTHONPATH", "PYTHONHOME"] {
            assert_eq!(decides(name, &allow), None, "{name}");
        }
        assert!(decides("LD_PRELOAD", &allow).is_some());
        assert!(decides("HOME", &["H".to_owned()]).is_some());
    }

    #[test]
    fn the_docs_list_every_name() {
        let docs = include_str!("../../../docs/sources.md");
        for (pattern, _) in RESERVED {
            let shown = pattern.replace('*', "…");
            assert!(docs.contains(&format!("`{shown}`")), "docs/sources.md does not hold `{shown}`");
        }
    }
}
