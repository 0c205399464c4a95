//! The requests of hooks, rendered for the end of a task. Pure functions.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::identity::{Identity, Scheduler};
use crate::profile::address::{self, InvalidAddress};
use crate::profile::hooks::{HookMethod, OnFailure, RequestHook};
use crate::profile::remote::Client;
use crate::profile::templates::{self, FieldError, HookList, InvalidTemplate};
use crate::template::{Context, RenderError as TemplateError};

/// The values for the templates of hooks.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct HookEvent {
    /// Identity of the task.
    pub task: Identity,
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// UID of the pod.
    pub pod_uid: String,
    /// Name of the container of the task.
    pub container: String,
    /// Number of the start of the container: 1, and one more for each restart.
    pub start: u32,
    /// What the task wrote to the file in `BOOTLACE_ABORT`.
    pub abort: Option<String>,
    /// How the task ended, if it has.
    pub end: Option<TaskEnd>,
}

/// How a task ended.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TaskEnd {
    /// Its exit code: 128 and the number of the signal, if a signal killed it.
    pub exit_code: u8,
    /// The number of the signal that killed it; 0 if it exited.
    pub signal: u8,
    /// How long it ran, in seconds.
    pub duration_seconds: u64,
}

impl HookEvent {
    /// The values by the names of the variables. What is unknown has no value.
    #[must_use]
    pub fn values(&self) -> BTreeMap<&'static str, String> {
        let Self { task, namespace, pod, pod_uid, container, start, abort, end } = self.clone();
        let own = |text: fn(TaskEnd) -> String| end.map(text);
        let values = [
            ("scheduler", task.scheduler),
            ("workflow", task.workflow),
            ("run", task.run),
            ("task", task.task),
            ("attempt", task.attempt),
            ("mapIndex", task.map_index),
            ("scheduledTime", task.scheduled_time),
            ("namespace", Some(namespace)),
            ("pod", Some(pod)),
            ("podUid", Some(pod_uid)),
            ("container", Some(container)),
            ("start", Some(start.to_string())),
            ("abort", abort),
            ("exitCode", own(|end| end.exit_code.to_string())),
            ("signal", own(|end| end.signal.to_string())),
            ("durationSeconds", own(|end| end.duration_seconds.to_string())),
        ];
        values.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

impl HookEvent {
    /// The variables of templates. `scheduler` created the pod, if it is known, for messages.
    #[must_use]
    pub fn context(&self, scheduler: Option<&Arc<Scheduler>>) -> Context {
        Context::of_values(self.values(), self.task.is_joined(), scheduler)
    }
}

/// A request of a hook, ready to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct RenderedHook {
    /// Name of the hook.
    pub name: String,
    /// Position among all hooks of the profile that are requests, which determines its volumes.
    pub position: usize,
    /// Method.
    pub method: HookMethod,
    /// Address.
    pub url: Url,
    /// Content type and body.
    pub body: Option<(String, String)>,
    /// How it is sent, with rendered headers.
    pub client: Client,
    /// Timeout of each attempt, in seconds.
    pub timeout_seconds: u32,
    /// Whether a failure counts.
    pub on_failure: OnFailure,
    /// The objects of the namespace of the pod that it needs, such as `Secret api`. A process without access
    /// to them cannot send it.
    pub needs: Vec<String>,
}

