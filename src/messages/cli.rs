//! The messages of the command line and the webhook process.

use super::Messages;

pub(super) fn messages() -> Messages {
    vec![]
}
