//! Where a value lands, and how it is written there.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Where a template's text goes. The template's own text is the profile's and stands as it is; values are a pod's, and
/// written so that they stay one thing in that place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// Text that nothing takes apart: an env value, a file's content.
    Text,
    /// The path of a URL: a value is (part of) one segment.
    UrlPath,
    /// A form, as a browser posts it (`application/x-www-form-urlencoded`): a value is (part of) one field's.
    Form,
    /// JSON: a value is (part of) a string, around which the template writes the quotes.
    Json,
    /// A path of a file below a folder: a value is (part of) one name.
    FilePath,
    /// What a registry is asked for (`registry.example.com/team/assets:v3`): a value is part of a name or of the tag.
    ImageReference,
    /// The value of a header of HTTP.
    Header,
    /// A name or a word that is sent whole, and encoded by whoever sends it.
    Name,
}

/// All but what RFC 3986 calls unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl Slot {
    /// Writes a value for this place.
    pub(super) fn encode(self, value: &str) -> Result<Cow<'_, str>, String> {
        match self {
            Self::UrlPath | Self::Form => Ok(utf8_percent_encode(value, RESERVED).into()),
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
            Self::ImageReference if !value.bytes().all(is_of_a_tag) => Err(format!(
                "value {value:?} contains characters that are not allowed in a tag: replace all except letters, digits, `_`, \
                 `.` and `-`, for example with `… | replace(\"+\", \"-\")`"
            )),
            Self::Text | Self::FilePath | Self::ImageReference | Self::Header | Self::Name => {
                Ok(value.into())
            }
        }
    }

    /// Checks the whole text: values can make a dot segment together that none is alone.
    pub(super) fn check(self, text: &str) -> Result<(), String> {
        match self {
            Self::UrlPath if text.split(['/', '\\']).any(|segment| is_dots(&decoded_dots(segment))) => {
                Err(leaves(text))
            }
            Self::FilePath if text.split('/').any(is_dots) => Err(leaves(text)),
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

/// A tag's characters. No name has others.
/// <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests>
fn is_of_a_tag(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || [b'_', b'.', b'-'].contains(&byte)
}

fn is_dots(segment: &str) -> bool {
    segment == "." || segment == ".."
}

/// A URL's parser reads an encoded dot in such a segment like a dot.
fn decoded_dots(segment: &str) -> String {
    segment.replace("%2e", ".").replace("%2E", ".")
}

fn leaves(text: &str) -> String {
    format!("the result {text:?} contains \".\" or \"..\", which could leave the folder: replace it")
}
