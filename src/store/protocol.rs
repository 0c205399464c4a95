//! What pods and the store say to each other: JSON over HTTPS, with the pod's token as bearer.
//!
//! | request | of | body | answer |
//! |---|---|---|---|
//! | `PUT /v1/env` | boot | [`EnvRequest`] | 200 [`EnvStored`] |
//! | `PUT /v1/pipes/{key}` | the pipe sidecar | [`OutputRequest`] | 200 [`OutputStored`] |
//! | `GET /v1/awaited/{object}` | the containers that wait | | 200 [`AwaitedResponse`] |
//! | `POST /v1/events` | all of them | [`EventRequest`] | 204 |
//!
//! Everything else is an [`ErrorResponse`]. A caller asks again after 408, 429 and 5xx, and after no answer at all; any other
//! refusal stays what it is. No request names a namespace, a pod or an object of its own choice: the token and the pod's
//! injection do.
//! Unknown fields are passed over, because store and pods may be of two versions, and no task is to fail for that. What must
//! not be passed over takes a path of its own.

use std::collections::BTreeMap;
use std::fmt;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::ByteString;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use bootlace_core::output::{ObjectData, ObjectKind};

/// Stores the boot env of the calling pod.
pub const PATH_ENV: &str = "/v1/env";
/// Stores an output of the calling pod's task; its key follows.
pub const PATH_PIPES: &str = "/v1/pipes/";
/// Asks whether there is what the calling pod waits for; the object's name follows, as the pod's spec has it.
pub const PATH_AWAITED: &str = "/v1/awaited/";
/// Reports how the boot of the calling pod went, or that its outputs are not stored.
pub const PATH_EVENTS: &str = "/v1/events";

/// Bytes that the API server takes in a Secret, names and values together (`MaxSecretSize`).
pub const MAX_ENV_BYTES: usize = 1024 * 1024;
/// Bytes that the API server takes in the name of a Secret's key.
pub const MAX_NAME_BYTES: usize = 253;
/// Bytes of a request's body. Base64 makes a third more of an env or of files, and short names take quotes and commas.
pub const MAX_BODY_BYTES: usize = 2 * 1024 * 1024;

/// Variables of an env at most. A process starts with far fewer, and a Secret's other readers have to list them.
const MAX_VARIABLES: usize = 20_000;
/// Files of an output that are read at most: more than may be stored, so that the answer can say how many that is.
const MAX_FILES: usize = 1_000;

/// Bytes of an Event's note that are kept: the API server accepts 1 KiB.
pub const MAX_NOTE_BYTES: usize = 1000;

/// Body of `PUT /v1/env`. Not `Debug`: it holds secrets.
#[derive(Deserialize, Serialize, Clone, Default, PartialEq)]
pub struct EnvRequest {
    /// Values by name, as base64. Text only: the kubelet cannot give a process anything else.
    #[serde(deserialize_with = "at_most::<MAX_VARIABLES, _>")]
    pub env: BTreeMap<String, ByteString>,
}

/// Reads a map of at most `MOST` entries. An entry takes many times its text, so that more of them than any caller has are not
/// built.
fn at_most<'de, const MOST: usize, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, ByteString>, D::Error> {
    struct AtMost<const MOST: usize>;

    impl<'de, const MOST: usize> Visitor<'de> for AtMost<MOST> {
        type Value = BTreeMap<String, ByteString>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "an object of at most {MOST} fields")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some((name, value)) = entries.next_entry()? {
                if map.len() == MOST {
                    return Err(A::Error::invalid_length(MOST + 1, &self));
                }
                map.insert(name, value);
            }
            Ok(map)
        }
    }

    deserializer.deserialize_map(AtMost::<MOST>)
}

/// Answer of `PUT /v1/env`.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct EnvStored {
    /// The Secret's name.
    pub secret: String,
    /// Whether it was made now. If not, there was one of that name already, which the store cannot look into.
    pub created: bool,
    /// Whether the pod's status tells of an earlier run of the boot container, which may have had it made.
    pub booted_before: bool,
}

