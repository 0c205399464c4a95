//! The messages of `bootlace pipe`, the sidecar. Messages about the store have the codes of [`super::store`].

use std::fmt::Display;
use std::io;
use std::path::PathBuf;

use bootlace_core::code::{Code, Coded};
use bootlace_core::output::DataError;
use bootlace_launch::handover::{AbortTextError, HandoverError};
use reqwest::StatusCode;

use super::Messages;
use crate::hook_request::HookError;
use crate::http::{HttpError, MountError, remedy};
use crate::sidecar::SidecarError;
use crate::sidecar::handover_watcher::UnreadableHandover;
use crate::sidecar::hooks::remote::{not_recorded, not_sent_in_time};
use crate::sidecar::hooks::task_watcher::unusable_text;
use crate::sidecar::remote_store::InvalidData;
use crate::sidecar::run::StartError;
use crate::sidecar::shared_volume::SharedVolumeError;
use crate::store_client::ClientError;

pub(super) fn messages() -> Messages {
    let path = || PathBuf::from("/bootlace-shared/0/report.json");
    let text = |text: &str| text.to_owned();
    let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
    let mut messages: Messages = [
        StartError::NoConfig,
        StartError::InvalidConfig(text("missing field `task` at line 1 column 2")),
        StartError::NoHooks("BOOTLACE_HOOKS"),
        StartError::InvalidHooks(text("missing field `name` at line 1 column 2")),
        StartError::Process(anyhow::anyhow!("failed to listen for signals")),
    ]
    .iter()
    .map(message)
    .collect();
    messages.push(message(&SidecarError { path: PathBuf::from("/bootlace-run"), error: denied() }));
    messages.extend(
        [
            SharedVolumeError::Missing(text("/bootlace-shared/0/report.json")),
            SharedVolumeError::Outside(text("/etc/passwd")),
            SharedVolumeError::Unreadable(path(), denied()),
            SharedVolumeError::NotRegular(path()),
            SharedVolumeError::TooLarge(path()),
            SharedVolumeError::TooMany,
            SharedVolumeError::DuplicateName(path()),
            SharedVolumeError::Pattern(
                text("**"),
                text("`**` is not supported; write one `*` for each folder"),
            ),
        ]
        .iter()
        .map(message),
    );
    let data = [
        DataError::Empty,
        DataError::Name(text("a b")),
        DataError::TooMany(101),
        DataError::TooLarge(1_048_577),
    ];
    messages.extend(data.map(|error| message(&InvalidData(error))));
    messages.push(message(&UnreadableHandover(HandoverError::Size)));
    let line = crate::sidecar::run::not_stored_in_time(std::time::Duration::from_secs(20));
    let code = Code::OutputsNotStoredInTime;
    messages.push((code, line.strip_suffix(&format!(" [{code}]")).unwrap_or(&line).to_owned()));
    messages.extend(hooks());
    messages
}

fn hooks() -> Messages {
    let address = || "https://spark.example.com/v1/jobs/17".to_owned();
    let status = HttpError::Status {
        address: address(),
        status: StatusCode::FORBIDDEN,
        message: String::new(),
        remedy: remedy(StatusCode::FORBIDDEN),
        retry_after: None,
        challenge: None,
    };
    let refused = HttpError::Connect { address: address(), reason: "connection refused".to_owned() };
    let mount = |error| HookError::Mount(MountError::Http(error));
    let mut messages: Messages = [
        mount(status),
        mount(refused),
        mount(HttpError::Setup("the projected token is not a valid header value".to_owned())),
        HookError::TimedOut { seconds: 10 },
    ]
    .iter()
    .map(message)
    .collect();
    let client = ClientError::Refused {
        url: "https://bootlace-store.bootlace.svc".to_owned(),
        message: "status 403".to_owned(),
        code: None,
    };
    let lines = [
        (Code::HookNotSent, not_sent_in_time(std::time::Duration::from_secs(20))),
        (Code::AbortNotRecorded, not_recorded(&client)),
        (Code::AbortTextInvalid, unusable_text(&AbortTextError::TooLarge)),
    ];
    let without_code = |(code, line): (Code, String)| {
        let text = line.strip_suffix(&format!(" [{code}]")).unwrap_or(&line).to_owned();
        (code, text)
    };
    messages.extend(lines.map(without_code));
    messages
}

fn message(error: &(impl Coded + Display)) -> (Code, String) {
    (error.code(), error.to_string())
}
