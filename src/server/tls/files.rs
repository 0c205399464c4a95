//! A certificate in files that another program writes and renews, for example cert-manager, through a mounted
//! Secret.
//!
//! The files are read every few seconds and compared. An update of a mounted Secret replaces the symlink
//! `..data`, and an inotify watch on a file would only see the first update.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::{info, warn};

use super::{Certificate, CertificateError};

/// The file of the certificate and its chain.
pub const CERT: &str = "tls.crt";
/// The file of its key.
pub const KEY: &str = "tls.key";
/// The file of the CA. It is not read, because the creator of the files also sets the caBundle.
pub const CA: &str = "ca.crt";

/// How often files are read.
pub const EVERY: Duration = Duration::from_secs(5);

/// The certificate in a folder is missing or invalid.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A file cannot be read.
    #[error("failed to read {path:?}: {source}; mount a Secret with {CERT} and {KEY} there")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The content of a file is invalid.
    #[error("{path:?} is invalid: {source}")]
    Unusable {
        /// The file of the certificate.
        path: PathBuf,
        /// The problem.
        source: CertificateError,
    },
}

/// The content of a folder.
#[derive(Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    cert: Vec<u8>,
    key: Vec<u8>,
}

impl CertificateFiles {
    /// Reads the files in a folder.
    ///
    /// # Errors
    /// A file is missing or unreadable.
    pub fn read(folder: &Path) -> Result<Self, FilesError> {
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).map_err(|source| FilesError::Unreadable { path, source })
        };
        Ok(Self { cert: read(CERT)?, key: read(KEY)? })
    }

    /// The certificate in the files.
    ///
    /// # Errors
    /// The content is invalid, or the key does not belong to the certificate.
    pub fn certificate(&self, folder: &Path) -> Result<Certificate, FilesError> {
        Certificate::from_pem(&self.cert, &self.key)
            .map_err(|source| FilesError::Unusable { path: folder.join(CERT), source })
    }
}

/// Calls `changed` with each new valid certificate, forever; invalid ones are ignored. `current` is the
/// current content.
pub async fn watch(
    folder: &Path,
    every: Duration,
    mut current: CertificateFiles,
    mut changed: impl FnMut(Certificate),
) {
    let mut ticks = tokio::time::interval(every);
    let mut last_error = String::new();
    loop {
        ticks.tick().await;
        // Reading two small files on a memory-backed volume does not need another thread.
        let read = CertificateFiles::read(folder).and_then(|files| {
            if files == current { Ok(None) } else { Ok(Some((files.certificate(folder)?, files))) }
        });
        match read {
            Ok(None) => last_error.clear(),
            Ok(Some((certificate, files))) => {
                info!(folder = %folder.display(), expires = %certificate.facts.not_after, "reloaded the certificate");
                changed(certificate);
                current = files;
                last_error.clear();
            }
            // Can also happen if the files change between two reads; the next iteration then succeeds.
            Err(error) => {
                let error = error.to_string();
                if error != last_error {
                    warn!("failed to reload the certificate, keeping the previous one: {error}");
                    last_error = error;
                }
            }
        }
    }
}

/// Calls `changed` with each new valid content of a file with CAs, forever. `current` is the current content.
pub async fn follow_ca(file: &Path, every: Duration, mut current: Vec<u8>, mut changed: impl FnMut(&[u8])) {
    let mut ticks = tokio::time::interval(every);
    let mut last_error = String::new();
    loop {
        ticks.tick().await;
        let unreadable = |source| FilesError::Unreadable { path: file.to_owned(), source };
        let read = std::fs::read(file).map_err(unreadable).and_then(|ca| {
            let unusable = |source| FilesError::Unusable { path: file.to_owned(), source };
            super::certificate::chain(&ca).map_err(unusable).map(|_| ca)
        });
        match read {
            Ok(ca) => {
                if ca != current {
                    info!(file = %file.display(), "reloaded the CA");
                    changed(&ca);
                    current = ca;
                }
                last_error.clear();
            }
            Err(error) => {
                let error = error.to_string();
                if error != last_error {
                    warn!("failed to reload the CA, keeping the previous one: {error}");
                    last_error = error;
                }
            }
        }
    }
}
