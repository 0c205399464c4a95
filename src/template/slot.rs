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
    /// A value in a URL's query, or in a form.
    Query,
    /// The inside of a string in JSON: the template writes the quotes.
    Json,
    /// A path of a file below a folder: a value is (part of) one name.
    FilePath,
}

/// All but what RFC 3986 calls unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl Slot {
    /// Writes a value for this place.
    pub(super) fn encode(self, value: &str) -> Result<Cow<'_, str>, String> {
        match self {
            Self::UrlPath | Self::Query => Ok(utf8_percent_encode(value, RESERVED).into()),
            Self::Json => {
                let quoted = serde_json::to_string(value).map_err(|error| error.to_string())?;
                let inside = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
                Ok(inside.unwrap_or_default().to_owned().into())
            }
            Self::FilePath if value.contains(['/', '\\', '\0']) => Err(format!(
                "{value:?} holds a slash, a backslash or a NUL, and a value cannot add folders to a file's path: \
                 replace them, as in `… | replace(\"/\", \"-\")`"
            )),
            Self::Text | Self::FilePath => Ok(value.into()),
        }
    }

    /// Checks the whole text: values can make a dot segment together that none is alone.
    pub(super) fn check(self, text: &str) -> Result<(), String> {
        let dots = |segment: &str| segment == "." || segment == "..";
        match self {
            Self::UrlPath | Self::FilePath if text.split('/').any(dots) => {
                Err(format!("{text:?} holds a segment `.` or `..`, which would leave its folder"))
            }
            Self::FilePath if text.is_empty() || text.starts_with('/') => {
                Err(format!("{text:?} is no path below the folder"))
            }
            _ => Ok(()),
        }
    }
}
