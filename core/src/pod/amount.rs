//! Quantities in the spec of a pod.

use std::borrow::Cow;

use crate::quantity::Quantity;

/// A quantity in the spec of a pod: its text and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amount<'a> {
    /// The text.
    pub text: Cow<'a, str>,
    /// The value.
    pub value: Quantity,
}

impl From<Quantity> for Amount<'_> {
    fn from(value: Quantity) -> Self {
        Self { text: value.to_string().into(), value }
    }
}
