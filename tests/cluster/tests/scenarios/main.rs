//! The cluster scenarios. They share one cluster, and each has a namespace of its own.
//!
//! Run by `bootlace-cluster run -- cargo test -p bootlace-cluster --features scenarios --test scenarios`; without a
//! cluster each of them fails.

mod airflow;
mod harness;
