//! Env variables that a source may give.

use std::borrow::Borrow;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use bootlace_launch::environ::{InvalidRecord, Record};

/// Linux takes at most 32 pages in one env string (`MAX_ARG_STRLEN`), its name, `=` and ending NUL included:
/// with more, the task's exec fails. Counted in pages of 4 KiB, the smallest that there are.
pub(crate) const MAX_RECORD_BYTES: usize = 32 * 4096;

/// A variable's name that every shell and every language can read: letters, digits and `_`, no digit first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EnvName(String);

impl EnvName {
    /// Checks a name.
    pub(crate) fn parse(name: &str) -> Result<Self, EnvError> {
        let first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
        let word = |byte: u8| first(byte) || byte.is_ascii_digit();
        if !name.bytes().next().is_some_and(first) || !name.bytes().all(word) {
            return Err(EnvError::NotAName);
        }
        Ok(Self(name.to_owned()))
    }
}

/// Compares as its text does.
impl Borrow<str> for EnvName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl EnvName {
    /// The name.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EnvName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A variable's value: any bytes but NUL. It may be a secret whatever its source says, so it can be written to env files
/// only.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct EnvValue {
    bytes: Vec<u8>,
    secret: bool,
}

impl EnvValue {
    /// Checks the value of the variable `name`, which its source keeps secret or does not.
    pub(crate) fn parse(name: &EnvName, bytes: Vec<u8>, secret: bool) -> Result<Self, EnvError> {
        let size = name.0.len() + bytes.len() + "=\0".len();
        if size > MAX_RECORD_BYTES {
            return Err(EnvError::TooLong { size });
        }
        let value = Self { bytes, secret };
        value.record(name)?;
        Ok(value)
    }

    /// The variable as a record of the env file.
    pub(crate) fn record<'a>(&'a self, name: &'a EnvName) -> Result<Record<'a>, EnvError> {
        Ok(Record::new(OsStr::new(&name.0), OsStr::from_bytes(&self.bytes))?)
    }

    /// What it is. It may be a secret.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its size in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Whether its source keeps it secret.
    pub(crate) fn is_secret(&self) -> bool {
        self.secret
    }
}

/// Shows the size only.
impl fmt::Debug for EnvValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnvValue({} bytes)", self.bytes.len())
    }
}

/// Why a source cannot give a variable.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvError {
    /// The name is not one.
    #[error(
        "a variable's name is made of letters, digits and _, and does not begin with a digit: rename it, a key with \
         items[].as"
    )]
    NotAName,
    /// The name is one that decides which code runs.
    #[error(
        "this variable decides {decides}, so that a source cannot set it by itself: list it under env.allow of the \
         BootProfile, set it in the pod's spec, or rename it, a key with items[].as"
    )]
    Reserved {
        /// What it decides.
        decides: &'static str,
    },
    /// Name and value are more than Linux takes.
    #[error(
        "name and value take {size} bytes, and Linux takes {MAX_RECORD_BYTES} at most in one variable: give it as a \
         file"
    )]
    TooLong {
        /// Their size in bytes.
        size: usize,
    },
    /// The name or the value cannot be written to the env file.
    #[error("{0}: give it as a file")]
    Invalid(#[from] InvalidRecord),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_every_shell_can_read() {
        for name in ["A", "_", "_1", "db_user", "LDAP_HOST", "PATHS", "HOMEPAGE"] {
            assert_eq!(EnvName::parse(name).unwrap().to_string(), name);
        }
        for name in ["", "1A", "db-user", "a.b", "A=B", "A\0", "A B", "Ä", "BASH_FUNC_ls%%"] {
            assert_eq!(EnvName::parse(name), Err(EnvError::NotAName), "{name:?}");
        }
    }

    #[test]
    fn a_value_holds_any_byte_but_nul() {
        let name = EnvName::parse("TOKEN").unwrap();
        let bytes: Vec<u8> = (1..=255).collect();
        assert_eq!(EnvValue::parse(&name, bytes.clone(), false).unwrap().bytes, bytes);
        let error = EnvValue::parse(&name, b"hunter2\0".to_vec(), true).unwrap_err();
        assert_eq!(error, EnvError::Invalid(InvalidRecord::NulInValue));
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn debug_hides_the_value() {
        let name = EnvName::parse("TOKEN").unwrap();
        let value = EnvValue::parse(&name, b"hunter2".to_vec(), true).unwrap();
        assert_eq!(format!("{value:?}"), "EnvValue(7 bytes)");
    }

    /// Against the kernel that the test runs on: the longest record that is taken here can be given to a
    /// process, and one byte more cannot (where pages are no larger than 4 KiB).
    #[test]
    fn the_longest_record_is_the_kernels() {
        let name = EnvName::parse("LONG").unwrap();
        let longest = MAX_RECORD_BYTES - "LONG=\0".len();
        let spawn = |length: usize| {
            std::process::Command::new("/bin/true").env_clear().env("LONG", "x".repeat(length)).status()
        };
        assert!(EnvValue::parse(&name, vec![b'x'; longest], false).is_ok());
        assert!(spawn(longest).unwrap().success());
        assert_eq!(
            EnvValue::parse(&name, vec![b'x'; longest + 1], false),
            Err(EnvError::TooLong { size: MAX_RECORD_BYTES + 1 })
        );
        #[cfg(target_arch = "x86_64")]
        assert_eq!(spawn(longest + 1).unwrap_err().kind(), std::io::ErrorKind::ArgumentListTooLong);
    }
}
