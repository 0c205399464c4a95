//! One line for each slow thing that is done, and how long it took.

use std::time::{Duration, Instant};

use anyhow::Result;

/// Says `what` is being done, does it, and says how long it took. On standard error, because standard output
/// belongs to whatever command is run on the cluster.
///
/// # Errors
/// Those of `work`.
pub async fn stage<T>(what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    eprintln!("==> {what}");
    let started = Instant::now();
    let result = work.await;
    let took = Took(started.elapsed());
    match &result {
        Ok(_) => eprintln!("    done in {took}"),
        Err(_) => eprintln!("    failed after {took}"),
    }
    result
}

/// A duration as people write it: `0.4s`, `12.0s`, `6m41s`.
struct Took(Duration);

impl std::fmt::Display for Took {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.0.as_secs();
        if seconds < 60 {
            write!(f, "{:.1}s", self.0.as_secs_f64())
        } else {
            write!(f, "{}m{:02}s", seconds / 60, seconds % 60)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        let took = |millis| Took(Duration::from_millis(millis)).to_string();
        assert_eq!(took(420), "0.4s");
        assert_eq!(took(401_000), "6m41s");
        assert_eq!(took(3_605_000), "60m05s");
    }
}
