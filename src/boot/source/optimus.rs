//! `optimus`: what an Optimus server compiled for a run of a job, its `run_input`.
//! <https://github.com/goto/optimus/blob/main/api/proto/goto/optimus/core/v1beta1/job_run.proto>

use std::path::Path;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::http::url;
use super::{Entry, Source, SourceError};
use crate::boot::http::{Body, Client, HttpError, Progress, Request};
use crate::boot::json::{self, Pairs};
use crate::boot::sink::Sink;
use crate::plan::boot_spec::Remote;
use crate::profile::remote::{InstanceType, NoValue, Optimus};
use crate::profile::spec::Into;

/// What Go's templates write for what is not defined.
const NO_VALUE: &str = "<no value>";

/// What an Optimus server answers.
pub(super) struct OptimusSource<'a> {
    remote: &'a Remote<Optimus>,
    /// The time of the whole boot.
    seconds: u32,
    progress: Arc<Progress>,
}

/// The request's body.
#[derive(Serialize)]
struct RunInput<'a> {
    scheduled_at: &'a str,
    instance_name: &'a str,
    instance_type: &'static str,
}

/// The answer. Fields that are not known are left alone: a newer server may have more to say.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Compiled {
    envs: Pairs<Value>,
    files: Pairs<Value>,
    secrets: Pairs<Value>,
}

impl<'a> OptimusSource<'a> {
    pub(super) fn new(remote: &'a Remote<Optimus>, seconds: u32) -> Self {
        Self { remote, seconds, progress: Arc::default() }
    }

    async fn give(&self, sink: &mut Sink<'_>) -> Result<(), SourceError> {
        let Remote { request: says, path } = self.remote;
        let client =
            Client::open(&says.client, Path::new(path), self.seconds, Arc::clone(&self.progress)).await?;
        let input = RunInput {
            scheduled_at: &says.scheduled_at,
            instance_name: &says.instance_name,
            instance_type: match says.instance_type {
                InstanceType::Task => "TYPE_TASK",
                InstanceType::Hook => "TYPE_HOOK",
            },
        };
        let input = serde_json::to_string(&input).map_err(|error| json::broken(&error))?;
        let mut url = url(&says.host, "", [])?;
        let not_a_base = |()| HttpError::Address { url: says.host.clone(), why: "it has no path".to_owned() };
        // Segment by segment, so that a project's name is one segment whatever it holds.
        url.path_segments_mut().map_err(not_a_base)?.pop_if_empty().extend([
            "api",
            "v1beta1",
            "project",
            &says.project,
            "job",
            &says.job,
            "run_input",
        ]);
        let request = Request {
            method: Method::POST,
            body: Some(("application/json", &input)),
            said,
            ..Request::get(url, sink.limit().min(json::MAX_BYTES))
        };
        client
            .fetch(&request, async |mut body| {
                sink.clear();
                self.take(&mut body, sink).await
            })
            .await
    }

    async fn take(&self, body: &mut Body, sink: &mut Sink<'_>) -> Result<(), SourceError> {
        let answer = body.read(json::MAX_BYTES).await?;
        let Compiled { envs, files, secrets } =
            serde_json::from_slice(&answer).map_err(|error| json::broken(&error))?;
        if envs.0.is_empty() && files.0.is_empty() && secrets.0.is_empty() {
            return Err(SourceError::Content(
                "the answer holds neither envs, nor files, nor secrets: is optimus.host an Optimus server?"
                    .to_owned(),
            ));
        }
        for (entry, pairs) in [(Entry::Variable, &envs), (Entry::File, &files), (Entry::Variable, &secrets)] {
            self.check(entry, pairs, sink)?;
        }
        json::give(envs, Into::Env, "", sink)?;
        json::give(secrets, Into::Env, "", sink)?;
        json::give(files, Into::Files, "", sink)
    }

    fn check(&self, entry: Entry, pairs: &Pairs<Value>, sink: &mut Sink<'_>) -> Result<(), SourceError> {
        for (name, value) in &pairs.0 {
            if !value.as_str().is_some_and(|text| text.contains(NO_VALUE)) {
                continue;
            }
            let what = format!(
                "the {entry} {name:?} holds {NO_VALUE}, which Optimus writes for what its template does not find"
            );
            match self.remote.request.no_value {
                NoValue::Warn => sink.note(format!("warning: {what}")),
                NoValue::Error => {
                    return Err(SourceError::Content(format!(
                        "{what}: define it for the job, or set optimus.noValue to Warn"
                    )));
                }
            }
        }
        Ok(())
    }
}

impl Source for OptimusSource<'_> {
    fn title(&self) -> String {
        let says = &self.remote.request;
        format!("Optimus job {} of {}", says.job.escape_debug(), says.project.escape_debug())
    }

    fn fetch<'a>(&'a self, sink: &'a mut Sink<'_>) -> LocalBoxFuture<'a, Result<(), SourceError>> {
        self.give(sink).boxed_local()
    }

    fn doing(&self) -> Option<String> {
        self.progress.describe()
    }
}

/// The sentence of an error's body: the JSON of a gRPC status.
fn said(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Status {
        code: u8,
        message: String,
    }
    /// The codes' names, by number.
    /// <https://grpc.io/docs/guides/status-codes/>
    const CODES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    let Status { code, message } = serde_json::from_slice(body).ok()?;
    let code = CODES.get(usize::from(code)).copied().unwrap_or("a code that gRPC does not have");
    Some(format!("{code}: {message}"))
}
