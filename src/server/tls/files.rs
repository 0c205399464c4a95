//! A certificate in files that somebody else writes and renews: cert-manager through a mounted Secret, or a
//! person.
//!
//! The files' content is read every few seconds and compared. A mounted Secret changes by a swap of the symlink
//! `..data`, of which an inotify watch on a file sees the first and none after it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::{info, warn};

use super::{Certificate, CertificateError};

/// The certificate with its chain, below the folder.
pub const CERT: &str = "tls.crt";
/// Its key, below the folder.
pub const KEY: &str = "tls.key";
/// The CA beside them. Not read with them: whoever makes the files sets caBundle too.
pub const CA: &str = "ca.crt";

/// How often files are looked at.
pub const EVERY: Duration = Duration::from_secs(5);

/// Why a folder's certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A file cannot be read.
    #[error("{path}: cannot be read ({source}): mount a Secret with {CERT} and {KEY} there", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file's content cannot be used.
    #[error("{path}: {source}", path = path.display())]
    Unusable {
        /// The certificate's file.
        path: PathBuf,
        /// What is wrong with it.
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
    /// Reads a folder.
    ///
    /// # Errors
    /// Where a file that must be there is not.
    pub fn read(folder: &Path) -> Result<Self, FilesError> {
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).map_err(|source| FilesError::Unreadable { path, source })
        };
        Ok(Self { cert: read(CERT)?, key: read(KEY)? })
    }

    /// The certificate in it.
    ///
    /// # Errors
    /// Where the files cannot be used together.
    pub fn certificate(&self, folder: &Path) -> Result<Certificate, FilesError> {
        Certificate::from_pem(&self.cert, &self.key)
            .map_err(|source| FilesError::Unusable { path: folder.join(CERT), source })
    }
}

/// Calls `changed` with each new content that can be used, for ever; the one in force stays where it cannot.
/// `current` is what is in force already.
pub async fn watch(
    folder: &Path,
    every: Duration,
    mut current: CertificateFiles,
    mut changed: impl FnMut(Certificate),
) {
    let mut ticks = tokio::time::interval(every);
    let mut complained = String::new();
    loop {
        ticks.tick().await;
        // Three small files on a memory-backed volume: no need for another thread.
        let read = CertificateFiles::read(folder).and_then(|files| {
            if files == current { Ok(None) } else { Ok(Some((files.certificate(folder)?, files))) }
        });
        match read {
            Ok(None) => complained.clear(),
            Ok(Some((certificate, files))) => {
                info!(folder = %folder.display(), expires = %certificate.facts.not_after, "certificate reloaded");
                changed(certificate);
                current = files;
                complained.clear();
            }
            // Also seen for a moment when the files change between two reads: the next look settles it.
            Err(error) => {
                let error = error.to_string();
                if error != complained {
                    warn!("{error}; the certificate in force stays");
                    complained = error;
                }
            }
        }
    }
}

/// Calls `changed` with each new content of a file of CAs that can be read, for ever. `current` is what is in force
/// already.
pub async fn follow_ca(file: &Path, every: Duration, mut current: Vec<u8>, mut changed: impl FnMut(&[u8])) {
    let mut ticks = tokio::time::interval(every);
    let mut complained = String::new();
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
                    info!(file = %file.display(), "CA reloaded");
                    changed(&ca);
                    current = ca;
                }
                complained.clear();
            }
            Err(error) => {
                let error = error.to_string();
                if error != complained {
                    warn!("{error}; the CA in force stays");
                    complained = error;
                }
            }
        }
    }
}
