//! The messages of `bootlace store`, as its clients print them.

use super::Messages;

pub(super) fn messages() -> Messages {
    vec![]
}
