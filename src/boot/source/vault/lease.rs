//! Leases of secrets. Boot does not renew them, because it ends before the task starts.

use bootlace_core::code::{Code, Coded};

/// The lease of a secret.
pub(super) struct Lease {
    /// Path of the secret in the API.
    pub(super) path: String,
    /// The seconds after which it ends; 0 if it does not end.
    pub(super) seconds: u64,
}

/// A lease that ends before the task may.
#[derive(Debug, thiserror::Error)]
#[error(
    "the lease of {path} ends after {seconds} s{}, but the task can need it for {needed} s ({reason}): raise {} in Vault, \
     or set minLeaseSeconds of the source to the time that the task needs",
    if *by_token { ", with the token of the login" } else { "" },
    if *by_token { "token_ttl of the role" } else { "the TTL of the secret" }
)]
pub(crate) struct ShortLease {
    /// Path of the secret in the API.
    pub path: String,
    /// The seconds after which it ends.
    pub seconds: u64,
    /// Whether it ends because the token of the login ends.
    pub by_token: bool,
    /// The seconds for which the task can need it.
    pub needed: u64,
    /// What determines them.
    pub reason: &'static str,
}

impl Coded for ShortLease {
    fn code(&self) -> Code {
        Code::LeaseTooShort
    }
}

impl Lease {
    /// Compares the lease with the seconds for which the task needs it. It also ends after `token` seconds,
    /// with the token, which boot does not renew.
    pub(super) fn shorter_than(
        &self,
        needed: u64,
        reason: &'static str,
        token: Option<u64>,
    ) -> Option<ShortLease> {
        let lease = Some(self.seconds).filter(|seconds| *seconds > 0);
        let by_token = token.is_some_and(|token| lease.is_none_or(|lease| token < lease));
        let seconds = lease.into_iter().chain(token).min()?;
        let short = || ShortLease { path: self.path.clone(), seconds, by_token, needed, reason };
        (seconds < needed).then(short)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_ends_with_its_token() {
        let short = |seconds, token| {
            let lease = Lease { path: "database/creds/etl".to_owned(), seconds };
            let short = lease.shorter_than(600, "minLeaseSeconds", token)?;
            Some((short.seconds, short.by_token))
        };
        assert_eq!(short(600, Some(600)), None);
        assert_eq!(short(0, None), None);
        assert_eq!(short(599, None), Some((599, false)));
        assert_eq!(short(300, Some(300)), Some((300, false)));
        assert_eq!(short(3600, Some(300)), Some((300, true)));
        assert_eq!(short(0, Some(300)), Some((300, true)));
        assert_eq!(short(300, Some(3600)), Some((300, false)));
    }
}
