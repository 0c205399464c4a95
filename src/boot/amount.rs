//! Amounts of content, for the log and for messages.

use std::fmt;

use serde::Serialize;

use bootlace_core::entry::EnvValue;

/// An amount of content: `2 variables (1 secret), 1 file, 3.4 KiB`.
#[derive(Clone, Copy, Default, Serialize)]
pub(crate) struct Amount {
    /// Variables, including secret ones.
    pub(crate) variables: usize,
    /// Secret variables.
    pub(crate) secrets: usize,
    /// Files.
    pub(crate) files: usize,
    /// Size of all values and files in bytes.
    pub(crate) bytes: u64,
}

impl Amount {
    /// The amount of these variables, and of files with these sizes.
    pub(crate) fn new<'a>(env: impl Iterator<Item = &'a EnvValue>, files: impl Iterator<Item = u64>) -> Self {
        let mut amount = Self::default();
        for value in env {
            amount.variables += 1;
            amount.secrets += usize::from(value.is_secret());
            amount.bytes += value.len();
        }
        for bytes in files {
            amount.files += 1;
            amount.bytes += bytes;
        }
        amount
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ending = |count: usize| if count == 1 { "" } else { "s" };
        let Self { variables, secrets, files, bytes } = *self;
        write!(f, "{variables} variable{}", ending(variables))?;
        if secrets > 0 {
            write!(f, " ({secrets} secret)")?;
        }
        write!(f, ", {files} file{}, {}", ending(files), Bytes(bytes))
    }
}

/// A human-readable size: `312 B`, `3.4 KiB`.
pub(super) struct Bytes(pub(super) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u32, &str); 3] = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
        let Some((shift, unit)) = UNITS.into_iter().find(|(shift, _)| self.0 >> shift > 0) else {
            return write!(f, "{} B", self.0);
        };
        let tenths = (u128::from(self.0) * 10) >> shift;
        write!(f, "{}.{} {unit}", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_readable() {
        let amount =
            |variables, secrets, files, bytes| Amount { variables, secrets, files, bytes }.to_string();
        assert_eq!(amount(1, 0, 1, 0), "1 variable, 1 file, 0 B");
        assert_eq!(amount(0, 0, 2, 1023), "0 variables, 2 files, 1023 B");
        assert_eq!(amount(2, 1, 0, 1536), "2 variables (1 secret), 0 files, 1.5 KiB");
        assert_eq!(amount(0, 0, 1, 104_857_599), "0 variables, 1 file, 99.9 MiB");
        assert_eq!(Bytes(u64::MAX).to_string(), "17179869183.9 GiB");
    }
}
