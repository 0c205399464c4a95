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
                "{value:?} holds a slash, a backslash or a NUL, and a value cannot add folders to a file's path: \
                 replace them, as in `… | replace(\"/\", \"-\")`"
            )),
            Self::Header if value.contains(char::is_control) => Err(format!(
                "{value:?} holds a line end or another control character, which no header's value can: remove it, as in \
                 `… | replace(\"\\n\", \" \")`"
            )),
            Self::ImageReference if !value.bytes().all(is_of_a_tag) => Err(format!(
                "{value:?} holds other characters than letters, digits, `_`, `.` and `-`, of which a tag is made: replace \
                 them, as in `… | replace(\"+\", \"-\")`"
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
            Self::FilePath if text.is_empty() || text.starts_with('/') => {
                Err(format!("{text:?} is no path below the folder"))
            }
            Self::Header if text.contains(|c: char| c.is_control() && c != '\t') => Err(format!(
                "it gives {text:?}, which holds a line end or another control character, and no header's value can"
            )),
            Self::Name if text.is_empty() || is_dots(text) => {
                Err(format!("it gives {text:?}, which is no name"))
            }
            Self::Json => serde_json::from_str::<serde::de::IgnoredAny>(text).map(drop).map_err(|error| {
                format!("what it gives is no JSON, at line {} column {}", error.line(), error.column())
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
    format!("{text:?} holds a segment `.` or `..`, which would leave its folder")
}
