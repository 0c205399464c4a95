//! When another attempt is made.

use std::time::{Duration, SystemTime};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use reqwest::Response;
use reqwest::header::RETRY_AFTER;

/// The pause before the second attempt, and what it grows to. Each is lengthened by chance up to its double, so
/// that the thousand tasks which a failing server leaves do not come back at the same moment.
const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(10);

/// The pauses between `attempts` attempts.
pub(super) fn pauses(attempts: u32) -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(FIRST)
        .with_max_delay(LONGEST)
        .with_max_times(usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX))
        .with_jitter()
        .build()
}

/// When the server wants to be asked again: seconds or a date (RFC 9110, section 10.2.3).
pub(super) fn after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let when = httpdate::parse_http_date(value).ok()?;
    Some(when.duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_are_one_fewer_than_the_attempts() {
        let pauses: Vec<_> = pauses(8).collect();
        assert_eq!(pauses.len(), 7);
        for (position, pause) in pauses.into_iter().enumerate() {
            let shortest = (FIRST * (1 << position)).min(LONGEST);
            assert!(pause >= shortest && pause <= shortest * 2, "{position}: {pause:?}");
        }
        assert_eq!(super::pauses(1).count(), 0);
    }
}
