//! Prints the merge keys of the lists in a pod, `core/src/overlay/merge_keys.txt`, from the `OpenAPI`
//! document of an API server on standard input:
//!
//! ```sh
//! kubectl get --raw /openapi/v3/api/v1 | cargo run -p bootlace-core --example merge_keys
//! ```
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a tool for developers fails by panicking on a document of another format"
)]

#[path = "../../tests/overlays/merge_keys.rs"]
mod merge_keys;

fn main() {
    let document = serde_json::from_reader(std::io::stdin().lock()).expect("standard input is JSON");
    print!("{}", merge_keys::MergeKeys::from_document(&document));
}
