//! What the launcher hands over.

use std::error::Error;
use std::fmt;

use super::{MAX_BYTES, MAX_FILES, MAX_OUTPUTS, OneLine};

/// How a task ended, and what of it is handed over.
///
/// In its file it is lines of words, each line ended by a newline. No field can hold a space but the last one of
/// `refused`. The line `end` shows that nothing is missing.
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

/// What became of a task's outputs on the launcher's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// They are to be stored. There are none where the task failed, or where it wrote none of its optional ones.
    Outputs(Vec<Output>),
    /// They cannot be stored, and why: one is missing, too large, or no file. The task fails for it.
    Refused(OneLine),
}

/// One declared output: it becomes one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The key that later tasks name it by; see [`is_data_key`].
    pub key: String,
    /// What it is stored as.
    pub kind: Kind,
    /// Its files, each of another name. More than one only where a pattern was declared.
    pub files: Vec<File>,
}

/// One file of an output. Its bytes lie in the attempt's folder, by its place among all files of the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
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
    /// The kind as Kubernetes spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        }
    }

    /// Reads a kind as Kubernetes spells it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::ConfigMap, Self::Secret].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Whether a name can be a key in the data of a `ConfigMap` or Secret (`IsConfigMapKey` of Kubernetes'
/// validation): 1 to 253 of `A-Z a-z 0-9 - _ .`, but neither `.` nor anything that begins with `..`.
#[must_use]
pub fn is_data_key(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    matches!(name.len(), 1..=253) && name.bytes().all(allowed) && name != "." && !name.starts_with("..")
}

impl Manifest {
    /// The most that a manifest's file can have, in bytes: every output and file with the longest names, and what
    /// stands around them.
    pub(super) const MAX_BYTES: u64 = (MAX_OUTPUTS as u64 + MAX_FILES as u64) * 300 + 2048;

    const HEADER: &'static str = "bootlace-handover 1";

    /// A manifest of a task that ended with `exit`, 128 and the signal's number where a signal ended it.
    ///
    /// # Errors
    /// There is more in it than the limits of this module, a name that is no data key, or a name twice.
    pub fn new(exit: u8, outcome: Outcome) -> Result<Self, ManifestError> {
        if let Outcome::Outputs(outputs) = &outcome {
            check(outputs)?;
        }
        Ok(Self { exit, outcome })
    }

    /// A manifest of a task that leaves no outputs.
    #[must_use]
    pub fn nothing(exit: u8) -> Self {
        Self { exit, outcome: Outcome::Outputs(Vec::new()) }
    }

    /// What the task ended with.
    #[must_use]
    pub fn exit(&self) -> u8 {
        self.exit
    }

    /// What became of its outputs.
    #[must_use]
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// The manifest as its file's content.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut text = format!("{}\nexit {}\n", Self::HEADER, self.exit);
        match &self.outcome {
            Outcome::Refused(sentence) => text += &["refused ", sentence.as_str(), "\n"].concat(),
            Outcome::Outputs(outputs) => {
                for Output { key, kind, files } in outputs {
                    text += &["output ", key, " ", kind.as_str(), "\n"].concat();
                    for File { name, size } in files {
                        text += &["file ", &size.to_string(), " ", name, "\n"].concat();
                    }
                }
            }
        }
        text += "end\n";
        text.into_bytes()
    }

    /// Reads a manifest's file.
    ///
    /// # Errors
    /// It is not what [`Self::encode`] writes of a manifest that [`Self::new`] takes.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let text = str::from_utf8(bytes).map_err(|_| ManifestError::NotText)?;
        // On its own line: a sentence that ends with this word does not end the manifest.
        let body = text.strip_suffix("end\n").filter(|body| body.ends_with('\n'));
        let body = body.ok_or(ManifestError::Unterminated)?;
        let mut lines =
            (1..).zip(body.split_inclusive('\n').map(|line| line.strip_suffix('\n').unwrap_or(line)));
        if lines.next().is_none_or(|(_, line)| line != Self::HEADER) {
            return Err(ManifestError::Version);
        }
        let exit = match lines.next() {
            Some((number, line)) => {
                line.strip_prefix("exit ").and_then(number_of).ok_or(ManifestError::Line(number))?
            }
            None => return Err(ManifestError::Line(2)),
        };
        let mut outputs: Vec<Output> = Vec::new();
        let mut refused = None;
        for (number, line) in lines {
            let bad = || ManifestError::Line(number);
            let (word, rest) = line.split_once(' ').ok_or_else(bad)?;
            match (word, refused.is_some()) {
                ("output", false) => {
                    let (key, kind) = rest.split_once(' ').ok_or_else(bad)?;
                    let kind = Kind::parse(kind).ok_or_else(bad)?;
                    outputs.push(Output { key: key.to_owned(), kind, files: Vec::new() });
                }
                ("file", false) => {
                    let (size, name) = rest.split_once(' ').ok_or_else(bad)?;
                    let size = number_of(size).ok_or_else(bad)?;
                    let output = outputs.last_mut().ok_or_else(bad)?;
                    output.files.push(File { name: name.to_owned(), size });
                }
                ("refused", false) if outputs.is_empty() => {
                    refused = Some(OneLine::exactly(rest).ok_or_else(bad)?);
                }
                _ => return Err(bad()),
            }
        }
        Self::new(exit, refused.map_or(Outcome::Outputs(outputs), Outcome::Refused))
    }
}

/// A number as it is written: std also reads `+1` and `01`.
fn number_of<T: std::str::FromStr + ToString>(text: &str) -> Option<T> {
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
            return Err(ManifestError::KeyTwice(output.key.clone()));
        }
        for (at, file) in output.files.iter().enumerate() {
            if !is_data_key(&file.name) {
                return Err(ManifestError::Name);
            }
            if output.files.iter().take(at).any(|other| other.name == file.name) {
                return Err(ManifestError::NameTwice { key: output.key.clone(), name: file.name.clone() });
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

/// Why there is no manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ManifestError {
    /// The bytes are not UTF-8.
    NotText,
    /// The line `end` is missing.
    Unterminated,
    /// The first line names no version that is known here.
    Version,
    /// A line cannot be read; lines count from 1.
    Line(usize),
    /// A key or a file's name is no data key.
    Name,
    /// A key stands twice.
    KeyTwice(String),
    /// Two files of one output have the same name.
    NameTwice {
        /// The output's key.
        key: String,
        /// The files' name.
        name: String,
    },
    /// More than [`MAX_OUTPUTS`].
    TooManyOutputs,
    /// More than [`MAX_FILES`].
    TooManyFiles,
    /// More than [`MAX_BYTES`]; this many.
    TooLarge(u64),
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotText => f.write_str("it is not UTF-8"),
            Self::Unterminated => f.write_str("its last line is not `end`"),
            Self::Version => write!(f, "its first line is not `{}`", Manifest::HEADER),
            Self::Line(number) => write!(f, "line {number} cannot be read"),
            Self::Name => f.write_str("a name in it is no key of a ConfigMap"),
            Self::KeyTwice(key) => write!(f, "output {key} stands twice"),
            Self::NameTwice { key, name } => write!(f, "output {key} has two files named {name}"),
            Self::TooManyOutputs => write!(f, "there are more than {MAX_OUTPUTS} outputs"),
            Self::TooManyFiles => write!(f, "there are more than {MAX_FILES} files"),
            Self::TooLarge(bytes) => {
                write!(f, "the files have {bytes} bytes; together they may have {MAX_BYTES}")
            }
        }
    }
}

impl Error for ManifestError {}

#[cfg(test)]
mod tests;
