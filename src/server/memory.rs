//! What the process of a role may hold at once, in bytes, with the sums: the chart's memory limit must hold each.
//!
//! The webhook:
//!
//! | what | bytes | how it is bounded |
//! |---|---:|---|
//! | the program, its profiles and connections | [`IDLE`] | profiles by their own limits, connections by [`Limits`](super::listener::Limits) |
//! | bodies while they arrive | 2 × [`BODIES`] | the listener closes connections that wait for their caller; a body takes up to twice its size while it grows |
//! | large reviews while they are answered | [`LARGE_REVIEWS`] × [`LARGE_REVIEW`] | more wait for their turn; values are counted before they are built |
//!
//! The store:
//!
//! | what | bytes | how it is bounded |
//! |---|---:|---|
//! | the program and connections | [`IDLE_STORE`] | connections as above |
//! | bodies while they arrive | 2 × [`BODIES`] | as above |
//! | large bodies while objects are made of them | [`LARGE_BODIES`] × [`LARGE_BODY`] | more wait for their turn |
//! | Pipes of a run | [`PAGES`] × 3 × [`PAGE_BYTES`] | of a page that is larger, fewer are asked for; more wait for their turn. A page takes twice its size while it grows, and one Pipe beside it is read |
//! | pods that ask | [`PODS`] × 2 × [`POD_BYTES`] | what is larger is refused; more wait for their turn. Then little is kept of a pod |
//!
//! `tests/webhook/hostile` and `tests/store/hostile` try it with the worst that was thought of, held by the kernel to the
//! chart's limit.

use crate::store_client::protocol::MAX_BODY_BYTES;
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

/// What the store takes while nothing is asked, with the same room for connections. It has no profiles.
pub const IDLE_STORE: usize = 12 << 20;

/// Bodies over [`body::LARGE`](crate::store) that the store parses at once.
pub const LARGE_BODIES: usize = 1;

/// What one takes while the object is made of it: its text, its values, and the object's text.
pub const LARGE_BODY: usize = 4 * MAX_BODY_BYTES;

/// Pages of Pipes that the store holds at once.
pub const PAGES: usize = 2;

/// Bytes of a page that are read. Where there are more, fewer Pipes are asked for, down to one: etcd takes 1.5 MiB of one.
pub const PAGE_BYTES: usize = 2 << 20;

/// Pods that the store reads at once.
pub const PODS: usize = 2;

/// Bytes of a pod that are read. The webhook takes no larger ones.
pub const POD_BYTES: usize = MAX_BYTES;

const _: () = assert!(
    IDLE_STORE + 2 * BODIES + LARGE_BODIES * LARGE_BODY + PAGES * 3 * PAGE_BYTES + PODS * 2 * POD_BYTES
        <= LIMIT,
    "the chart's memory limit is too low for the store"
);

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
