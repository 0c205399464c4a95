//! The manifest of the outputs, from the launcher.

use std::error::Error;
use std::fmt;

use super::{MAX_BYTES, MAX_FILES, MAX_OUTPUTS, OneLine};

/// The exit code of a task, and its outputs.
///
/// Its file contains lines of words. Each line ends with a newline. Only the last field of `refused` can
/// contain spaces. The line `end` shows that the file is complete.
///
/// ```text
/// bootlace-handover 1
/// exit 0
/// output Certificate Secret
/// file 1704 tls.crt
/// file 227 tls.key
/// output Report ConfigMap
/// end
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    exit: u8,
    outcome: Outcome,
}

/// The outputs of a task, or the error of the launcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The outputs to store. Empty if the task failed or wrote none of its optional outputs.
    Outputs(Vec<Output>),
    /// The outputs cannot be stored, for example because one is missing, too large, or not a file. The task
    /// fails.
    Refused(OneLine),
}

/// A declared output, which is stored as one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The key by which later tasks refer to it; see [`is_data_key`].
    pub key: String,
    /// The kind of its object.
    pub kind: Kind,
    /// Its files, with unique names. More than one only if a pattern was declared.
    pub files: Vec<FileEntry>,
}

/// A file of an output. Its content is in the directory of the attempt, by its index among all files of the
/// manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Its key in the object; see [`is_data_key`].
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
}

/// The kind of object that an output is stored as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A `ConfigMap`.
    ConfigMap,
    /// A Secret.
    Secret,
}

impl Kind {
    /// The kind in the spelling of Kubernetes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        }
    }

    /// Parses a kind in the spelling of Kubernetes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::ConfigMap, Self::Secret].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Whether a name can be a key in the data of a `ConfigMap` or Secret (`IsConfigMapKey` of Kubernetes'
/// validation): 1 to 253 of `A-Z a-z 0-9 - _ .`, except `.` and names that start with `..`.
#[must_use]
pub fn is_data_key(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    matches!(name.len(), 1..=253) && name.bytes().all(allowed) && name != "." && !name.starts_with("..")
}

impl Manifest {
    /// The maximum size of the file, in bytes: all outputs and files with the longest names, and the other
    /// lines.
    pub(super) const MAX_BYTES: u64 = (MAX_OUTPUTS as u64 + MAX_FILES as u64) * 300 + 2048;

    const HEADER: &'static str = "bootlace-handover 1";

    /// Creates the manifest of a task with the exit code `exit`: 128 plus the number of the signal if a
    /// signal killed it.
    ///
    /// # Errors
    /// A limit of this module is exceeded, or a name is not a data key or not unique.
    pub fn new(exit: u8, outcome: Outcome) -> Result<Self, ManifestError> {
        if let Outcome::Outputs(outputs) = &outcome {
            check(outputs)?;
        }
        Ok(Self { exit, outcome })
    }

    /// Creates the manifest of a task without outputs.
    #[must_use]
    pub fn nothing(exit: u8) -> Self {
        Self { exit, outcome: Outcome::Outputs(Vec::new()) }
    }

    /// The exit code of the task.
    #[must_use]
    pub fn exit(&self) -> u8 {
        self.exit
    }

    /// The outputs of the task.
    #[must_use]
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// The content of the file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut text = format!("{}\nexit {}\n", Self::HEADER, self.exit);
        match &self.outcome {
            Outcome::Refused(message) => text += &["refused ", message.as_str(), "\n"].concat(),
            Outcome::Outputs(outputs) => {
                for Output { key, kind, files } in outputs {
                    text += &["output ", key, " ", kind.as_str(), "\n"].concat();
                    for FileEntry { name, size } in files {
                        text += &["file ", &size.to_string(), " ", name, "\n"].concat();
                    }
                }
            }
        }
        text += "end\n";
        text.into_bytes()
    }

    /// Parses the content of the file.
    ///
    /// # Errors
    /// It does not have the format of [`Self::encode`], or [`Self::new`] rejects it.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let text = str::from_utf8(bytes).map_err(|_| ManifestError::NotText)?;
        // On a separate line, because a message can end with this word.
        let body = text.strip_suffix("end\n").filter(|body| body.ends_with('\n'));
        let body = body.ok_or(ManifestError::Unterminated)?;
        let mut lines =
            (1..).zip(body.split_inclusive('\n').map(|line| line.strip_suffix('\n').unwrap_or(line)));
        if lines.next().is_none_or(|(_, line)| line != Self::HEADER) {
            return Err(ManifestError::Version);
        }
        let exit = match lines.next() {
            Some((number, line)) => {
                line.strip_prefix("exit ").and_then(parse_number).ok_or(ManifestError::Line(number))?
            }
            None => return Err(ManifestError::Line(2)),
        };
        let mut outputs: Vec<Output> = Vec::new();
        let mut refused = None;
        for (number, line) in lines {
            let invalid = || ManifestError::Line(number);
            let (word, rest) = line.split_once(' ').ok_or_else(invalid)?;
            match (word, refused.is_some()) {
                ("output", false) => {
                    let (key, kind) = rest.split_once(' ').ok_or_else(invalid)?;
                    let kind = Kind::parse(kind).ok_or_else(invalid)?;
                    outputs.push(Output { key: key.to_owned(), kind, files: Vec::new() });
                }
                ("file", false) => {
                    let (size, name) = rest.split_once(' ').ok_or_else(invalid)?;
                    let size = parse_number(size).ok_or_else(invalid)?;
                    let output = outputs.last_mut().ok_or_else(invalid)?;
                    output.files.push(FileEntry { name: name.to_owned(), size });
                }
                ("refused", false) if outputs.is_empty() => {
                    refused = Some(OneLine::exactly(rest).ok_or_else(invalid)?);
                }
                _ => return Err(invalid()),
            }
        }
        Self::new(exit, refused.map_or(Outcome::Outputs(outputs), Outcome::Refused))
    }
}

