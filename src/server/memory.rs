//! What the process of a role may hold at once, in bytes, with the sum: the chart's memory limit must hold it.
//!
//! | what | bytes | how it is bounded |
//! |---|---:|---|
//! | the program, its profiles and connections | [`IDLE`] | profiles by their own limits, connections by [`Limits`](super::listener::Limits) |
//! | bodies while they arrive | 2 × [`BODIES`] | the listener closes connections that wait for their caller; a body takes up to twice its size while it grows |
//! | large reviews while they are answered | [`LARGE_REVIEWS`] × [`LARGE_REVIEW`] | more wait for their turn; values are counted before they are built |
//!
//! `tests/webhook/hostile` tries it with the worst that was thought of, held by the kernel to the chart's limit.

use bootlace_core::review::{MAX_BYTES, MAX_VALUES};

/// The memory limit in the chart's default values.
pub const LIMIT: usize = 64 << 20;

/// What the process takes while nothing is asked, with room for 512 connections of 8 KiB each. Idle it was 9 MB
/// (docs/figures.md).
pub const IDLE: usize = 16 << 20;

/// Bodies of requests that are not answered yet, over all connections: two of the largest reviews, or 400 of ordinary pods.
pub const BODIES: usize = 8 << 20;

/// Large reviews that are answered at once. One takes milliseconds.
pub const LARGE_REVIEWS: usize = 1;

/// What one large review takes: its body, and each value in the pod as it came and as it becomes, and in the patch. 160 bytes
/// a value were the most that was seen.
pub const LARGE_REVIEW: usize = MAX_BYTES + MAX_VALUES * 240;

const _: () =
    assert!(IDLE + 2 * BODIES + LARGE_REVIEWS * LARGE_REVIEW <= LIMIT, "the chart's memory limit is too low");

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use bootlace_core::quantity::Quantity;

    #[test]
    fn the_charts_limits_are_those_that_the_sum_is_made_for() {
        let values: Value =
            serde_saphyr::from_str(include_str!("../../charts/bootlace/values.yaml")).unwrap();
        for pointer in ["/resources/limits/memory", "/store/resources/limits/memory"] {
            let limit = values.pointer(pointer).and_then(Value::as_str).unwrap();
            assert_eq!(Quantity::parse(limit).unwrap().units(), LIMIT as u64, "{pointer}");
        }
    }
}
