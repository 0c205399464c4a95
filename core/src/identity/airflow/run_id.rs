//! Time for which a run is scheduled, from its ID: `scheduled__2024-01-01T00:00:00+00:00`.
//!
//! Only IDs from the scheduler of Airflow are used: in the ID of a manual or asset-triggered run, the time is
//! when the run was requested.

use crate::identity::time;

const PREFIX: &str = "scheduled__";

/// The time in an original ID.
pub(super) fn scheduled_time(run_id: &str) -> Option<String> {
    time::from_rfc3339(run_id.strip_prefix(PREFIX)?)
}

/// The time in an ID that was converted to a label value, which has lost its colons and its plus sign and
/// ends with a hash: `scheduled__2024-01-01T0000000000-654f198ec`. The conversion is unambiguous, because
/// Airflow writes IDs in UTC, with six digits of microseconds or none.
pub(super) fn scheduled_time_in_label(label: &str) -> Option<String> {
    let (safe, _hash) = label.strip_prefix(PREFIX)?.rsplit_once('-')?;
    let (date, clock) = safe.split_once('T')?;
    let clock = clock.strip_suffix("0000")?;
    let (clock, fraction) = match clock.split_once('.') {
        Some((clock, fraction)) if fraction.len() == 6 => (clock, format!(".{fraction}")),
        Some(_) => return None,
        None => (clock, String::new()),
    };
    let (hours, rest) = clock.split_at_checked(2)?;
    let (minutes, seconds) = rest.split_at_checked(2)?;
    time::from_rfc3339(&format!("{date}T{hours}:{minutes}:{seconds}{fraction}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheduled_run_says_its_time() {
        for (id, time) in [
            ("scheduled__2024-01-01T00:00:00+00:00", Some("2024-01-01T00:00:00Z")),
            ("scheduled__2024-01-01T02:00:00.5+02:00", Some("2024-01-01T00:00:00.5Z")),
            ("manual__2024-01-01T00:00:00+00:00", None),
            ("scheduled__tomorrow", None),
        ] {
            assert_eq!(scheduled_time(id).as_deref(), time, "{id}");
        }
    }

    #[test]
    fn so_does_its_label() {
        for (label, time) in [
            ("scheduled__2024-01-01T0000000000-654f198ec", Some("2024-01-01T00:00:00Z")),
            ("scheduled__2024-12-31T235959.0000010000-654f198ec", Some("2024-12-31T23:59:59.000001Z")),
            ("manual__2024-01-01T0000000000-654f198ec", None),
            ("scheduled__2024-01-01T0000000530-654f198ec", None),
            ("scheduled__2024-01-01T250000000-654f198ec", None),
            ("scheduled__2024-01-01T00000\u{e9}0000-654f198ec", None),
            ("scheduled__", None),
        ] {
            assert_eq!(scheduled_time_in_label(label).as_deref(), time, "{label}");
        }
    }
}
