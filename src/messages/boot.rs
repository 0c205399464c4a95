//! The messages of `bootlace boot`, the init container.

use super::Messages;

pub(super) fn messages() -> Messages {
    vec![]
}
