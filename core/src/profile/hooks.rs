//! Hooks of a profile: commands and requests at fixed points in the life of a task.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::address;
use super::remote::{Client, json_type};
use super::rule::{self, CelRule, Validated};

/// Hooks of a task, in order.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Hooks {
    /// Commands in the container of the task, with the boot env, before the task starts. With `Fail`, the
    /// container fails and the task does not start. At most 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub pre_launch: Vec<CommandHook>,
    /// Commands in the container of the task, in the postStart hook: after the boot env is verified, and
    /// before the postStart handler of the pod. With `Fail`, the container fails. At most 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub post_launch: Vec<CommandHook>,
    /// Commands in the container of the task, if it is stopped while the task runs, before the preStop
    /// handler of the pod. All of them run, and the container is stopped even if one fails. At most 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub pre_kill: Vec<CommandHook>,
    /// Requests of the sidecar after the task has ended, however it ended. At most 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub post_kill: Vec<RequestHook>,
    /// Requests of the sidecar if the task is ended before it has ended by itself. They can contain what the
    /// task wrote to the file in `BOOTLACE_ABORT`. A request can be sent twice, so it must be idempotent. At
    /// most 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub abort: Vec<RequestHook>,
}

impl Hooks {
    /// Whether the lists are empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the sidecar runs some of them, so that the launcher has to tell it how the task ends.
    #[must_use]
    pub fn need_sidecar(&self) -> bool {
        !self.post_kill.is_empty() || !self.abort.is_empty()
    }

    /// Whether some of them need the launcher to start the task.
    #[must_use]
    pub fn need_launcher(&self) -> bool {
        !self.pre_launch.is_empty() || self.need_sidecar()
    }

    /// The hooks that run in the sidecar, in the order of their volumes.
    pub fn requests(&self) -> impl Iterator<Item = &RequestHook> {
        self.post_kill.iter().chain(&self.abort)
    }
}

/// A command in the container of the task.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rule::cel::<CommandHook>()))]
pub struct CommandHook {
    /// Name, which messages contain. Required.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// A program with its arguments, without a shell. It has the env of the task. Required.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64), inner(length(max = 4096)))]
    pub exec: Vec<String>,
    /// Not supported here: only hooks that run in the sidecar can be requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub http: Option<Value>,
    /// Timeout in seconds, at which the command is killed with all processes that it started. Defaults to 10.
    /// At most 600.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 600))]
    pub timeout_seconds: u32,
    /// Whether a failure counts: `Fail` or `Ignore`. Defaults to `Fail`.
    #[serde(default)]
    pub on_failure: OnFailure,
}

impl Validated for CommandHook {
    const RULES: &'static [CelRule<Self>] = &[CelRule {
        cel: "has(self.exec) && !has(self.http)",
        message: "preLaunch, postLaunch and preKill hooks run in the container of the task and must be commands: use exec, \
                  or move a request to postKill or abort",
        is_met: |part| !part.exec.is_empty() && part.http.is_none(),
    }];
}

/// A request of the sidecar.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rule::cel::<RequestHook>()))]
pub struct RequestHook {
    /// Name, which messages and Events contain. Required.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// The request. Required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HookRequest>,
    /// Not supported here: the image of the sidecar contains no other programs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64), inner(length(max = 4096)))]
    pub exec: Vec<String>,
    /// Timeout of each attempt, in seconds. Failed attempts are repeated in the grace period of the pod if
    /// the connection fails, and on the statuses 408, 429 and 5xx. Defaults to 10. At most 600.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 600))]
    pub timeout_seconds: u32,
    /// Whether a failure counts: `Fail` or `Ignore`. Defaults to `Fail`.
    #[serde(default)]
    pub on_failure: OnFailure,
}

impl Validated for RequestHook {
    const RULES: &'static [CelRule<Self>] = &[CelRule {
        cel: "has(self.http) && !has(self.exec)",
        message: "postKill and abort hooks run in the sidecar, whose image contains no other programs, and must be requests: \
                  use http, or move a command to preLaunch, postLaunch or preKill",
        is_met: |part| part.http.is_some() && part.exec.is_empty(),
    }];
}

/// Any object, so that the rule explains why the field is refused.
fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

fn ten() -> u32 {
    10
}

/// Whether a failure of a hook counts.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum OnFailure {
    /// It counts, as described for each kind of hook.
    #[default]
    Fail,
    /// It is only logged.
    Ignore,
}

/// A request of the sidecar. Any status 2xx means success.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rule::cel::<HookRequest>()))]
pub struct HookRequest {
    /// Method: `GET`, `POST`, `PUT`, `PATCH` or `DELETE`. Defaults to `POST`.
    #[serde(default)]
    pub method: HookMethod,
    /// Scheme, host and fixed start of the path, without user and query: `https://spark.example.com/v1`.
    /// Required.
    #[schemars(length(max = 2048), regex(pattern = address::BASE_PATTERN))]
    pub url: String,
    /// Rest of the path, URL-encoded. Can be a template.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 2048), regex(pattern = address::PATH_PATTERN))]
    pub path: String,
    /// Query parameters by name, as plain text: the sidecar encodes them. Each value can be a template. At
    /// most 16.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub query: BTreeMap<String, String>,
    /// Body. Can be a template if contentType is JSON, `application/x-www-form-urlencoded` or `text/plain`.
    /// At most 4096 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub body: Option<String>,
    /// Content type of the body. Defaults to `application/json`.
    #[serde(default = "json_type", skip_serializing_if = "is_json_type")]
    #[schemars(length(min = 1, max = 253))]
    pub content_type: String,
    /// How the request is sent. Its Secrets are mounted into the sidecar only. `attempts` does not matter: an
    /// attempt that failed is repeated in the grace period of the pod.
    #[serde(default)]
    pub client: Client,
}

fn is_json_type(content_type: &str) -> bool {
    content_type == json_type()
}

impl Validated for HookRequest {
    const RULES: &'static [CelRule<Self>] = &[
        CelRule {
            cel: "!has(self.body) || self.method != 'GET'",
            message: "a GET request has no body: set another method, or remove body",
            is_met: |part| part.body.is_none() || part.method != HookMethod::Get,
        },
        CelRule {
            cel: "!has(self.client) || !has(self.client.timeoutSeconds)",
            message: "the timeout of a hook is its own timeoutSeconds: remove client.timeoutSeconds",
            is_met: |part| part.client.timeout_seconds.is_none(),
        },
    ];
}

/// Method of a request of a hook.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum HookMethod {
    /// `GET`.
    Get,
    /// `POST`.
    #[default]
    Post,
    /// `PUT`.
    Put,
    /// `PATCH`.
    Patch,
    /// `DELETE`.
    Delete,
}

impl HookMethod {
    /// The method in a request.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}