/// A hook cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// It needs what the task has not written, so there is nothing to abort.
    #[error("the task has written nothing to the file in BOOTLACE_ABORT")]
    NothingToAbort,
    /// A template cannot be rendered.
    #[error(transparent)]
    Template(#[from] InvalidTemplate),
    /// The address is invalid.
    #[error(transparent)]
    Address(#[from] InvalidAddress),
}

/// Renders the requests of the hooks of `list` for `event`. `first` is the position of the first of them
/// among all hooks of the profile that are requests.
pub fn requests<'h>(
    list: HookList,
    hooks: &'h [RequestHook],
    first: usize,
    event: &HookEvent,
) -> impl Iterator<Item = (&'h RequestHook, Result<RenderedHook, RenderError>)> + use<'h> {
    let context = event.context(None);
    hooks
        .iter()
        .enumerate()
        .map(move |(position, hook)| (hook, request(list, hook, first.saturating_add(position), &context)))
}

fn request(
    list: HookList,
    hook: &RequestHook,
    position: usize,
    context: &Context,
) -> Result<RenderedHook, RenderError> {
    let mut filled = hook.clone();
    templates::fill_hook(list, &mut filled, context).map_err(|error| match &*error.error {
        FieldError::Render(TemplateError::Undefined { variable, .. }) if variable == "abort" => {
            RenderError::NothingToAbort
        }
        _ => RenderError::Template(error),
    })?;
    let RequestHook { name, http, timeout_seconds, on_failure, .. } = filled;
    // A hook without a request is refused when the profile is read.
    let http = http.ok_or(RenderError::NothingToAbort)?;
    let url = address::join(&http.url, &http.path, &http.query)?;
    let needs = needs(&http.client);
    let body = http.body.map(|body| (http.content_type, body));
    let (method, client) = (http.method, http.client);
    Ok(RenderedHook { name, position, method, url, body, client, timeout_seconds, on_failure, needs })
}

/// The objects of the namespace of the pod that a client needs.
fn needs(client: &Client) -> Vec<String> {
    let secret = client.headers_from_secret.as_ref().map(|name| format!("Secret {name}"));
    let token = client.token.as_ref().map(|_| "a token of the service account of the pod".to_owned());
    let ca = client.ca.as_ref().map(crate::profile::remote::Ca::title);
    [secret, token, ca].into_iter().flatten().collect()
}

/// Whether a hook can be sent without what the task writes to the file in `BOOTLACE_ABORT`.
#[must_use]
pub fn is_independent_of_text(hook: &RequestHook) -> bool {
    let event = HookEvent { end: None, abort: None, ..HookEvent::sample() };
    let context = event.context(None);
    !matches!(request(HookList::Abort, hook, 0, &context), Err(RenderError::NothingToAbort))
}

impl HookEvent {
    /// An event with a value for each variable.
    #[must_use]
    pub fn sample() -> Self {
        let value = || Some("x".to_owned());
        Self {
            task: Identity {
                scheduler: value(),
                workflow: value(),
                run: value(),
                task: value(),
                attempt: Some("1".to_owned()),
                map_index: Some("0".to_owned()),
                scheduled_time: Some("2026-01-01T00:00:00Z".to_owned()),
            },
            namespace: "x".to_owned(),
            pod: "x".to_owned(),
            pod_uid: "x".to_owned(),
            container: "x".to_owned(),
            start: 1,
            abort: value(),
            end: Some(TaskEnd { exit_code: 1, signal: 0, duration_seconds: 1 }),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn hooks(http: &Value) -> Vec<RequestHook> {
        serde_json::from_value(json!([{"name": "cancel", "http": http}])).unwrap()
    }

    fn event(abort: Option<&str>) -> HookEvent {
        HookEvent { abort: abort.map(str::to_owned), ..HookEvent::sample() }
    }

    fn rendered(http: &Value, event: &HookEvent) -> Result<RenderedHook, RenderError> {
        let hooks = hooks(http);
        requests(HookList::PostKill, &hooks, 3, event).next().unwrap().1
    }

    #[test]
    fn a_request_contains_what_the_task_left_and_how_it_ended() {
        let http = json!({
            "url": "https://spark.example.com/v1", "path": "jobs/{{ abort }}/cancel",
            "query": {"by": "{{ pod }}"},
            "body": "{\"exit\": {{ exitCode | int }}, \"signal\": \"{{ signal }}\"}",
            "client": {"headers": [{"name": "X-Task", "value": "{{ task }}"}]},
        });
        let hook = rendered(&http, &event(Some("job 17/x"))).unwrap();
        assert_eq!(hook.url.as_str(), "https://spark.example.com/v1/jobs/job%2017%2Fx/cancel?by=x");
        assert_eq!(hook.body.unwrap().1, "{\"exit\": 1, \"signal\": \"0\"}");
        assert_eq!((hook.client.headers[0].value.as_str(), hook.position), ("x", 3));
        assert!(hook.needs.is_empty());
    }

    #[test]
    fn a_hook_that_needs_the_text_of_the_task_has_nothing_to_abort_without_it() {
        let needs_text = json!({"url": "https://a.example", "path": "jobs/{{ abort }}"});
        assert_eq!(rendered(&needs_text, &event(None)), Err(RenderError::NothingToAbort));
        assert!(!is_independent_of_text(&hooks(&needs_text)[0]));
        for path in ["runs/{{ run }}", "jobs/{{ abort | default(\"all\") }}"] {
            let http = json!({"url": "https://a.example", "path": path});
            rendered(&http, &event(None)).unwrap();
            assert!(is_independent_of_text(&hooks(&http)[0]), "{path}");
        }
    }

    #[test]
    fn a_text_cannot_leave_the_path() {
        let http = json!({"url": "https://a.example/v1", "path": "jobs/{{ abort }}/cancel"});
        for text in ["..", "."] {
            rendered(&http, &event(Some(text))).unwrap_err();
        }
        for text in ["../admin", "@evil.example", "?x=1", "a#b"] {
            let url = rendered(&http, &event(Some(text))).unwrap().url;
            assert!(url.as_str().starts_with("https://a.example/v1/jobs/") && url.query().is_none(), "{url}");
        }
    }

    #[test]
    fn the_objects_that_a_hook_needs_are_named() {
        let client = json!({
            "headersFromSecret": "api", "ca": {"configMap": "company-ca"}, "token": {"audience": "spark"},
        });
        let hook = rendered(&json!({"url": "https://a.example", "client": client}), &event(None)).unwrap();
        assert_eq!(
            hook.needs,
            ["Secret api", "a token of the service account of the pod", "ConfigMap company-ca"]
        );
    }
}
