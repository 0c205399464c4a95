//! Finds the UID of a request whose review cannot be parsed.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer as _, IgnoredAny, MapAccess, Visitor};

/// The `request.uid` of a review, also from a body that is truncated or invalid after it. Empty if it cannot
/// be found.
#[must_use]
pub fn probe(body: &[u8]) -> String {
    let mut uid = String::new();
    let mut json = serde_json::Deserializer::from_slice(body);
    // The result does not matter: the UID may be found before an error.
    let _ = json.deserialize_map(Level { field: "request", uid: &mut uid });
    uid
}

/// Searches for a field of an object: first `request`, then its `uid`.
struct Level<'a> {
    field: &'static str,
    uid: &'a mut String,
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with the field {}", self.field)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if key != self.field {
                map.next_value::<IgnoredAny>()?;
            } else if self.field == "uid" {
                *self.uid = map.next_value()?;
            } else {
                map.next_value_seed(Level { field: "uid", uid: self.uid })?;
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

#[cfg(test)]
mod tests {
    use super::probe;

    #[test]
    fn finds_the_uid_in_what_can_be_read() {
        for (body, uid) in [
            (r#"{"request":{"uid":"u-1","object":{}}}"#, "u-1"),
            (r#"{"kind":"AdmissionReview","request":{"kind":{},"uid":"u-1","object":{"spec":"#, "u-1"),
            (r#"{"request":{"object":17,"uid":"u-1"}}"#, "u-1"),
            (r#"{"request":{"uid":"u-1"},"#, "u-1"),
            (r#"{"request":{"uid":1}}"#, ""),
            (r#"{"request":{"object":{"#, ""),
            (r#"{"uid":"not the request's"}"#, ""),
            (r#"["request"]"#, ""),
            ("", ""),
            ("\u{1f462}", ""),
        ] {
            assert_eq!(probe(body.as_bytes()), uid, "{body}");
        }
    }
}
