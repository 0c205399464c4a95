//! The messages of the command line and the webhook process.

use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use bootlace_core::code::{Code, Coded as _};

use super::Messages;
use crate::command_error::{self, CommandError};
use crate::profile_files::FolderError;
use crate::server::tls::certificate::{self, CertificateError};
use crate::server::tls::files::{CertificateFiles, FilesError};

fn path() -> PathBuf {
    PathBuf::from("examples/job.yaml")
}

/// `ENOENT`.
fn not_found() -> Error {
    Error::from_raw_os_error(2)
}

/// The error for a file that is not a certificate.
fn invalid_certificate() -> CertificateError {
    certificate::chain(b"").unwrap_err()
}

/// The error for a directory without a certificate.
fn missing_files() -> FilesError {
    CertificateFiles::read(Path::new("/nonexistent")).err().unwrap()
}

fn profile_errors() -> Vec<FolderError> {
    let message = "line 3: unexpected end".to_owned();
    vec![
        FolderError::Unreadable { path: path(), source: not_found() },
        FolderError::Invalid { path: path(), document: 2, message },
        FolderError::Duplicate { path: path(), name: "etl".to_owned() },
    ]
}

fn certificate_errors() -> Vec<CommandError> {
    let secret = || "Secret \"bootlace-tls\" in namespace \"bootlace-system\"".to_owned();
    vec![
        CommandError::FileExists(PathBuf::from("certs/tls.crt")),
        CommandError::NoCertificateFile(PathBuf::from("certs")),
        CommandError::Certificate { path: PathBuf::from("certs/a.crt"), error: invalid_certificate() },
        CommandError::SecretNotFound { secret: secret() },
        CommandError::SecretNotManaged { secret: secret() },
        CommandError::SecretRequest { secret: secret(), action: "annotate", reason: "forbidden".to_owned() },
        CommandError::RotationTimeout {
            secret: secret(),
            seconds: 300.0,
            reason: "the request is pending".to_owned(),
        },
    ]
}

fn command_errors() -> Vec<CommandError> {
    let json = serde_json::from_str::<serde_json::Value>("{").unwrap_err();
    let cluster = |alternative| CommandError::Cluster { error: anyhow!("no kubeconfig"), alternative };
    let address = "failed to listen on 0.0.0.0:8443: address in use: set --listen to another address";
    vec![
        CommandError::ReadFile { path: path(), error: not_found() },
        CommandError::ReadInput(ErrorKind::InvalidData.into()),
        CommandError::WriteFile { path: path(), error: Error::from_raw_os_error(28) },
        CommandError::WriteOutput(Error::from_raw_os_error(32)),
        cluster(""),
        cluster(", or use --profiles to run without a cluster"),
        CommandError::ClusterRequest {
            action: "list pods",
            place: "namespace \"etl\"".to_owned(),
            reason: "pods is forbidden: User \"ada\" cannot list resource \"pods\"".to_owned(),
            remedy: ": ask for the ClusterRole view in the namespace",
        },
        CommandError::ManifestJson(json),
        CommandError::ManifestYaml { document: 2, error: "line 3: unexpected end".to_owned() },
        CommandError::NoPod,
        CommandError::PodsRefused { refused: 1, all: 2 },
        CommandError::NeedsCluster {
            place: "Pod etl".to_owned(),
            references: vec!["spec.volumes[0].secret.secretName takes pipe Cert of run r1".to_owned()],
        },
        CommandError::InjectedPod {
            part: "container bootlace-boot".to_owned(),
            problem: "not found".to_owned(),
        },
        CommandError::Address(anyhow!(address)),
        CommandError::TlsFiles(missing_files()),
        CommandError::CaFile { flag: "--client-ca", error: invalid_certificate().into() },
    ]
}

pub(super) fn messages() -> Messages {
    let profiles = profile_errors().into_iter().map(CommandError::Profiles);
    let errors = command_errors().into_iter().chain(profiles).chain(certificate_errors());
    let mut messages: Messages = errors.map(|error| (error.code(), error.to_string())).collect();
    let other = anyhow!("failed to read random bytes from the operating system");
    messages.push((command_error::code(&other), other.to_string()));
    assert_eq!(command_error::code(&CommandError::NoPod.into()), Code::ManifestWithoutPod);
    messages
}
