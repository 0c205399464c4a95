//! Every message of the launcher, with its code: `tests/messages.txt` shows them, so that a change of wording
//! is one difference in one file. The messages of the other programs are in the same file, by `src/messages`
//! of the main package. Other tests compare codes or variants.
//!
//! `UPDATE_MESSAGES=1 cargo test -p bootlace-launch --lib messages` writes this part of the file.
#![allow(clippy::disallowed_methods, reason = "a test reads the environment and its own files")]

#[path = "../../tests/messages/snapshot.rs"]
mod snapshot;

use std::ffi::OsString;
use std::io::Error;
use std::path::PathBuf;
use std::time::Duration;

use crate::args;
use crate::boot_env::LoadError;
use crate::child::{ChildError, Ended};
use crate::code::{Code, Coded};
use crate::environ::ParseError;
use crate::exec::ExecError;
use crate::handover::{HandoverError, InvalidEnding, InvalidResult, ManifestError, OneLine};
use crate::hook::handler::HandlerError;
use crate::hook::home::HomeError;
use crate::hook::http::HttpGetError;
use crate::hook::proof::ProofError;
use crate::hook::{HookError, NOT_LAUNCHED};
use crate::init::{BootImageFailed, InitError};
use crate::invocation::{EnvDelivery, UsageError};
use crate::outputs::OutputError;
use crate::prestop::PrestopError;
use crate::program::StartError;
use crate::supervise::{SuperviseError, task::TaskError};
use crate::task_hook::TaskHookError;

const LIMIT: Duration = Duration::from_secs(30);

/// `ENOENT`.
fn not_found() -> Error {
    Error::from_raw_os_error(2)
}

