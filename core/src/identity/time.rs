//! Converts times of schedulers to one format: RFC 3339 in UTC.

use ::time::OffsetDateTime;
use ::time::format_description::well_known::Rfc3339;

/// Converts a time with any offset.
pub(super) fn from_rfc3339(text: &str) -> Option<String> {
    utc(OffsetDateTime::parse(text, &Rfc3339).ok()?)
}

/// Converts a number of minutes since 1970.
pub(super) fn from_unix_minutes(minutes: i64) -> Option<String> {
    utc(OffsetDateTime::from_unix_timestamp(minutes.checked_mul(60)?).ok()?)
}

fn utc(time: OffsetDateTime) -> Option<String> {
    time.checked_to_offset(::time::UtcOffset::UTC)?.format(&Rfc3339).ok()
}
