//! The protocol between pods and the store: JSON over HTTPS, with the token of the pod as bearer token.
//!
//! | request | client | request body | response |
//! |---|---|---|---|
//! | `PUT /v1/env` | boot | [`EnvRequest`] | 200 [`EnvStored`] |
//! | `PUT /v1/pipes/{key}` | the sidecar | [`OutputRequest`] | 200 [`OutputStored`] |
//! | `GET /v1/awaited/{object}` | the containers that wait | | 200 [`AwaitedResponse`] |
//! | `PUT /v1/aborts/{container}` | the sidecar | [`AbortRequest`] | 204 |
//! | `DELETE /v1/aborts/{container}` | the sidecar | | 204 |
//! | `PUT /v1/progress` | the sidecar | [`ProgressRequest`] | 204 |
//! | `POST /v1/events` | all of them | [`EventRequest`] | 204 |
//!
//! Any other response is an [`ErrorResponse`]. A client retries after 408, 429 and 5xx, and if there is no
//! response; other errors are final ([`is_final`]). A request cannot choose a namespace, a pod or an object:
//! the token and the configuration of the injected containers determine them. Both sides ignore unknown
//! fields, because store and pods can have different versions, and no task must fail for that. A feature that
//! must not be ignored needs a new path.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use bootlace_launch::handover::is_data_key;
use http::StatusCode;
use k8s_openapi::ByteString;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use bootlace_core::output::{ObjectData, ObjectKind};

/// Stores the boot env of the calling pod.
pub const PATH_ENV: &str = "/v1/env";
/// Stores an output of a task of the calling pod; the key follows.
pub const PATH_PIPES: &str = "/v1/pipes/";
/// Gets the state of an output that the calling pod waits for; the name of the object in the spec of the pod
/// follows.
pub const PATH_AWAITED: &str = "/v1/awaited/";
/// Records what the abort of a container of the calling pod needs; the name of the container follows.
pub const PATH_ABORTS: &str = "/v1/aborts/";
/// Writes the progress of the calling pod.
pub const PATH_PROGRESS: &str = "/v1/progress";
/// Reports an Event of the calling pod.
pub const PATH_EVENTS: &str = "/v1/events";

/// How long the store works on a request, and how long a client waits for the response.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// Maximum size of a Secret in the API server, names and values together (`MaxSecretSize`).
pub const MAX_ENV_BYTES: usize = 1024 * 1024;
/// Maximum size of a key of a Secret in the API server.
pub const MAX_NAME_BYTES: usize = 253;
/// Maximum size of a request body. Base64 adds a third to the values, and short names need quotes and commas.
pub const MAX_BODY_BYTES: usize = 2 * 1024 * 1024;

/// Maximum number of variables. Processes have far fewer, and other readers of the Secret have to list them.
const MAX_VARIABLES: usize = 20_000;
/// Maximum number of files in a request. More than an output may have, so that the error message can contain
/// the limit.
const MAX_FILES: usize = 1_000;

/// Bytes of an Event's note that are kept: the API server accepts 1 KiB.
pub const MAX_NOTE_BYTES: usize = 1000;

/// Body of `PUT /v1/env`. Not `Debug`, because it contains secrets.
#[derive(Deserialize, Serialize, Clone, Default, PartialEq)]
pub struct EnvRequest {
    /// Values by name, as base64. Text only, because the kubelet cannot pass anything else to a process.
    #[serde(deserialize_with = "at_most::<MAX_VARIABLES, _>")]
    pub env: BTreeMap<String, ByteString>,
}

/// Deserializes a map of at most `MAX` entries. An entry needs much more memory than its JSON text, so the
/// number of entries is limited before they are allocated.
fn at_most<'de, const MAX: usize, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, ByteString>, D::Error> {
    struct AtMost<const MAX: usize>;

    impl<'de, const MAX: usize> Visitor<'de> for AtMost<MAX> {
        type Value = BTreeMap<String, ByteString>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "an object of at most {MAX} fields")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some((name, value)) = entries.next_entry()? {
                if map.len() == MAX {
                    return Err(A::Error::invalid_length(MAX + 1, &self));
                }
                map.insert(name, value);
            }
            Ok(map)
        }
    }

    deserializer.deserialize_map(AtMost::<MAX>)
}

/// Response of `PUT /v1/env`.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct EnvStored {
    /// The name of the Secret.
    pub secret: String,
    /// Whether this request created it. If not, a Secret of that name existed, which the store cannot read.
    pub created: bool,
    /// Whether the status of the pod shows an earlier run of the boot container, which may have stored the
    /// Secret.
    pub booted_before: bool,
}

