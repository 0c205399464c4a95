//! Slots of templates, and how values are escaped for them.

use std::borrow::Cow;

use crate::percent;

/// The place for the result of a template. The text of the template comes from the profile and is not
/// changed. Values come from a pod and are escaped, so that they cannot change the structure around them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// Text without structure: the value of a variable, the content of a file.
    Text,
    /// Path of a URL: a value is (part of) one segment.
    UrlPath,
    /// A form (`application/x-www-form-urlencoded`): a value is (part of) the value of one field.
    Form,
    /// JSON: a value is (part of) a string, for which the template contains the quotes.
    Json,
    /// Path of a file relative to a folder: a value is (part of) one name.
    FilePath,
    /// Image reference (`registry.example.com/team/assets:v3`): a value is part of a name or of the tag.
    ImageReference,
    /// Value of an HTTP header.
    Header,
    /// A name that is sent as a whole, and encoded by the sender.
    Name,
    /// A setting of a volume, whose syntax only its driver knows: a value is part of one name in it.
    Attribute,
}

impl Slot {
    /// Escapes a value for this slot.
    pub(super) fn encode(self, value: &str) -> Result<Cow<'_, str>, String> {
        match self {
            Self::UrlPath | Self::Form => Ok(percent::encode(value).into()),
            Self::Json => {
                let quoted = serde_json::to_string(value).map_err(|error| error.to_string())?;
                let inside = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
                Ok(inside.unwrap_or_default().to_owned().into())
            }
            Self::FilePath if value.contains(['/', '\\', '\0']) => Err(format!(
                "value {value:?} contains a slash, a backslash or a NUL byte, which is not allowed in a file name: replace it, \
                 for example with `… | replace(\"/\", \"-\")`"
            )),
            Self::Header if value.contains(char::is_control) => Err(format!(
                "value {value:?} contains a line break or another control character, which is not allowed in a header: remove \
                 it, for example with `… | replace(\"\\n\", \" \")`"
            )),
            Self::ImageReference if !value.bytes().all(is_tag_character) => Err(format!(
                "value {value:?} contains characters that are not allowed in a tag: replace all except letters, digits, `_`, \
                 `.` and `-`, for example with `… | replace(\"+\", \"-\")`"
            )),
            Self::Attribute
                if !value.bytes().all(is_tag_character)
                    || (!value.is_empty() && value.bytes().all(|byte| byte == b'.')) =>
            {
                Err(format!(
                    "value {value:?} contains characters that can have a meaning for the driver of the volume, or only dots: \
                     replace all except letters, digits, `_`, `.` and `-`, for example with `… | replace(\"/\", \"-\")`"
                ))
            }
            Self::Text
            | Self::FilePath
            | Self::ImageReference
            | Self::Header
            | Self::Name
            | Self::Attribute => Ok(value.into()),
        }
    }

    /// Checks the whole result: several values can form a dot segment together.
    pub(super) fn check(self, text: &str) -> Result<(), String> {
        match self {
            Self::UrlPath if text.split(['/', '\\']).any(|segment| is_dots(&decoded_dots(segment))) => {
                Err(dot_segment_error(text))
            }
            Self::FilePath | Self::Attribute if text.split('/').any(is_dots) => Err(dot_segment_error(text)),
            Self::FilePath if text.is_empty() || text.starts_with('/') => Err(format!(
                "the result {text:?} is not a relative path: must not be empty or start with a slash"
            )),
            Self::Header if text.contains(|c: char| c.is_control() && c != '\t') => Err(format!(
                "the result {text:?} contains a line break or another control character, which is not allowed in a header: \
                 remove it"
            )),
            Self::Name if text.is_empty() || is_dots(text) => {
                Err(format!("the result {text:?} is not a valid name: must not be empty, \".\" or \"..\""))
            }
            Self::Json => serde_json::from_str::<serde::de::IgnoredAny>(text).map(drop).map_err(|error| {
                format!("the result is not valid JSON (line {} column {})", error.line(), error.column())
            }),
            _ => Ok(()),
        }
    }
}

/// Characters of a tag. Names do not have others.
/// <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests>
fn is_tag_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || [b'_', b'.', b'-'].contains(&byte)
}

fn is_dots(segment: &str) -> bool {
    segment == "." || segment == ".."
}

/// URL parsers decode encoded dots in such a segment.
fn decoded_dots(segment: &str) -> String {
    segment.replace("%2e", ".").replace("%2E", ".")
}

fn dot_segment_error(text: &str) -> String {
    format!("the result {text:?} contains \".\" or \"..\", which could leave the folder: replace it")
}
