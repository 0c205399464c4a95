//! The messages of `bootlace wait`, the container that waits for an output.

use super::Messages;

pub(super) fn messages() -> Messages {
    vec![]
}
