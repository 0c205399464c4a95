//! How the task of an attempt ends, for the hooks that the sidecar runs.

use std::error::Error;
use std::fmt;

/// What the launcher knows about the end of the task.
///
/// Its file contains one line: `stopping SIGNAL`, or `ended CAUSE EXIT SIGNAL MILLISECONDS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A signal to stop has arrived. The task still runs.
    Stopping {
        /// The number of the signal.
        signal: u8,
    },
    /// The task has ended.
    Ended(Ended),
}

/// How a task has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Who ended it.
    pub cause: Cause,
    /// Its exit code: 128 and the number of the signal, if a signal killed it.
    pub exit: u8,
    /// The number of the signal that killed it; 0 if it exited.
    pub signal: u8,
    /// How long it ran, in milliseconds.
    pub milliseconds: u64,
}

/// Who ended a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The task: it exited or crashed.
    Itself,
    /// Someone else: a signal to stop arrived before it exited, or a signal that no program sends to itself
    /// killed it.
    Others,
}

impl Cause {
    fn as_str(self) -> &'static str {
        match self {
            Self::Itself => "itself",
            Self::Others => "others",
        }
    }
}

impl Ending {
    /// The maximum size of the file, in bytes.
    pub(super) const MAX_BYTES: u64 = 64;

    /// The content of the file.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        match self {
            Self::Stopping { signal } => format!("stopping {signal}\n"),
            Self::Ended(Ended { cause, exit, signal, milliseconds }) => {
                format!("ended {} {exit} {signal} {milliseconds}\n", cause.as_str())
            }
        }
        .into_bytes()
    }

    /// Parses the content of the file.
    ///
    /// # Errors
    /// It does not have the format of [`Self::encode`].
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidEnding> {
        Self::parse_line(bytes).filter(|ending| ending.encode() == bytes).ok_or(InvalidEnding)
    }

    fn parse_line(bytes: &[u8]) -> Option<Self> {
        let line = str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
        let mut words = line.split(' ');
        match words.next()? {
            "stopping" => Some(Self::Stopping { signal: words.next()?.parse().ok()? }),
            "ended" => {
                let word = words.next()?;
                let cause =
                    [Cause::Itself, Cause::Others].into_iter().find(|cause| cause.as_str() == word)?;
                let (exit, signal) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
                let milliseconds = words.next()?.parse().ok()?;
                Some(Self::Ended(Ended { cause, exit, signal, milliseconds }))
            }
            _ => None,
        }
    }
}

/// The content of a file is not an [`Ending`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidEnding;

impl fmt::Display for InvalidEnding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be `stopping` or `ended`, and numbers")
    }
}

impl Error for InvalidEnding {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parse_reverses_encode(exit in any::<u8>(), signal in any::<u8>(), milliseconds in any::<u64>()) {
            let ended = |cause| Ending::Ended(Ended { cause, exit, signal, milliseconds });
            for ending in [Ending::Stopping { signal }, ended(Cause::Itself), ended(Cause::Others)] {
                let bytes = ending.encode();
                prop_assert!(bytes.len() as u64 <= Ending::MAX_BYTES);
                prop_assert_eq!(Ending::parse(&bytes), Ok(ending));
            }
        }
    }

    #[test]
    fn other_content_is_rejected() {
        for bytes in [
            "",
            "\n",
            "stopping\n",
            "stopping 15",
            "stopping 015\n",
            "stopping 15 1\n",
            "stopping 999\n",
            "ended itself 0 0\n",
            "ended nobody 0 0 1\n",
            "ended itself 0 0 1 2\n",
            "ended itself 0 0 -1\n",
        ] {
            assert_eq!(Ending::parse(bytes.as_bytes()), Err(InvalidEnding), "{bytes:?}");
        }
    }
}