/// Parses a number in its usual form. std also accepts `+1` and `01`.
fn parse_number<T: std::str::FromStr + ToString>(text: &str) -> Option<T> {
    text.parse().ok().filter(|number: &T| number.to_string() == text)
}

fn check(outputs: &[Output]) -> Result<(), ManifestError> {
    if outputs.len() > MAX_OUTPUTS {
        return Err(ManifestError::TooManyOutputs);
    }
    let mut files = 0;
    let mut bytes: u64 = 0;
    for (at, output) in outputs.iter().enumerate() {
        if !is_data_key(&output.key) {
            return Err(ManifestError::Name);
        }
        if outputs.iter().take(at).any(|other| other.key == output.key) {
            return Err(ManifestError::DuplicateKey(output.key.clone()));
        }
        for (at, file) in output.files.iter().enumerate() {
            if !is_data_key(&file.name) {
                return Err(ManifestError::Name);
            }
            if output.files.iter().take(at).any(|other| other.name == file.name) {
                return Err(ManifestError::DuplicateName {
                    key: output.key.clone(),
                    name: file.name.clone(),
                });
            }
            files += 1;
            bytes = bytes.saturating_add(file.size);
        }
        if files > MAX_FILES {
            return Err(ManifestError::TooManyFiles);
        }
    }
    if bytes > MAX_BYTES { Err(ManifestError::TooLarge(bytes)) } else { Ok(()) }
}

/// The manifest is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ManifestError {
    /// The bytes are not UTF-8.
    NotText,
    /// The line `end` is missing.
    Unterminated,
    /// The first line does not contain the supported version.
    Version,
    /// The line of this number is invalid. The first line has the number 1.
    Line(usize),
    /// A key or the name of a file is not a data key.
    Name,
    /// Two outputs have the same key.
    DuplicateKey(String),
    /// Two files of one output have the same name.
    DuplicateName {
        /// The key of the output.
        key: String,
        /// The name of the files.
        name: String,
    },
    /// There are more than [`MAX_OUTPUTS`].
    TooManyOutputs,
    /// There are more than [`MAX_FILES`].
    TooManyFiles,
    /// The files have this size, which is more than [`MAX_BYTES`].
    TooLarge(u64),
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotText => f.write_str("it is not UTF-8"),
            Self::Unterminated => f.write_str("its last line is not `end`"),
            Self::Version => write!(f, "its first line is not `{}`", Manifest::HEADER),
            Self::Line(number) => write!(f, "line {number} is invalid"),
            Self::Name => f.write_str("a name is not a valid key of a ConfigMap"),
            Self::DuplicateKey(key) => write!(f, "two outputs have the key \"{key}\""),
            Self::DuplicateName { key, name } => write!(f, "output \"{key}\" has two files named \"{name}\""),
            Self::TooManyOutputs => write!(f, "there are more than {MAX_OUTPUTS} outputs"),
            Self::TooManyFiles => write!(f, "there are more than {MAX_FILES} files"),
            Self::TooLarge(bytes) => {
                write!(f, "the files have {bytes} bytes, and the maximum is {MAX_BYTES}")
            }
        }
    }
}

impl Error for ManifestError {}

#[cfg(test)]
mod tests;
