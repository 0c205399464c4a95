//! The file format of the boot env: `NAME=value` records, each terminated by a NUL byte, as in
//! `/proc/PID/environ`.
//!
//! Values can contain any byte except NUL. Newlines, quotes and bytes that are not UTF-8 need no escape, so a
//! value cannot break the format. Records keep their order. If a name occurs twice, the later record
//! overrides the earlier one, as later sources override earlier ones.

use std::error::Error;
use std::ffi::{CStr, OsStr};
use std::fmt;
use std::os::unix::ffi::OsStrExt;

/// An environment variable that is valid in an environ file and in a process.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    name: &'a OsStr,
    value: &'a OsStr,
}

impl<'a> Record<'a> {
    /// Creates a record from a name and a value.
    ///
    /// # Errors
    /// The name is empty or contains `=` or NUL, or the value contains NUL.
    pub fn new(name: &'a OsStr, value: &'a OsStr) -> Result<Self, InvalidRecord> {
        if name.is_empty() {
            return Err(InvalidRecord::EmptyName);
        }
        if let Some(&byte) = name.as_bytes().iter().find(|&&byte| byte == b'=' || byte == 0) {
            return Err(if byte == 0 { InvalidRecord::NulInName } else { InvalidRecord::EqualsInName });
        }
        if value.as_bytes().contains(&0) {
            return Err(InvalidRecord::NulInValue);
        }
        Ok(Self { name, value })
    }

    /// The name of the variable.
    #[must_use]
    pub fn name(&self) -> &'a OsStr {
        self.name
    }

    /// The value of the variable, which can be a secret.
    #[must_use]
    pub fn value(&self) -> &'a OsStr {
        self.value
    }
}

/// Shows only the name, because values can be secrets.
impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({:?}, {} bytes)", self.name, self.value.len())
    }
}

/// The name and the value are not a valid environment variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidRecord {
    /// The name is empty.
    EmptyName,
    /// The name contains `=`, which terminates names.
    EqualsInName,
    /// The name contains a NUL byte, which terminates records.
    NulInName,
    /// The value contains a NUL byte, which terminates records.
    NulInValue,
}

impl fmt::Display for InvalidRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EmptyName => "the name is empty",
            Self::EqualsInName => "the name contains `=`",
            Self::NulInName => "the name contains a NUL byte",
            Self::NulInValue => "the value contains a NUL byte",
        })
    }
}

impl Error for InvalidRecord {}

/// An environ file or a keep list is invalid. The message never contains a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseError {
    /// A record is not `NAME=value`.
    Malformed {
        /// The number of the record. The first has the number 1.
        record: usize,
    },
    /// A name in a keep list is empty.
    EmptyName {
        /// The number of the record. The first has the number 1.
        record: usize,
    },
    /// The last record has no NUL byte at its end: the file was truncated.
    Unterminated {
        /// The number of the record. The first has the number 1.
        record: usize,
    },
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { record } => write!(f, "record {record} is not `NAME=value`"),
            Self::EmptyName { record } => write!(f, "record {record} has an empty name"),
            Self::Unterminated { record } => {
                write!(f, "record {record} does not end with a NUL byte, so the file was truncated")
            }
        }
    }
}

impl Error for ParseError {}

/// The typical size of a record in a large file, in bytes.
const TYPICAL_LEN: usize = 32;

/// Parses the records of an environ file, in their order.
///
/// # Errors
/// A record is not `NAME=value`, or the last one is not terminated.
pub fn parse(bytes: &[u8]) -> Result<Vec<Record<'_>>, ParseError> {
    // Reserves memory for all records at once. Unused pages cost nothing.
    let mut records = Vec::with_capacity(bytes.len() / TYPICAL_LEN + 1);
    let mut rest = bytes;
    while !rest.is_empty() {
        let record = records.len() + 1;
        // This function searches for the NUL byte word by word, unlike `split`.
        let text =
            CStr::from_bytes_until_nul(rest).map_err(|_| ParseError::Unterminated { record })?.to_bytes();
        records.push(split(text).ok_or(ParseError::Malformed { record })?);
        rest = rest.get(text.len() + 1..).unwrap_or_default();
    }
    Ok(records)
}

