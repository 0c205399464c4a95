//! User of injected containers.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::names;

/// Maximum user ID of the API server (`IsValidUserID`).
const MAX: i64 = i32::MAX as i64;

/// Value on the command line for the user that the platform selects.
const PLATFORM: &str = "platform";

/// User of injected containers. It cannot be `0`, which is root.
///
/// In a profile it is a number or `null`, on a command line a number or `platform`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunAsUser {
    /// This user, and the group with the same ID.
    Id(i64),
    /// The user that the platform selects: `OpenShift` selects one from the range of the namespace and
    /// refuses any other. On other platforms it is `securityContext.runAsUser` of the pod, or the user of the
    /// image.
    Platform,
}

impl RunAsUser {
    /// Value of `securityContext.runAsUser` of an injected container.
    #[must_use]
    pub fn id(self) -> Option<i64> {
        match self {
            Self::Id(id) => Some(id),
            Self::Platform => None,
        }
    }

    fn new(id: i64) -> Result<Self, String> {
        if (1..=MAX).contains(&id) {
            return Ok(Self::Id(id));
        }
        let root = if id == 0 { ", which is root" } else { "" };
        Err(format!("user ID {id}{root} is not allowed: use a number from 1 to {MAX}"))
    }
}

/// User of the Bootlace image.
impl Default for RunAsUser {
    fn default() -> Self {
        Self::Id(names::USER)
    }
}

impl fmt::Display for RunAsUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Platform => f.write_str(PLATFORM),
        }
    }
}

impl FromStr for RunAsUser {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == PLATFORM {
            return Ok(Self::Platform);
        }
        let remedy =
            || format!("{text:?} is not a valid user ID: use a number from 1 to {MAX}, or {PLATFORM}");
        text.parse().ok().and_then(|id| Self::new(id).ok()).ok_or_else(remedy)
    }
}

impl Serialize for RunAsUser {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.id().serialize(serializer)
    }
}

/// Deserializes a field that is present, including `null`. With `#[serde(default)]`, an absent field is
/// `None`.
pub(super) fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<RunAsUser>, D::Error> {
    match Option::<i64>::deserialize(deserializer)? {
        Some(id) => RunAsUser::new(id).map(Some).map_err(D::Error::custom),
        None => Ok(Some(RunAsUser::Platform)),
    }
}

impl JsonSchema for RunAsUser {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "RunAsUser".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // The type is nullable, because `null` differs from an absent field.
        json_schema!({"type": ["integer", "null"], "format": "int64", "minimum": 1, "maximum": MAX})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_accepts_a_number_or_the_keyword() {
        assert_eq!("1000680000".parse(), Ok(RunAsUser::Id(1_000_680_000)));
        assert_eq!("platform".parse(), Ok(RunAsUser::Platform));
        for text in ["0", "-1", "2147483648", "", "Platform", "nobody", "1000 ", "99999999999999999999"] {
            let error = text.parse::<RunAsUser>().unwrap_err();
            assert!(error.ends_with("use a number from 1 to 2147483647, or platform"), "{error}");
        }
        for user in [RunAsUser::default(), RunAsUser::Platform] {
            assert_eq!(user.to_string().parse(), Ok(user));
        }
    }

    #[test]
    fn null_differs_from_a_missing_field() {
        use crate::profile::BootProfileSpec;
        for (boot, expected) in [
            ("{}", None),
            (r#"{"runAsUser":null}"#, Some(RunAsUser::Platform)),
            (r#"{"runAsUser":1000}"#, Some(RunAsUser::Id(1000))),
        ] {
            let spec: BootProfileSpec = serde_json::from_str(&format!(r#"{{"boot":{boot}}}"#)).unwrap();
            assert_eq!(spec.boot.run_as_user, expected);
            // The status of a profile contains the active version as such a text.
            let again: BootProfileSpec =
                serde_json::from_str(&serde_json::to_string(&spec).unwrap()).unwrap();
            assert_eq!(again, spec);
        }
        for id in ["0", "-5", "2147483648"] {
            let spec = format!(r#"{{"boot":{{"runAsUser":{id}}}}}"#);
            let error = serde_json::from_str::<BootProfileSpec>(&spec).unwrap_err().to_string();
            assert!(error.contains(&format!("user ID {id}")), "{error}");
            assert!(error.contains("use a number from 1 to 2147483647"), "{error}");
        }
    }
}
