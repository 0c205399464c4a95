//! The boot env's file format: `NAME=value` records, each ended by a NUL byte, as in `/proc/PID/environ`.
//!
//! Values hold any byte but NUL: newlines, quotes and bytes that are not UTF-8 need no escape, so nothing can
//! break out of its record. Records keep their order; where a name comes twice the later record wins, as
//! later sources win over earlier ones.

use std::error::Error;
use std::ffi::{CStr, OsStr};
use std::fmt;
use std::os::unix::ffi::OsStrExt;

/// One environment variable that can be put into an environ file and into a process.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    name: &'a OsStr,
    value: &'a OsStr,
}

impl<'a> Record<'a> {
    /// Checks a name and a value.
    ///
    /// # Errors
    /// The name is empty or holds `=` or NUL, or the value holds NUL.
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

    /// The variable's name.
    #[must_use]
    pub fn name(&self) -> &'a OsStr {
        self.name
    }

    /// The variable's value, which may be a secret.
    #[must_use]
    pub fn value(&self) -> &'a OsStr {
        self.value
    }
}

/// Shows the name only: values may be secrets.
impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({:?}, {} bytes)", self.name, self.value.len())
    }
}

/// Why a name and a value are no environment variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidRecord {
    /// The name has no bytes.
    EmptyName,
    /// The name holds `=`, which ends a name.
    EqualsInName,
    /// The name holds a NUL byte, which ends a record.
    NulInName,
    /// The value holds a NUL byte, which ends a record.
    NulInValue,
}

impl fmt::Display for InvalidRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EmptyName => "the name is empty",
            Self::EqualsInName => "the name holds `=`",
            Self::NulInName => "the name holds a NUL byte",
            Self::NulInValue => "the value holds a NUL byte, which no environment variable can",
        })
    }
}

impl Error for InvalidRecord {}

/// Why bytes are no environ file and no keep list. It never holds a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseError {
    /// A record, counted from 1, is not `NAME=value`.
    Malformed {
        /// The record's number, from 1.
        record: usize,
    },
    /// A name in a keep list, counted from 1, is empty.
    EmptyName {
        /// The record's number, from 1.
        record: usize,
    },
    /// The last record, counted from 1, has no NUL byte at its end: the file was cut short.
    Unterminated {
        /// The record's number, from 1.
        record: usize,
    },
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { record } => write!(f, "record {record} is not `NAME=value`"),
            Self::EmptyName { record } => write!(f, "record {record} is an empty name"),
            Self::Unterminated { record } => {
                write!(f, "record {record} does not end with a NUL byte, so the file was cut short")
            }
        }
    }
}

impl Error for ParseError {}

/// What a record takes, in bytes, when there are many of them.
const TYPICAL_LEN: usize = 32;

/// Reads an environ file's records in their order.
///
/// # Errors
/// A record is not `NAME=value`, or the last one is not ended.
pub fn parse(bytes: &[u8]) -> Result<Vec<Record<'_>>, ParseError> {
    // Room for all is asked for at once; what of it is not used costs nothing.
    let mut records = Vec::with_capacity(bytes.len() / TYPICAL_LEN + 1);
    let mut rest = bytes;
    while !rest.is_empty() {
        let record = records.len() + 1;
        // std searches for the NUL byte by the word, which `split` does not.
        let text =
            CStr::from_bytes_until_nul(rest).map_err(|_| ParseError::Unterminated { record })?.to_bytes();
        records.push(split(text).ok_or(ParseError::Malformed { record })?);
        rest = rest.get(text.len() + 1..).unwrap_or_default();
    }
    Ok(records)
}

/// Writes records as an environ file, in their order. Sorted by name they are fastest to load.
#[must_use]
pub fn encode<'a>(records: impl IntoIterator<Item = Record<'a>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for Record { name, value } in records {
        write(&mut bytes, name, value);
    }
    bytes
}

/// Writes one variable behind others, unchecked: of names and values that come from a process.
pub fn write(bytes: &mut Vec<u8>, name: &OsStr, value: &OsStr) {
    bytes.extend_from_slice(name.as_bytes());
    bytes.push(b'=');
    bytes.extend_from_slice(value.as_bytes());
    bytes.push(0);
}

/// Splits what holds no NUL byte at its first `=`.
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
    fn reads_any_byte_but_nul() {
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
    fn an_empty_file_holds_no_records() {
        assert_eq!(parse(b"").unwrap(), []);
    }

    #[test]
    fn refuses_what_is_no_record_and_names_its_number() {
        for (bytes, error) in [
            (&b"A=1\0hunter2\0"[..], ParseError::Malformed { record: 2 }),
            (b"=hunter2\0", ParseError::Malformed { record: 1 }),
            (b"A=1\0\0B=2\0", ParseError::Malformed { record: 2 }),
            (b"A=1\0B=hunter2", ParseError::Unterminated { record: 2 }),
        ] {
            let refused = parse(bytes).unwrap_err();
            assert_eq!(refused, error);
            assert!(!format!("{refused} {refused:?}").contains("hunter2"), "{refused}");
        }
    }

    #[test]
    fn refuses_to_make_what_could_not_be_read_back() {
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
        fn what_is_encoded_is_read_back(
            pairs in prop::collection::vec(
                (prop::collection::vec(any::<u8>().prop_filter("ends a name", |b| *b != 0 && *b != b'='), 1..20),
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
        fn what_is_read_is_written_back_byte_for_byte(bytes in prop::collection::vec(
            prop::sample::select(b"\0=AB\xff\n".as_slice()), 0..40,
        )) {
            if let Ok(records) = parse(&bytes) {
                prop_assert_eq!(encode(records), bytes);
            }
        }
    }
}
