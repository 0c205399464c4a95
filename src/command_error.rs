//! The errors with which a subcommand of the command line, or the webhook process, ends.

use std::io;
use std::path::PathBuf;

use bootlace_core::code::{Code, Coded};
use bootlace_core::review::Refusal;
use kube::config::InferConfigError;

use crate::profile_files::FolderError;
use crate::server::tls::certificate::CertificateError;
use crate::server::tls::files::FilesError;
use crate::text::error_chain;

/// An error with which a subcommand ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// A file or directory cannot be read.
    #[error("failed to read {path:?}: {error}")]
    ReadFile { path: PathBuf, error: io::Error },
    /// Standard input cannot be read.
    #[error("failed to read standard input: {0}: must be UTF-8")]
    ReadInput(io::Error),
    /// A file cannot be written.
    #[error("failed to write {path:?}: {error}")]
    WriteFile { path: PathBuf, error: io::Error },
    /// Standard output cannot be written.
    #[error("failed to write to standard output: {0}")]
    WriteOutput(io::Error),
    /// The API server cannot be reached, or there is no configuration for it.
    #[error("failed to connect to the cluster: {error:#}: run in a pod, or set KUBECONFIG{alternative}")]
    Cluster {
        error: anyhow::Error,
        /// Another remedy, or nothing.
        alternative: &'static str,
    },
    /// The API server did not return objects of a cluster.
    #[error("failed to {action} in {place}: {reason}{remedy}")]
    ClusterRequest {
        action: &'static str,
        /// The namespace, or all.
        place: String,
        reason: String,
        /// What to do, or nothing.
        remedy: &'static str,
    },
    /// A manifest starts like JSON, but is not JSON.
    #[error("the manifest is invalid: {0}: must be JSON, because it starts with `{{`")]
    ManifestJson(serde_json::Error),
    /// A document of a manifest is not YAML. The first has the number 1.
    #[error("document {document} of the manifest is invalid: {error}: must be YAML")]
    ManifestYaml { document: usize, error: String },
    /// The manifests contain nothing to explain.
    #[error("the manifest contains no Pod and no pod template")]
    NoPod,
    /// A `BootProfile` file cannot be used.
    #[error(transparent)]
    Profiles(#[from] FolderError),
    /// Some pods would be refused. Their messages are on standard output.
    #[error("{refused} of {all} pods would be refused: see the reasons in standard output")]
    PodsRefused { refused: usize, all: usize },
    /// A pod would be refused.
    #[error("{place}: {message}")]
    Refused {
        place: String,
        code: Code,
        /// The message without its code.
        message: String,
    },
    /// A pod refers to outputs of earlier tasks, which only a cluster can resolve.
    #[error(
        "{place}: cannot resolve the outputs of earlier tasks without a cluster: apply the manifest without injection. \
         It refers to them in: {}", references.join("; ")
    )]
    NeedsCluster { place: String, references: Vec<String> },
    /// A part of an injected pod is missing or cannot be parsed.
    #[error("the injected pod is invalid: {part}: {problem}")]
    InjectedPod {
        /// The annotation, container or variable.
        part: String,
        problem: String,
    },
    /// A certificate file would be replaced.
    #[error("{0:?} already exists: use --force to replace it")]
    FileExists(PathBuf),
    /// A directory contains no certificates.
    #[error("{0:?} contains no .crt and no .pem file: use the path of a file")]
    NoCertificateFile(PathBuf),
    /// A file is not a certificate.
    #[error("certificate {path:?} is invalid: {error}")]
    Certificate { path: PathBuf, error: CertificateError },
    /// There is no Secret with this name.
    #[error(
        "{secret} not found: set --secret and --namespace. If the webhook uses --tls-dir, Bootlace does not manage its \
         certificates"
    )]
    SecretNotFound { secret: String },
    /// The Secret was not created by Bootlace.
    #[error("{secret} is not managed by Bootlace: set --secret to the Secret in --tls-secret of the webhook")]
    SecretNotManaged { secret: String },
    /// The API server did not return or change the Secret.
    #[error("failed to {action} {secret}: {reason}")]
    SecretRequest { secret: String, action: &'static str, reason: String },
    /// The webhook did not rotate the certificates in time.
    #[error(
        "timed out after {seconds} s waiting for the rotation in {secret}: {reason}: check the log of the webhook. The \
         request stays active; to cancel it, remove the annotation {annotation}",
        annotation = bootlace_core::names::ANNOTATION_ROTATE
    )]
    RotationTimeout { secret: String, seconds: f64, reason: String },
    /// An address cannot be used.
    #[error("{0:#}")]
    Address(anyhow::Error),
    /// The files in `--tls-dir` cannot be used.
    #[error("failed to load the serving certificate: {0}")]
    TlsFiles(#[from] FilesError),
    /// A file of certificate authorities cannot be used.
    #[error("failed to load the certificate authorities in {flag}: {error:#}")]
    CaFile { flag: &'static str, error: anyhow::Error },
}

impl CommandError {
    /// The error for a request of a person to `action` in a namespace, or in all.
    pub(crate) fn cluster_request(
        action: &'static str,
        namespace: Option<&str>,
        error: &kube::Error,
    ) -> Self {
        let place =
            namespace.map_or_else(|| "all namespaces".to_owned(), |name| format!("namespace {name:?}"));
        let (reason, remedy) = match error {
            kube::Error::Api(status) if status.code == 403 && namespace.is_none() => (
                status.message.clone(),
                ": ask for the ClusterRole view, or select a namespace with --namespace",
            ),
            kube::Error::Api(status) if status.code == 403 => {
                (status.message.clone(), ": ask for the ClusterRole view in the namespace")
            }
            kube::Error::Api(status) => (status.message.clone(), ""),
            other => (error_chain(other), ""),
        };
        Self::ClusterRequest { action, place, reason, remedy }
    }

    /// The error for a refused pod. `message` is the message of the refusal without its code.
    pub(crate) fn refused(place: &str, refusal: &Refusal, message: String) -> Self {
        Self::Refused { place: place.to_owned(), code: refusal.message_code, message }
    }
}

impl Coded for CommandError {
    fn code(&self) -> Code {
        match self {
            Self::ReadFile { .. } | Self::ReadInput(_) => Code::FileUnreadable,
            Self::WriteFile { .. } | Self::WriteOutput(_) => Code::FileNotWritable,
            Self::Cluster { .. } => Code::ClusterUnreachable,
            Self::ClusterRequest { .. } => Code::ClusterRequestRefused,
            Self::ManifestJson(_) | Self::ManifestYaml { .. } => Code::ManifestInvalid,
            Self::NoPod => Code::ManifestWithoutPod,
            Self::Profiles(error) => error.code(),
            Self::PodsRefused { .. } => Code::PodsRefused,
            Self::Refused { code, .. } => *code,
            Self::NeedsCluster { .. } => Code::InjectionNeedsCluster,
            Self::InjectedPod { .. } => Code::InjectedPodInvalid,
            Self::FileExists(_) => Code::CertificateFileExists,
            Self::NoCertificateFile(_) | Self::Certificate { .. } => Code::CertificateInvalid,
            Self::SecretNotFound { .. } => Code::CertificateSecretNotFound,
            Self::SecretNotManaged { .. } => Code::CertificateSecretNotManaged,
            Self::SecretRequest { .. } => Code::CertificateSecretRequest,
            Self::RotationTimeout { .. } => Code::RotationTimeout,
            Self::Address(_) => Code::AddressUnavailable,
            Self::TlsFiles(_) => Code::ServingCertificateInvalid,
            Self::CaFile { .. } => Code::CaFileInvalid,
        }
    }
}

/// The code of an error with which a subcommand ends. Apart from [`CommandError`], it recognizes the errors
/// of the store process.
pub(crate) fn code(error: &anyhow::Error) -> Code {
    if let Some(error) = error.downcast_ref::<CommandError>() {
        return error.code();
    }
    let is_address = |error: &io::Error| {
        matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable)
    };
    if error.is::<FilesError>() {
        Code::ServingCertificateInvalid
    } else if error.is::<InferConfigError>() {
        Code::ClusterUnreachable
    } else if error.downcast_ref().is_some_and(is_address) {
        Code::AddressUnavailable
    } else {
        Code::CommandFailed
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn errors_of_the_store_process_have_codes() {
        let in_use = io::Error::from(io::ErrorKind::AddrInUse);
        let error = Err::<(), _>(in_use).context("failed to listen").unwrap_err();
        assert_eq!(code(&error), Code::AddressUnavailable);
        assert_eq!(code(&io::Error::from(io::ErrorKind::NotFound).into()), Code::CommandFailed);
    }
}