/// Body of `PUT /v1/pipes/{key}`. Not `Debug`, because it can contain secrets.
#[derive(Deserialize, Serialize, Clone, PartialEq)]
pub struct OutputRequest {
    /// The container that wrote it.
    pub container: String,
    /// The kind of object to store it in.
    pub kind: ObjectKind,
    /// Its files by name, as base64.
    #[serde(deserialize_with = "at_most::<MAX_FILES, _>")]
    pub files: ObjectData,
}

impl OutputRequest {
    /// The request body; the files have `size` bytes in total. The files are encoded directly into the body,
    /// so that there are never more than two copies of a large output: the sidecar has little memory.
    #[must_use]
    pub fn encode(self, size: u32) -> Vec<u8> {
        let mut body = Vec::with_capacity(size as usize / 3 * 4 + 16 * 1024);
        let Self { container, kind, files } = &self;
        let files = files.iter().map(|(name, ByteString(value))| (name, Base64(value))).collect();
        // Serializing strings into memory cannot fail.
        let _ = serde_json::to_writer(&mut body, &Encoded { container, kind: *kind, files });
        body
    }
}

/// [`OutputRequest`] with borrowed content.
#[derive(Serialize)]
struct Encoded<'a> {
    container: &'a str,
    kind: ObjectKind,
    files: BTreeMap<&'a String, Base64<'a>>,
}

/// Bytes that are serialized as base64 without a copy.
struct Base64<'a>(&'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(self.0, &STANDARD))
    }
}

/// Response of `PUT /v1/pipes/{key}`.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
pub struct OutputStored {
    /// The name of the `Pipe`.
    pub pipe: String,
    /// Whether this request created it. If not, the same content was stored before.
    pub created: bool,
}

/// Response of `GET /v1/awaited/{object}`. It does not contain the content.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(tag = "state", rename_all_fields = "camelCase")]
pub enum AwaitedResponse {
    /// It is not stored yet.
    NotYet {
        /// Keys that the task has stored, at most a few of them.
        so_far: Vec<String>,
    },
    /// It is stored with these files.
    Stored {
        /// The names of the files.
        files: Vec<String>,
    },
    /// It will never be stored under this name.
    Never {
        /// The reason, and what to change. Pods and stores of earlier versions use the name in the attribute.
        #[serde(rename = "why")]
        reason: String,
    },
}

/// Body of `PUT /v1/aborts/{container}`. The rest of the record is in the signed configuration of the pod.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
pub struct AbortRequest {
    /// Number of the start of the container.
    pub start: u32,
    /// What the task left for its abort.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// Body of `PUT /v1/progress`.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
pub struct ProgressRequest {
    /// The line, without line break. The store truncates it to
    /// [`bootlace_core::progress::MAX_LINE_BYTES`].
    pub line: String,
}

/// Body of `POST /v1/events`.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
pub struct EventRequest {
    /// The kind of Event.
    pub outcome: EventKind,
    /// The message, without values of the env. The store truncates it to [`MAX_NOTE_BYTES`].
    pub note: String,
}

/// The kinds of Events that a pod reports.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Boot succeeded: the task can start.
    Booted,
    /// Boot failed: the task cannot start.
    Failed,
    /// A task has ended, but its outputs are not stored.
    OutputsNotStored,
    /// An output that the pod waits for is not available.
    WaitFailed,
    /// A task was ended by others, and its `abort` hooks were sent.
    Aborted,
    /// An `abort` hook was not sent.
    AbortFailed,
    /// A `postKill` hook was not sent.
    HookFailed,
}

impl EventKind {
    /// Whether it is about the end of a task, which often comes with the deletion of the pod.
    #[must_use]
    pub fn is_about_an_end(self) -> bool {
        matches!(self, Self::Aborted | Self::AbortFailed | Self::HookFailed)
    }
}

/// Body of error responses.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
pub struct ErrorResponse {
    /// A short reason, for programs.
    pub reason: String,
    /// Human-readable message: what is wrong, and what to change.
    pub message: String,
    /// The code of the message, such as `BL5106`, which is not part of `message`. Stores of earlier versions
    /// do not send it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// Whether an error response is final: a retry of the same request cannot succeed.
#[must_use]
pub fn is_final(status: StatusCode) -> bool {
    status.is_client_error()
        && ![StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status)
}

/// Whether the name of a variable can be a key of a Secret. The kubelet sets a variable for any key.
#[must_use]
pub fn is_env_key(name: &str) -> bool {
    name.len() <= MAX_NAME_BYTES && is_data_key(name)
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
    fn more_entries_than_the_limit_are_refused() {
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
