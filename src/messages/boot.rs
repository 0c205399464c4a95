//! The messages of `bootlace boot`, the init container.

use std::io;
use std::time::Duration;

use bootlace_core::code::Coded as _;
use bootlace_core::entry::{EnvError, PathError, Rename};
use reqwest::StatusCode;

use super::Messages;
use crate::boot::{
    BootError, EntryError, EntryName, EnvSecretError, InvalidReason, LayoutError, NotInFile, ShortLease,
    SourceError, SourceFailure, VolumeError,
};
use crate::http::{HttpError, remedy};

const HOST: &str = "https://assets.example.com/sql.tar.gz";

fn text(text: &str) -> String {
    text.to_owned()
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

fn boot_errors() -> Vec<BootError> {
    let container = PathError::Slash;
    vec![
        BootError::NoSpec,
        BootError::Spec { problem: text("missing field `task` at line 1 column 2") },
        BootError::Container { container: text("a/b"), error: container },
        BootError::NoStore,
        BootError::Launcher { path: "/bin/launch".into(), error: not_found() },
        BootError::Start(io::ErrorKind::OutOfMemory.into()),
        BootError::FileAndFolder {
            later: text("second"),
            path: text("a/b"),
            earlier: text("first"),
            other: text("a"),
        },
        BootError::NoFileKey { source_name: text("login"), name: text("B"), profile: text("default") },
        BootError::NotForShell {
            source_name: text("login"),
            name: text("db-user"),
            profile: text("default"),
        },
        BootError::Env(EnvError::NotAName { rename: Rename::Keys }),
    ]
}

fn delivery_errors() -> Vec<BootError> {
    let not_in_file = |error| BootError::NotInFile {
        source_name: text("login"),
        name: text("A"),
        profile: text("default"),
        error,
    };
    let unfit = |reason| {
        BootError::Store(EnvSecretError::InvalidVariable {
            source_name: text("login"),
            name: text("A B"),
            reason,
        })
    };
    vec![
        not_in_file(NotInFile::Name),
        not_in_file(NotInFile::Empty),
        not_in_file(NotInFile::Quote),
        not_in_file(NotInFile::CarriageReturn),
        not_in_file(NotInFile::NotUtf8),
        not_in_file(NotInFile::LongLine { size: 100_005 }),
        unfit(InvalidReason::NotAKey),
        unfit(InvalidReason::NotText),
        BootError::Store(EnvSecretError::TooLarge { bytes: 2_000_000 }),
        BootError::Store(EnvSecretError::AlreadyExists { secret: text("bootlace-env-1") }),
        BootError::Layout(LayoutError::Taken { giver: text("files"), path: text(".env") }),
        BootError::Layout(LayoutError::NotForShell { giver: text("login"), name: text("db-user") }),
        BootError::Volume(VolumeError::NotMounted { root: "/bootlace".into() }),
        BootError::Volume(VolumeError::NotAFolder { path: "/bootlace/env".into() }),
        BootError::Volume(VolumeError::Full { profile: text("default") }),
        BootError::Volume(VolumeError::NoMemory {
            limit: 12 << 20,
            used: 5 << 20,
            wanted: 8 << 20,
            profile: text("default"),
        }),
        BootError::Volume(VolumeError::Unwritable {
            path: "/bootlace/task.json".into(),
            error: io::ErrorKind::ReadOnlyFilesystem.into(),
        }),
    ]
}

fn source_errors() -> Vec<SourceError> {
    let entry = |entry, name: &str, refused: EntryError| SourceError::refused(entry, name, refused);
    vec![
        SourceError::Missing(text("key \"password\" not found, only token, user: correct items[].key")),
        SourceError::Unreadable { path: "/bootlace-sources/0".into(), error: not_found() },
        SourceError::Denied { path: "/bootlace-sources/0/password".into() },
        entry(EntryName::Variable, "A=B", EnvError::NotAName { rename: Rename::Keys }.into()),
        entry(EntryName::File, "../a", PathError::Dots.into()),
        entry(EntryName::ArchiveEntry, "a", EntryError::Duplicate),
        entry(EntryName::Folder, "logs", EntryError::TooMany { limit: 10_000 }),
        entry(EntryName::File, "a", EntryError::TooLarge { limit: 1 << 20 }),
        entry(EntryName::File, "a", EntryError::TooMany { limit: 100 }),
        entry(EntryName::File, "a", EntryError::FileAndFolder { other: text("a/b") }),
        entry(EntryName::File, "a", EntryError::Duplicate).with_key("db-user"),
        SourceError::timed_out(
            60,
            "boot.timeoutSeconds",
            Some(format!("waiting for a response from {HOST}")),
        ),
        SourceError::Content(text(
            "the response is not JSON, at line 1 column 1: correct the request, or the server",
        )),
        SourceError::Archive(text("failed to unpack the archive: it is truncated")),
        SourceError::TooLarge { size: 1_048_578, limit: 1_048_576 },
        SourceError::Volume(VolumeError::Full { profile: text("default") }),
    ]
}

fn http_errors() -> Vec<HttpError> {
    let address = || text(HOST);
    let reason = || text("connection refused");
    let status = |status, message: &str, remedy| HttpError::Status {
        address: address(),
        status,
        message: text(message),
        remedy,
        retry_after: None,
        challenge: None,
    };
    let unavailable =
        || Box::new(status(StatusCode::SERVICE_UNAVAILABLE, "", remedy(StatusCode::SERVICE_UNAVAILABLE)));
    let statuses = [
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::NOT_FOUND,
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::NOT_MODIFIED,
        StatusCode::BAD_REQUEST,
    ];
    let mut errors: Vec<_> = statuses.into_iter().map(|code| status(code, "", remedy(code))).collect();
    errors.extend([
        status(
            StatusCode::NOT_FOUND,
            " (\"NoSuchKey: gone\")",
            "correct object in the profile, or upload the object",
        ),
        HttpError::Address { url: text("https://"), reason: text("empty host") },
        HttpError::Setup(text("client.proxy is invalid: empty host: must be the address of a proxy")),
        HttpError::Name {
            address: address(),
            name: text("assets.example.com"),
            reason: text("no such host"),
        },
        HttpError::ConnectTimeout { address: address(), seconds: 10 },
        HttpError::Connect { address: address(), reason: reason() },
        HttpError::Certificate { address: address(), reason: text("UnknownIssuer") },
        HttpError::Interrupted { address: address(), reason: text("unexpected end of file") },
        HttpError::Token { address: address() },
        HttpError::Identity {
            error: Box::new(HttpError::Connect {
                address: text("http://169.254.169.254/token"),
                reason: reason(),
            }),
            remedy: text("; set credentials.secret"),
        },
        HttpError::RetryAfterTooLong { error: unavailable(), after: Duration::from_mins(5), left: 59 },
        HttpError::GaveUp { error: unavailable(), attempts: 5 },
        HttpError::Redirect {
            address: address(),
            target: text("http://assets.example.com"),
            reason: text("it has another scheme; set the final address in the profile"),
        },
        HttpError::TooLarge { address: address(), limit: 1 << 20 },
        HttpError::Checksum {
            address: address(),
            found: text("aa…"),
            by: "the profile",
            expected: text("bb…"),
        },
    ]);
    errors
}

/// Warnings of a boot that succeeds.
fn short_leases() -> [ShortLease; 2] {
    let path = || text("database/creds/etl");
    let reason = "activeDeadlineSeconds of the pod";
    [
        ShortLease { path: path(), seconds: 300, by_token: false, needed: 3600, reason },
        ShortLease { path: path(), seconds: 600, by_token: true, needed: 3600, reason },
    ]
}

pub(super) fn messages() -> Messages {
    let http = http_errors().into_iter().map(SourceError::Http);
    let failed = |error| {
        let (name, title, profile) = (text("assets"), format!("GET {HOST}"), text("default"));
        BootError::Source(Box::new(SourceFailure { name, title, profile, error }))
    };
    let sources = source_errors().into_iter().chain(http).map(failed);
    let errors = boot_errors().into_iter().chain(delivery_errors()).chain(sources);
    let warnings = short_leases().map(|warning| {
        let text = format!("source \"warehouse\" (Vault https://vault.example.com:8200): warning: {warning}");
        (warning.code(), text)
    });
    errors.map(|error| (error.code(), format!("bootlace: {error}"))).chain(warnings).collect()
}
