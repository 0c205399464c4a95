//! Names of variables that a shell can read from a file that it sources.

/// Variables that shells manage themselves: bash refuses to assign some and ignores assignments to others,
/// and dash only accepts a number for `OPTIND`. A script that sources a file with one of them exits, or
/// continues without it.
const SHELLS_OWN: &[&str] = &[
    "BASHOPTS",
    "BASHPID",
    "BASH_ALIASES",
    "BASH_ARGC",
    "BASH_ARGV",
    "BASH_ARGV0",
    "BASH_CMDS",
    "BASH_LINENO",
    "BASH_SOURCE",
    "BASH_SUBSHELL",
    "BASH_VERSINFO",
    "COMP_WORDBREAKS",
    "DIRSTACK",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "EUID",
    "FUNCNAME",
    "GROUPS",
    "HISTCMD",
    "LINENO",
    "OPTIND",
    "PIPESTATUS",
    "PPID",
    "RANDOM",
    "SECONDS",
    "SHELLOPTS",
    "SHLVL",
    "SRANDOM",
    "UID",
    "_",
];

/// Whether a shell reads a variable with this name from a file that it sources.
#[must_use]
pub fn can_be_sourced(name: &str) -> bool {
    is_shell_name(name) && !SHELLS_OWN.contains(&name)
}

/// Whether the name is valid in a shell: letters, digits and `_`, not starting with a digit.
fn is_shell_name(name: &str) -> bool {
    let first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let word = |byte: u8| first(byte) || byte.is_ascii_digit();
    name.bytes().next().is_some_and(first) && name.bytes().all(word)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_supports_fewer_names() {
        for text in ["A", "_1", "db_user", "LDAP_HOST"] {
            assert!(is_shell_name(text), "{text}");
        }
        for text in ["", "1A", "db-user", "a.b", "A B", "A=B", "Ä", "BASH_FUNC_ls%%"] {
            assert!(!is_shell_name(text), "{text}");
        }
    }

    /// Compares with bash, which has the most: the list contains every variable that bash does not accept.
    #[test]
    fn what_bash_keeps_for_itself_is_known() {
        let listed = Command::new("bash").args(["-c", "compgen -v"]).env_clear().output().unwrap();
        let names = String::from_utf8(listed.stdout).unwrap();
        let takes = |name: &str| {
            let script = format!("set -o allexport\n{name}='a b'\nexec /bin/cat /proc/self/environ");
            let output = Command::new("bash")
                .args(["-c", &script])
                .env_clear()
                .env("PATH", "/usr/bin:/bin")
                .output()
                .unwrap();
            let assigned = format!("{name}=a b");
            output.stdout.split(|byte| *byte == 0).any(|record| OsStr::from_bytes(record) == &*assigned)
        };
        for name in names.lines().filter(|name| is_shell_name(name)) {
            assert!(SHELLS_OWN.contains(&name) || takes(name), "bash does not take {name}");
        }
    }
}
