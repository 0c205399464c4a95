//! Limits on the memory of each role, in bytes, and their sums, which must not exceed the memory limit of the
//! chart.
//!
//! The webhook:
//!
//! | content | bytes | limit |
//! |---|---:|---|
//! | the program, its profiles and connections | [`IDLE`] | limits of profiles, connections by [`Limits`](super::listener::Limits) |
//! | bodies while they are received | 2 × [`BODIES`] | the listener closes connections that wait for their caller; a growing body needs up to twice its size |
//! | large reviews while they are processed | [`LARGE_REVIEWS`] × [`LARGE_REVIEW`] | others wait; values are counted before they are allocated |
//!
//! The store:
//!
//! | content | bytes | limit |
//! |---|---:|---|
//! | the program and connections | [`IDLE_STORE`] | connections as above |
//! | bodies while they are received | 2 × [`BODIES`] | as above |
//! | large bodies while their objects are created | [`LARGE_BODIES`] × [`LARGE_BODY`] | others wait |
//! | Pipes of a run | [`PAGES`] × 3 × [`PAGE_BYTES`] | if a page is larger, a smaller one is requested; others wait. A growing page needs twice its size, and one parsed Pipe is in memory in addition to it |
//! | calling pods | [`PODS`] × 2 × [`POD_BYTES`] | larger pods are refused; others wait. Afterwards, only a small part of a pod is kept |
//!
//! The monitor:
//!
//! | content | bytes | limit |
//! |---|---:|---|
//! | the program and connections | [`IDLE_STORE`] | connections as above |
//! | pods that have not started | [`MONITORED_PODS`] × [`MONITORED_POD`] | others are left out until there is space |
//! | a page of pods | [`MONITOR_PAGE`] × 4 × [`STORED_BYTES`] | a growing page needs twice its size, and its parsed pods about as much |
//! | a page of Aborts, and the pod of one | ([`ABORT_PAGE`] + 1) × 4 × [`STORED_BYTES`] | as above |
//!
//! `tests/webhook/hostile` and `tests/store/hostile` test this with the worst known cases, under a memory
//! limit of the kernel that is equal to that of the chart.

use crate::store_client::protocol::MAX_BODY_BYTES;
use bootlace_core::review::{MAX_BYTES, MAX_VALUES};

/// The memory limit in the default values of the chart.
pub const LIMIT: usize = 64 << 20;

/// The memory of an idle process, with 512 connections of 8 KiB each. The measured value is 9 MB
/// (docs/figures.md).
pub const IDLE: usize = 16 << 20;

/// Bodies of requests without a response, of all connections: two of the largest reviews, or 400 of typical
/// pods.
pub const BODIES: usize = 8 << 20;

/// Large reviews that are processed concurrently. Processing one needs milliseconds.
pub const LARGE_REVIEWS: usize = 1;

/// The memory of one large review: its body, and each value in the original pod, in the changed pod and in
/// the patch. The measured maximum is 160 bytes per value.
pub const LARGE_REVIEW: usize = MAX_BYTES + MAX_VALUES * 240;

/// The memory of an idle store, with the same number of connections. It has no profiles.
pub const IDLE_STORE: usize = 12 << 20;

/// Bodies over [`LARGE_BODY_BYTES`](crate::store) that the store processes concurrently.
pub const LARGE_BODIES: usize = 1;

/// The memory of one of them while its object is created: its text, its values, and the text of the object.
pub const LARGE_BODY: usize = 4 * MAX_BODY_BYTES;

/// Pages of Pipes that the store reads concurrently.
pub const PAGES: usize = 2;

/// Maximum size of a page. If it is larger, fewer Pipes are requested, and at last a single one: etcd limits
/// an object to 1.5 MiB.
pub const PAGE_BYTES: usize = 2 << 20;

/// Pods that the store reads concurrently.
pub const PODS: usize = 2;

/// Maximum size of a pod. The webhook refuses larger ones.
pub const POD_BYTES: usize = MAX_BYTES;

/// The memory limit of the monitor in the default values of the chart.
pub const MONITOR_LIMIT: usize = 192 << 20;

/// Pods that the monitor watches at the same time.
pub const MONITORED_PODS: usize = 100_000;

/// The memory of one of them: its namespace, name, UID and times, in two collections.
pub const MONITORED_POD: usize = 400;

/// Pods in a page when the monitor lists pods.
pub const MONITOR_PAGE: u32 = 20;

/// Aborts in a page when the monitor lists them.
pub const ABORT_PAGE: u32 = 2;

/// Maximum size of a stored object: etcd limits it to 1.5 MiB.
pub const STORED_BYTES: usize = 3 << 19;

const _: () = assert!(
    IDLE_STORE + MONITORED_PODS * MONITORED_POD + (MONITOR_PAGE + ABORT_PAGE + 1) as usize * 4 * STORED_BYTES
        <= MONITOR_LIMIT,
    "the chart's memory limit is too low for the monitor"
);

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
    fn the_limit_is_that_of_the_chart() {
        let values: Value =
            serde_saphyr::from_str(include_str!("../../charts/bootlace/values.yaml")).unwrap();
        for pointer in ["/resources/limits/memory", "/store/resources/limits/memory"] {
            let limit = values.pointer(pointer).and_then(Value::as_str).unwrap();
            assert_eq!(Quantity::parse(limit).unwrap().units(), LIMIT as u64, "{pointer}");
        }
    }
}
