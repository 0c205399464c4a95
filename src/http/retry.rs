//! Delays between attempts.

use std::time::{Duration, SystemTime};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use reqwest::Response;
use reqwest::header::RETRY_AFTER;
use tokio::time::Instant;

use super::error::HttpError;

/// The delay before the second attempt, and the maximum. Jitter up to doubles it, so that the thousands of
/// tasks of a failing server do not retry at the same time.
const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(10);

/// The attempts of one request.
pub(crate) struct Attempts {
    made: u32,
    delays: ExponentialBackoff,
    /// The end of the source's time limit.
    deadline: Instant,
}

impl Attempts {
    /// Allows at most `most` attempts.
    pub(crate) fn new(most: u32, deadline: Instant) -> Self {
        Self { made: 0, delays: delays(most), deadline }
    }

    /// The delay before the attempt after one that failed with `error`.
    ///
    /// # Errors
    /// The error itself, if no attempt or not enough time is left.
    pub(crate) fn next_delay(&mut self, error: HttpError) -> Result<Duration, HttpError> {
        self.made += 1;
        let Some(delay) = self.delays.next() else {
            return Err(match self.made {
                1 => error,
                attempts => HttpError::GaveUp { error: Box::new(error), attempts },
            });
        };
        let (after, left) = (error.retry_after().unwrap_or_default(), self.deadline - Instant::now());
        if after >= left {
            return Err(HttpError::RetryAfterTooLong { error: Box::new(error), after, left: left.as_secs() });
        }
        Ok(delay.max(after))
    }
}

/// The delays between `attempts` attempts.
fn delays(attempts: u32) -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(FIRST)
        .with_max_delay(LONGEST)
        .with_max_times(usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX))
        .with_jitter()
        .build()
}

/// The value of `Retry-After`: seconds or a date (RFC 9110, section 10.2.3).
pub(super) fn retry_after(response: &Response) -> Option<Duration> {
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
    fn delays_grow_and_are_one_fewer_than_the_attempts() {
        let delays: Vec<_> = delays(8).collect();
        assert_eq!(delays.len(), 7);
        for (position, delay) in delays.into_iter().enumerate() {
            let shortest = (FIRST * (1 << position)).min(LONGEST);
            assert!(delay >= shortest && delay <= shortest * 2, "{position}: {delay:?}");
        }
        assert_eq!(super::delays(1).count(), 0);
    }
}
