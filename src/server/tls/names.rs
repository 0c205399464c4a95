//! The names that a certificate is for.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// DNS names and addresses, in a subject's alternative names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// DNS names.
    pub dns: BTreeSet<String>,
    /// Addresses.
    pub ip: BTreeSet<IpAddr>,
}

impl Names {
    /// The names of a Service. The API server calls `<service>.<namespace>.svc`; the longer one is for clients
    /// that resolve it.
    #[must_use]
    pub fn of_service(service: &str, namespace: &str) -> Self {
        let short = format!("{service}.{namespace}.svc");
        let long = format!("{short}.cluster.local");
        Self { dns: [short, long].into(), ip: BTreeSet::new() }
    }

    /// The names of this machine to itself.
    #[must_use]
    pub fn of_loopback() -> Self {
        Self {
            dns: ["localhost".to_owned()].into(),
            ip: [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)].into(),
        }
    }

    /// Whether a certificate for `self` serves everybody who asks for `other`.
    #[must_use]
    pub fn cover(&self, other: &Self) -> bool {
        self.dns.is_superset(&other.dns) && self.ip.is_superset(&other.ip)
    }
}