fn usage_errors() -> Vec<UsageError> {
    let hook = ["hook", "--container=base", "--timeout=1"];
    let run = ["run", "--container=base", "--handover=/run", "--deadline=1"];
    let many: Vec<_> = (0..=100).map(|number| format!("--output=K{number}:Secret:a")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let command = ["--", "true"];
    let output = "--output=A:Secret:a";
    let invalid = [
        &[][..],
        &["walk"],
        &["init", "--container=base", "--", "true"],
        &["init", "--container=base", "--timeout=1", "--"],
        &["exec", "--", "true"],
        &["exec", "--container=base"],
        &["exec", "--container=a/b", "--", "true"],
        &["exec", "true"],
        &["exec", "--timeout=1"],
        &["hook", "--timeout=soon"],
        &[&hook[..], &["--argument=x"]].concat(),
        &[&hook[..], &["--env=shell"]].concat(),
        &[&hook[..], &["--unreadable=no"]].concat(),
        &[&hook[..], &["--header=A:b"]].concat(),
        &[&hook[..], &["--header=A"]].concat(),
        &[&hook[..], &["--http=up"]].concat(),
        &[&hook[..], &["--"]].concat(),
        &[&hook[..], &["--sleep=1"], &command].concat(),
        &[&run[..], &command].concat(),
        &[&run[..], &[output, output], &command].concat(),
        &[&run[..], &["--output=A"]].concat(),
        &[&run[..], &["--on-failure=x"]].concat(),
        &[&run[..], &["--ending=x"]].concat(),
        &[&run[..], &["--hook=a"]].concat(),
        &[&run[..], &["--hook=a:5:fail"], &command].concat(),
        &["prestop", "--container=base", "--timeout=1"],
        &[&run[..], &many, &command].concat(),
        &["run", "--container=base", output, "--", "true"],
        &["run", "--container=base", "--handover=/run", output, "--", "true"],
        &["task", "--container=base", "--", "true"],
    ];
    invalid.into_iter().map(|words| args::parse(words.iter().map(OsString::from)).unwrap_err()).collect()
}

fn load_errors() -> Vec<LoadError> {
    let path = || PathBuf::from("/bootlace/env/environ");
    let damaged = |error| LoadError::Damaged { path: path(), error };
    vec![
        LoadError::Unreadable { path: path(), error: not_found() },
        damaged(ParseError::Malformed { record: 2 }),
        damaged(ParseError::EmptyName { record: 2 }),
        damaged(ParseError::Unterminated { record: 2 }),
    ]
}

fn proof_errors() -> Vec<ProofError> {
    let missing = |delivery, launched| ProofError::Missing {
        names: vec!["TOKEN".to_owned(), "URL".to_owned()],
        more: 3,
        delivery,
        launched,
    };
    vec![
        missing(EnvDelivery::Launch, false),
        missing(EnvDelivery::Launch, true),
        missing(EnvDelivery::None, true),
        missing(EnvDelivery::File, true),
        ProofError::NotStarted(LIMIT),
        ProofError::Unreadable,
        ProofError::NoProc(not_found()),
    ]
}

fn handler_errors() -> Vec<HandlerError> {
    let not_ended = |error| HandlerError::NotEnded { error, limit: LIMIT };
    let http = HttpGetError::examples().into_iter().map(HandlerError::Http);
    let not_started = StartError::examples().into_iter().take(1).map(ChildError::NotStarted).map(not_ended);
    let others = [
        HandlerError::SleepTooLong { duration: Duration::from_mins(1), limit: LIMIT },
        HandlerError::NoHttp,
        not_ended(ChildError::NotWaited(Error::from_raw_os_error(12))),
        not_ended(ChildError::TimedOut),
        HandlerError::Failed(Ended::Exit(3)),
        HandlerError::Failed(Ended::Signal(Some(nix::sys::signal::Signal::SIGKILL))),
        HandlerError::Failed(Ended::Signal(None)),
    ];
    others.into_iter().chain(not_started).chain(http).collect()
}

fn hook_errors() -> Vec<HookError> {
    let home = PathBuf::from("/home/job/.env");
    let others = [
        HookError::NotWritten(HomeError::NotSet),
        HookError::NotWritten(HomeError::Unwritable { path: home, error: Error::from_raw_os_error(30) }),
    ];
    let load = load_errors().into_iter().take(1).map(HookError::NoBootEnv);
    let proof = proof_errors().into_iter().map(HookError::NotVerified);
    let handler = handler_errors().into_iter().map(HookError::Handler);
    let hooks = TaskHookError::examples().into_iter().map(HookError::TaskHook);
    others.into_iter().chain(load).chain(proof).chain(hooks).chain(handler).collect()
}

fn handover_errors() -> Vec<HandoverError> {
    let manifest = [
        ManifestError::NotText,
        ManifestError::Unterminated,
        ManifestError::Version,
        ManifestError::Line(3),
        ManifestError::Name,
        ManifestError::DuplicateKey("Report".to_owned()),
        ManifestError::DuplicateName { key: "Report".to_owned(), name: "a.json".to_owned() },
        ManifestError::TooManyOutputs,
        ManifestError::TooManyFiles,
        ManifestError::TooLarge(2_000_000),
    ];
    let others = [
        HandoverError::Io { what: "the manifest", error: Error::from_raw_os_error(28) },
        HandoverError::Number,
        HandoverError::Word(InvalidResult),
        HandoverError::Ending(InvalidEnding),
        HandoverError::Size,
    ];
    others.into_iter().chain(manifest.into_iter().map(HandoverError::Manifest)).collect()
}

fn supervise_errors() -> Vec<SuperviseError> {
    let others = [
        SuperviseError::Kernel(Error::from_raw_os_error(12)),
        SuperviseError::NotStarted(HandoverError::Io {
            what: "the handover directory",
            error: Error::from_raw_os_error(30),
        }),
        SuperviseError::NotStored(OneLine::new("the store is unavailable")),
        SuperviseError::NoResult(LIMIT),
    ];
    let handover = handover_errors().into_iter().map(SuperviseError::NoHandover);
    others
        .into_iter()
        .chain(handover)
        .chain(OutputError::examples().into_iter().map(SuperviseError::Outputs))
        .collect()
}

fn init_errors() -> Vec<InitError> {
    let not_ended = |error| InitError::NotEnded { error, limit: LIMIT };
    let not_started = StartError::examples().into_iter().take(1).map(ChildError::NotStarted).map(not_ended);
    let others = [
        InitError::NotWritable { path: PathBuf::from("/bootlace-out"), error: not_found() },
        not_ended(ChildError::NotWaited(Error::from_raw_os_error(12))),
        not_ended(ChildError::TimedOut),
    ];
    others.into_iter().chain(not_started).collect()
}

/// The codes and messages, without the name of the container.
fn messages() -> Vec<(Code, String)> {
    let mut messages = vec![
        (Code::TaskReplaced, format!("warning: {NOT_LAUNCHED}")),
        (Code::BootImageFailed, BootImageFailed(Ended::Exit(3)).to_string()),
    ];
    let mut add = |error: &dyn Coded| messages.push((error.code(), error.to_string()));
    for error in &usage_errors() {
        add(error);
    }
    load_errors().into_iter().map(ExecError::NoBootEnv).for_each(|error| add(&error));
    StartError::examples().into_iter().map(ExecError::NotStarted).for_each(|error| add(&error));
    for error in &hook_errors() {
        add(error);
    }
    add(&PrestopError::Handler(HandlerError::Failed(Ended::Exit(3))));
    TaskHookError::examples().into_iter().take(1).map(ExecError::Hook).for_each(|error| add(&error));
    for error in &supervise_errors() {
        add(error);
    }
    for error in [TaskError::Kernel(Error::from_raw_os_error(12)), TaskError::Orphaned] {
        add(&error);
    }
    for error in &init_errors() {
        add(error);
    }
    messages
}

#[test]
fn messages_are_those_of_the_snapshot() {
    let lines = messages().into_iter().map(|(code, message)| format!("{code}  {message}")).collect();
    snapshot::check(&lines, |line| line.starts_with("BL7"), "-p bootlace-launch --lib messages");
}

#[test]
fn every_code_has_a_message() {
    let codes: Vec<_> = messages().into_iter().map(|(code, _)| code).collect();
    let missing: Vec<_> = Code::ALL.iter().filter(|code| !codes.contains(code)).collect();
    assert!(missing.is_empty(), "no message has the code of {missing:?}");
}
