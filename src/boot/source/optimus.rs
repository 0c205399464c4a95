//! `optimus`: the `run_input` that an Optimus server compiles for a run of a job.
//! <https://github.com/goto/optimus/blob/main/api/proto/goto/optimus/core/v1beta1/job_run.proto>

use reqwest::Method;
use serde::{Deserialize, Serialize};

use super::remote::RemoteApi;
use super::{EntryName, SourceError};
use crate::boot::json::{self, JsonText, Object};
use crate::boot::sink::{EntryKind, Sink};
use crate::http::{Body, HttpError, Request};
use bootlace_core::entry::Rename;
use bootlace_core::profile::address;
use bootlace_core::profile::remote::{Client, InstanceType, NoValue, Optimus};

/// What Go templates write for an undefined variable.
const NO_VALUE: &str = "<no value>";

/// How many entries with it the log lists, for each kind.
const LISTED: usize = 20;

/// The request's body.
#[derive(Serialize)]
struct RunInput<'a> {
    scheduled_at: &'a str,
    instance_name: &'a str,
    instance_type: &'static str,
}

/// The response. Unknown fields are ignored, because a newer server may add some.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Compiled<'j> {
    #[serde(borrow)]
    envs: Object<'j>,
    #[serde(borrow)]
    files: Object<'j>,
    #[serde(borrow)]
    secrets: Object<'j>,
}

impl RemoteApi for Optimus {
    const RENAME: Rename = Rename::Job;

    fn title(&self) -> String {
        format!("Optimus job {} of {}", self.job.escape_debug(), self.project.escape_debug())
    }

    fn client(&self) -> &Client {
        &self.client
    }

    fn request(&self, limit: u64) -> Result<Request<'_>, SourceError> {
        let input = RunInput {
            scheduled_at: &self.scheduled_at,
            instance_name: &self.instance_name,
            instance_type: match self.instance_type {
                InstanceType::Task => "TYPE_TASK",
                InstanceType::Hook => "TYPE_HOOK",
            },
        };
        let input = serde_json::to_string(&input).map_err(|error| json::json_error(&error))?;
        let refused = |reason: &str| HttpError::Address { url: self.host.clone(), reason: reason.to_owned() };
        if [&self.project, &self.job].into_iter().any(|name| name == "." || name == "..") {
            // The path of a URL cannot contain them, encoded or not: they would be removed, and the request
            // would go to another address.
            return Err(refused("project and job cannot be . or ..: correct them in the profile").into());
        }
        let mut url = address::join(&self.host, "", []).map_err(HttpError::from)?;
        // Segment by segment, so that the name of a project is one segment, whatever it contains.
        url.path_segments_mut()
            .map_err(|()| refused("an address of this scheme has no path: write an HTTP address"))?
            .pop_if_empty()
            .extend(["api", "v1beta1", "project", &self.project, "job", &self.job, "run_input"]);
        Ok(Request {
            method: Method::POST,
            body: Some(("application/json", input.into())),
            message: error_message,
            ..Request::get(url, limit.min(json::MAX_BYTES))
        })
    }

    async fn receive(&self, body: &mut Body, sink: &mut Sink<'_>) -> Result<(), SourceError> {
        let response = json::read(body, sink).await?;
        let Compiled { envs, files, secrets } =
            serde_json::from_slice(&response).map_err(|error| json::json_error(&error))?;
        let mut pairs = 0;
        for (entry, object) in
            [(EntryName::Variable, envs), (EntryName::File, files), (EntryName::Variable, secrets)]
        {
            pairs += check(entry, object, self.no_value, sink)?;
        }
        if pairs == 0 {
            return Err(SourceError::Content(
                "the response has no envs, no files and no secrets: check that optimus.host is an Optimus server"
                    .to_owned(),
            ));
        }
        json::write_entries(envs, EntryKind::Env, "", &[], sink)?;
        json::write_entries(secrets, EntryKind::Secrets, "", &[], sink)?;
        json::write_entries(files, EntryKind::Files, "", &[], sink)
    }
}

/// Finds undefined template variables, and counts the pairs.
fn check(
    entry: EntryName,
    object: Object<'_>,
    no_value: NoValue,
    sink: &mut Sink<'_>,
) -> Result<usize, SourceError> {
    let (mut pairs, mut undefined) = (0, 0_usize);
    object.each(|name, value| {
        pairs += 1;
        if !JsonText::parse(&name, value)?.contains(NO_VALUE)? {
            return Ok(());
        }
        undefined += 1;
        let problem = format!(
            "the {entry} {name:?} contains {NO_VALUE}, which Optimus writes for undefined template variables"
        );
        match no_value {
            NoValue::Warn if undefined <= LISTED => sink.note(format!("warning: {problem}")),
            NoValue::Warn => {}
            NoValue::Error => {
                return Err(SourceError::Content(format!(
                    "{problem}: define them for the job, or set optimus.noValue to Warn"
                )));
            }
        }
        Ok(())
    })?;
    if let Some(more) = undefined.checked_sub(LISTED).filter(|more| *more > 0) {
        sink.note(format!("warning: {more} more contain {NO_VALUE}"));
    }
    Ok(pairs)
}

/// The message of an error response: the JSON of a gRPC status.
fn error_message(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Status {
        code: u8,
        message: String,
    }
    /// The names of the codes, by number.
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
    let code = CODES.get(usize::from(code)).copied().unwrap_or("unknown gRPC code");
    Some(format!("{code}: {message}"))
}
