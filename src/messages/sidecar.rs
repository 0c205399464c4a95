//! The messages of `bootlace pipe`, the sidecar.

use super::Messages;

pub(super) fn messages() -> Messages {
    vec![]
}
