//! The names in a certificate.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// DNS names and addresses, in the subject alternative names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// DNS names.
    pub dns: BTreeSet<String>,
    /// Addresses.
    pub ip: BTreeSet<IpAddr>,
}

impl Names {
    /// The names of a Service. The API server uses `<service>.<namespace>.svc`; other clients can use the
    /// longer name.
    #[must_use]
    pub fn of_service(service: &str, namespace: &str) -> Self {
        let short = format!("{service}.{namespace}.svc");
        let long = format!("{short}.cluster.local");
        Self { dns: [short, long].into(), ip: BTreeSet::new() }
    }

    /// The names and addresses of the loopback interface.
    #[must_use]
    pub fn of_loopback() -> Self {
        Self {
            dns: ["localhost".to_owned()].into(),
            ip: [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)].into(),
        }
    }

    /// Whether a certificate for `self` is valid for all names of `other`.
    #[must_use]
    pub fn cover(&self, other: &Self) -> bool {
        self.dns.is_superset(&other.dns) && self.ip.is_superset(&other.ip)
    }
}
