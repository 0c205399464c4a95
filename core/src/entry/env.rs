//! Variables of a source.

use std::borrow::Borrow;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use bootlace_launch::environ::{InvalidRecord, Record};

/// Maximum bytes of a variable: Linux limits an env string to 32 pages (`MAX_ARG_STRLEN`) including the name,
/// `=` and the final NUL byte. With more, exec fails. A page has at least 4 KiB.
pub const MAX_RECORD_BYTES: usize = 32 * 4096;

/// Name of a variable as Kubernetes allows it in a pod: printable ASCII without `=`.
/// <https://kubernetes.io/docs/tasks/inject-data-application/define-environment-variable-container/>
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EnvName(String);

impl EnvName {
    /// Validates a name from a source. `rename` describes how its author can change it.
    ///
    /// # Errors
    /// If a pod cannot have a variable with this name.
    pub fn parse(name: &str, rename: Rename) -> Result<Self, EnvError> {
        if name.is_empty() || !name.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'=') {
            return Err(EnvError::NotAName { rename });
        }
        Ok(Self(name.to_owned()))
    }
}

/// Where a name comes from, which determines how its author can change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rename {
    /// The profile.
    Inline,
    /// A key of an object.
    Keys,
    /// JSON from a server or a store.
    Json,
    /// A job of Optimus.
    Job,
    /// The boot image of the pod.
    InitImage,
}

impl fmt::Display for Rename {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inline => "use another name in the profile",
            Self::Keys => "rename the key with items[].as, or exclude it with exclude",
            Self::Json => "rename it in the JSON, or exclude it with json[].exclude",
            Self::Job => "rename it in the Optimus job",
            Self::InitImage => "change the name in the boot image",
        })
    }
}

/// Compares like its text.
impl Borrow<str> for EnvName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl EnvName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EnvName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Value of a variable: any bytes except NUL. It can be a secret even if its source is not declared as one,
/// so it can only be written to env files.
#[derive(Clone, PartialEq, Eq)]
pub struct EnvValue {
    bytes: Vec<u8>,
    secret: bool,
}

impl EnvValue {
    /// Validates the value of the variable `name`. `secret` is whether its source declares it as a secret.
    ///
    /// # Errors
    /// If the value is too long or contains a NUL byte.
    pub fn parse(name: &EnvName, bytes: Vec<u8>, secret: bool) -> Result<Self, EnvError> {
        let size = name.0.len() + bytes.len() + "=\0".len();
        if size > MAX_RECORD_BYTES {
            return Err(EnvError::TooLong { size });
        }
        let value = Self { bytes, secret };
        value.record(name)?;
        Ok(value)
    }

    /// The variable as a record of the env file.
    ///
    /// # Errors
    /// If the name and the value are not a valid record.
    pub fn record<'a>(&'a self, name: &'a EnvName) -> Result<Record<'a>, EnvError> {
        Ok(Record::new(OsStr::new(&name.0), OsStr::from_bytes(&self.bytes))?)
    }

    /// The bytes. They can be a secret.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Size in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Whether the value is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether its source declares it as a secret.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.secret
    }
}

/// Only shows the size.
impl fmt::Debug for EnvValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnvValue({} bytes)", self.bytes.len())
    }
}

/// Why a variable of a source is invalid.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvError {
    /// The name is invalid.
    #[error(
        "the variable name is invalid, it must consist of printable ASCII characters except \"=\": {rename}"
    )]
    NotAName {
        /// How to rename it.
        rename: Rename,
    },
    /// The variable controls which code runs.
    #[error(
        "this variable controls {decides}, so a source cannot set it unless the profile allows it: add it to env.allow of the \
         BootProfile, set it in the pod, or {rename}"
    )]
    Reserved {
        /// What it controls.
        decides: &'static str,
        /// How to rename it.
        rename: Rename,
    },
    /// Name and value exceed the limit of Linux.
    #[error(
        "name and value have {size} bytes, the limit of Linux for a variable is {MAX_RECORD_BYTES}: provide the value as a file"
    )]
    TooLong {
        /// Size in bytes.
        size: usize,
    },
    /// The name or the value cannot be written to the env file.
    #[error("{0}: provide the value as a file")]
    Invalid(#[from] InvalidRecord),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> EnvName {
        EnvName::parse(text, Rename::Keys).unwrap()
    }

    #[test]
    fn a_name_is_valid_if_kubernetes_accepts_it() {
        for text in
            ["A", "_1", "LDAP_HOST", "1A", "db-user", "spring.datasource.url", "Logging:LogLevel", "A B", "~"]
        {
            assert_eq!(name(text).to_string(), text);
        }
        for text in ["", "A=B", "=", "A\0", "A\n", "\u{7f}", "Ä"] {
            let refused = EnvName::parse(text, Rename::Json);
            assert_eq!(refused, Err(EnvError::NotAName { rename: Rename::Json }), "{text:?}");
        }
    }

    #[test]
    fn a_value_can_contain_any_byte_except_nul() {
        let name = name("TOKEN");
        let bytes: Vec<u8> = (1..=255).collect();
        assert_eq!(EnvValue::parse(&name, bytes.clone(), false).unwrap().bytes, bytes);
        let error = EnvValue::parse(&name, b"hunter2\0".to_vec(), true).unwrap_err();
        assert_eq!(error, EnvError::Invalid(InvalidRecord::NulInValue));
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn debug_hides_the_value() {
        let name = name("TOKEN");
        let value = EnvValue::parse(&name, b"hunter2".to_vec(), true).unwrap();
        assert_eq!(format!("{value:?}"), "EnvValue(7 bytes)");
    }

    /// Compares with the running kernel: a process starts with the longest accepted record, and not with one
    /// byte more (if pages have 4 KiB).
    #[test]
    fn the_longest_record_is_the_kernels() {
        let name = name("LONG");
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
