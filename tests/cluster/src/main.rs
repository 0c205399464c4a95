//! Starts and ends a throwaway cluster.

fn main() {}