/// Encodes records as an environ file, in their order. Records that are sorted by name load fastest.
#[must_use]
pub fn encode<'a>(records: impl IntoIterator<Item = Record<'a>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for Record { name, value } in records {
        write(&mut bytes, name, value);
    }
    bytes
}

/// Appends a variable without validation, for names and values from a process.
pub fn write(bytes: &mut Vec<u8>, name: &OsStr, value: &OsStr) {
    bytes.extend_from_slice(name.as_bytes());
    bytes.push(b'=');
    bytes.extend_from_slice(value.as_bytes());
    bytes.push(0);
}

/// Splits a record without its NUL byte at the first `=`.
fn split(text: &[u8]) -> Option<Record<'_>> {
    let equals = text.iter().position(|&byte| byte == b'=').filter(|&equals| equals > 0)?;
    let (name, value) = text.split_at_checked(equals)?;
    Some(Record { name: OsStr::from_bytes(name), value: OsStr::from_bytes(value.strip_prefix(b"=")?) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record<'a>(name: &'a str, value: &'a [u8]) -> Record<'a> {
        Record::new(OsStr::new(name), OsStr::from_bytes(value)).unwrap()
    }

    #[test]
    fn values_can_contain_any_byte_except_nul() {
        let bytes = b"EMPTY=\0EQUALS=a=b=\0LINES=one\ntwo\n\0QUOTES='\"$A`\0BYTES=\xff\xfe\0";
        assert_eq!(
            parse(bytes).unwrap(),
            [
                record("EMPTY", b""),
                record("EQUALS", b"a=b="),
                record("LINES", b"one\ntwo\n"),
                record("QUOTES", b"'\"$A`"),
                record("BYTES", b"\xff\xfe"),
            ]
        );
    }

    #[test]
    fn an_empty_file_has_no_records() {
        assert_eq!(parse(b"").unwrap(), []);
    }

    #[test]
    fn rejects_an_invalid_record_and_names_its_number() {
        for (bytes, error) in [
            (&b"A=1\0hunter2\0"[..], ParseError::Malformed { record: 2 }),
            (b"=hunter2\0", ParseError::Malformed { record: 1 }),
            (b"A=1\0\0B=2\0", ParseError::Malformed { record: 2 }),
            (b"A=1\0B=hunter2", ParseError::Unterminated { record: 2 }),
        ] {
            let actual = parse(bytes).unwrap_err();
            assert_eq!(actual, error);
            assert!(!format!("{actual} {actual:?}").contains("hunter2"), "{actual}");
        }
    }

    #[test]
    fn rejects_invalid_names_and_values() {
        for (name, value, error) in [
            ("", "", InvalidRecord::EmptyName),
            ("A=B", "", InvalidRecord::EqualsInName),
            ("A\0", "", InvalidRecord::NulInName),
            ("A", "1\0B=2", InvalidRecord::NulInValue),
        ] {
            assert_eq!(Record::new(name.as_ref(), value.as_ref()), Err(error));
        }
    }

    #[test]
    fn debug_hides_the_value() {
        assert_eq!(format!("{:?}", record("TOKEN", b"hunter2")), r#"Record("TOKEN", 7 bytes)"#);
    }

    proptest! {
        #[test]
        fn parse_reverses_encode(
            pairs in prop::collection::vec(
                (prop::collection::vec(any::<u8>().prop_filter("terminates a name", |b| *b != 0 && *b != b'='), 1..20),
                 prop::collection::vec(1u8.., 0..200)),
                0..20,
            )
        ) {
            let records: Vec<_> = pairs
                .iter()
                .map(|(name, value)| Record::new(OsStr::from_bytes(name), OsStr::from_bytes(value)).unwrap())
                .collect();
            let bytes = encode(records.iter().copied());
            prop_assert_eq!(parse(&bytes).unwrap(), records);
        }

        #[test]
        fn encode_reverses_parse(bytes in prop::collection::vec(
            prop::sample::select(b"\0=AB\xff\n".as_slice()), 0..40,
        )) {
            if let Ok(records) = parse(&bytes) {
                prop_assert_eq!(encode(records), bytes);
            }
        }
    }
}