/// Body of `PUT /v1/pipes/{key}`. Not `Debug`: it may hold secrets.
#[derive(Deserialize, Serialize, Clone, PartialEq)]
pub struct OutputRequest {
    /// The container that wrote it.
    pub container: String,
    /// What it is to be stored as.
    pub kind: ObjectKind,
    /// Its files by name, as base64.
    #[serde(deserialize_with = "at_most::<MAX_FILES, _>")]
    pub files: ObjectData,
}

impl OutputRequest {
    /// The body, of files that have `size` bytes. It takes them and writes them once, so that of a large output there are
    /// never more than two copies: the sidecar has little memory.
    #[must_use]
    pub fn encode(self, size: u32) -> Vec<u8> {
        let mut body = Vec::with_capacity(size as usize / 3 * 4 + 16 * 1024);
        let Self { container, kind, files } = &self;
        let files = files.iter().map(|(name, ByteString(value))| (name, Base64(value))).collect();
        // Strings by name, written to memory: it cannot fail.
        let _ = serde_json::to_writer(&mut body, &Encoded { container, kind: *kind, files });
        body
    }
}

/// [`OutputRequest`] on its way.
#[derive(Serialize)]
struct Encoded<'a> {
    container: &'a str,
    kind: ObjectKind,
    files: BTreeMap<&'a String, Base64<'a>>,
}

/// Bytes that are written as base64 without being held so.
struct Base64<'a>(&'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(self.0, &STANDARD))
    }
}

/// Answer of `PUT /v1/pipes/{key}`.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
pub struct OutputStored {
    /// The name of the `Pipe`.
    pub pipe: String,
    /// Whether it was made now; if not, the same content was stored before.
    pub created: bool,
}

/// Answer of `GET /v1/awaited/{object}`: no byte of the content.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(tag = "state", rename_all_fields = "camelCase")]
pub enum AwaitedResponse {
    /// It is not stored.
    NotYet {
        /// Keys that the task has handed over, some of them.
        so_far: Vec<String>,
    },
    /// It is there, with these files.
    Stored {
        /// Their names.
        files: Vec<String>,
    },
    /// It will never be there under this name.
    Never {
        /// Why, and what to change.
        why: String,
    },
}

/// Body of `POST /v1/events`.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
pub struct EventRequest {
    /// How it went.
    pub outcome: EventKind,
    /// The same in words: no value of the env. Cut at [`MAX_NOTE_BYTES`].
    pub note: String,
}

/// How a boot went, or what came of outputs.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The task can start.
    Booted,
    /// It cannot.
    Failed,
    /// A task has ended, and its outputs are not stored.
    OutputsNotStored,
    /// What the pod waits for has not come.
    WaitFailed,
}

/// Body of every answer that is an error.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
pub struct ErrorResponse {
    /// One word, for programs.
    pub reason: String,
    /// A sentence, for people: what is wrong and what to change.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_encoded_as_it_is_read() {
        let files =
            [("a".to_owned(), ByteString(b"hunter2\n\xff\0".to_vec())), ("b".to_owned(), ByteString(vec![]))];
        let output = OutputRequest {
            container: "base \"x\"".to_owned(),
            kind: ObjectKind::ConfigMap,
            files: files.into(),
        };
        let body = output.clone().encode(12);
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&body).unwrap(),
            serde_json::to_value(&output).unwrap()
        );
        let read: OutputRequest = serde_json::from_slice(&body).unwrap();
        assert!(read == output);
    }

    #[test]
    fn more_entries_than_anybody_has_are_not_built() {
        let entries =
            |count: usize| (0..count).map(|at| format!("\"{at}\":\"\"")).collect::<Vec<_>>().join(",");
        let env = |count| serde_json::from_str::<EnvRequest>(&format!("{{\"env\":{{{}}}}}", entries(count)));
        assert_eq!(env(MAX_VARIABLES).unwrap().env.len(), MAX_VARIABLES);
        assert!(env(MAX_VARIABLES + 1).is_err());
        let output = |count| {
            let files = entries(count);
            serde_json::from_str::<OutputRequest>(&format!(
                "{{\"container\":\"c\",\"kind\":\"Secret\",\"files\":{{{files}}}}}"
            ))
        };
        assert_eq!(output(MAX_FILES).unwrap().files.len(), MAX_FILES);
        assert!(output(MAX_FILES + 1).is_err());
    }
}
