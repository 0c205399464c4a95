//! `vault`: secrets of `HashiCorp` Vault or `OpenBao`.
//!
//! | module | responsibility |
//! |---|---|
//! | `session` | logs in, reads, and revokes the token |
//! | `response` | what Vault responds, without errors |
//! | `errors` | what Vault responds as an error, and what to do about it |
//! | `content` | what the keys of a secret become |
//! | `lease` | leases that end before the task may |
//!
//! Boot reads all secrets with the token of one login. It then revokes this token, so that no one can use it
//! later, unless Vault has granted a lease: a lease ends with the token that it was granted to.

mod content;
mod errors;
mod lease;
mod response;
mod session;

use std::path::Path;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use self::lease::Lease;
#[cfg(test)]
pub(crate) use self::lease::ShortLease;
use self::session::Session;
use super::{FetchSource, SourceError};
use crate::boot::sink::Sink;
use crate::http::{self, FetchProgress, HttpClient, HttpError, read_token};
use bootlace_core::entry::Rename;
use bootlace_core::plan::boot_spec::VaultSource;
use bootlace_core::profile::vault::Vault;

/// A source in Vault.
pub(super) struct VaultSecrets<'a> {
    source: &'a VaultSource,
    /// The time limit of the boot.
    seconds: u32,
    progress: Arc<FetchProgress>,
}

/// The address of the first request.
pub(super) fn address(settings: &Vault) -> Result<String, SourceError> {
    Ok(session::login_url(settings)?.into())
}

impl<'a> VaultSecrets<'a> {
    pub(super) fn new(source: &'a VaultSource, seconds: u32) -> Self {
        Self { source, seconds, progress: Arc::default() }
    }

    fn settings(&self) -> &'a Vault {
        &self.source.remote.request
    }

    async fn write_to(&self, sink: &mut Sink<'_>) -> Result<(), SourceError> {
        let settings = self.settings();
        let mount = Path::new(&self.source.remote.path);
        let client = http::open(&settings.client, mount, self.seconds, &self.progress).await?;
        if settings.client.has_headers() {
            let reason = "client.headers, client.headersFromSecret and client.token are not supported for Vault: remove \
                          them, and set vault.auth";
            return Err(HttpError::Setup(reason.to_owned()).into());
        }
        let jwt = read_token(mount)?;
        let session = Session::log_in(&client, settings, &jwt).await?;
        match self.read(&client, &session, sink).await {
            Ok(leases) if leases.is_empty() => {
                if let Err(error) = session.revoke(&client).await {
                    sink.note(format!("warning: failed to revoke the token of the login: {error}"));
                }
                Ok(())
            }
            Ok(leases) => {
                self.warn(&leases, &session, sink);
                Ok(())
            }
            Err(error) => {
                // Also ends the leases that were granted. The task does not start, so the first error counts.
                let _ = session.revoke(&client).await;
                Err(error)
            }
        }
    }

    /// Reads all secrets, and returns the leases that Vault has granted.
    async fn read(
        &self,
        client: &HttpClient<'_>,
        session: &Session<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<Vec<Lease>, SourceError> {
        let mut leases = Vec::new();
        for secret in &self.settings().secrets {
            let body = session.read(client, secret, sink).await?;
            let read = response::read(&body, secret)?;
            leases.extend(read.lease);
            content::write(secret, read.keys, sink)?;
        }
        Ok(leases)
    }

    /// Warns about leases that end before the task may.
    fn warn(&self, leases: &[Lease], session: &Session<'_>, sink: &mut Sink<'_>) {
        let (needed, reason) = self.settings().needed_lease(self.source.deadline_seconds);
        for lease in leases {
            if let Some(short) = lease.shorter_than(needed, reason, session.token_seconds()) {
                sink.warn(&short);
            }
        }
    }
}

impl FetchSource for VaultSecrets<'_> {
    fn title(&self) -> String {
        format!("Vault {}", self.settings().address)
    }

    fn rename(&self) -> Rename {
        Rename::Keys
    }

    fn fetch<'a>(&'a self, sink: &'a mut Sink<'_>) -> LocalBoxFuture<'a, Result<(), SourceError>> {
        self.write_to(sink).boxed_local()
    }

    fn in_progress(&self) -> Option<String> {
        self.progress.describe()
    }
}
