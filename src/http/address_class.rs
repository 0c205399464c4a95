//! Classes of addresses, and a resolver that filters by them.
//!
//! Clouds serve the credentials of the node at link-local addresses, and the sidecars of a pod listen on its
//! loopback. A server on the network must not be able to redirect boot there, neither by address nor by name,
//! so the resolver itself removes such addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// The class of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NetworkZone {
    /// The pod itself.
    Loopback,
    /// The link of the node, where clouds serve metadata.
    LinkLocal,
    /// Any other address.
    Network,
}

/// Services of clouds with credentials or settings of the node, whose addresses are not link-local.
const METADATA_V4: [Ipv4Addr; 3] = [
    // Azure's WireServer.
    Ipv4Addr::new(168, 63, 129, 16),
    // Alibaba Cloud's metadata service.
    Ipv4Addr::new(100, 100, 100, 200),
    // Oracle Cloud's metadata service, the IPv4 dummy address of RFC 7600.
    Ipv4Addr::new(192, 0, 0, 192),
];
const METADATA_V6: [Ipv6Addr; 2] = [
    // AWS' metadata service.
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    // Google Cloud's metadata service.
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

/// NAT64: the last four bytes are an IPv4 address (RFC 6052).
const NAT64: &[u8] = &[0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0];

impl NetworkZone {
    pub(crate) fn new(address: IpAddr) -> Self {
        match address.to_canonical() {
            // 0.0.0.0/8 is "this host", which Linux treats as the loopback.
            IpAddr::V4(v4) if v4.is_loopback() || v4.octets()[0] == 0 => Self::Loopback,
            IpAddr::V4(v4) if v4.is_link_local() || METADATA_V4.contains(&v4) => Self::LinkLocal,
            IpAddr::V4(_) => Self::Network,
            IpAddr::V6(v6) if v6.is_loopback() || v6.is_unspecified() => Self::Loopback,
            IpAddr::V6(v6) if v6.is_unicast_link_local() || METADATA_V6.contains(&v6) => Self::LinkLocal,
            IpAddr::V6(v6) => match v6.octets().split_last_chunk() {
                Some((NAT64, v4)) => Self::new(Ipv4Addr::from_octets(*v4).into()),
                _ => Self::Network,
            },
        }
    }

    /// Whether a server in this class may redirect to `target`.
    pub(crate) fn may_lead_to(self, target: Self) -> bool {
        target == Self::Network || target == self
    }
}

/// Resolves names like the system does, and removes addresses that a redirect must not lead to.
pub(super) struct Resolver {
    /// The class of the redirecting server; `None` for the address in the profile, which is not restricted.
    pub(super) from: Option<NetworkZone>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let from = self.from;
        Box::pin(async move {
            // Port 0: the caller uses the port of the URL.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let found: Vec<SocketAddr> = match found {
                Ok(found) => found.collect(),
                Err(error) => {
                    let (name, reason) = (name.as_str().to_owned(), error.to_string());
                    return Err(ResolveError::NotFound { name, reason }.into());
                }
            };
            let allowed = |address: &&SocketAddr| {
                from.is_none_or(|from| from.may_lead_to(NetworkZone::new(address.ip())))
            };
            let allowed: Vec<SocketAddr> = found.iter().filter(allowed).copied().collect();
            if !found.is_empty() && allowed.is_empty() {
                return Err(ResolveError::NotAllowed.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Why a name cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum ResolveError {
    /// The name cannot be resolved.
    #[error("failed to resolve {name:?}: {reason}")]
    NotFound {
        /// The name.
        name: String,
        /// The system's error.
        reason: String,
    },
    /// The name only has addresses of the node.
    #[error("the name resolves to an address of the node")]
    NotAllowed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_node_are_recognized_in_every_form() {
        for (address, zone) in [
            ("127.0.0.1", NetworkZone::Loopback),
            ("127.9.9.9", NetworkZone::Loopback),
            ("0.0.0.0", NetworkZone::Loopback),
            ("0.1.2.3", NetworkZone::Loopback),
            ("::1", NetworkZone::Loopback),
            ("::", NetworkZone::Loopback),
            ("::ffff:127.0.0.1", NetworkZone::Loopback),
            ("169.254.169.254", NetworkZone::LinkLocal),
            ("::ffff:169.254.169.254", NetworkZone::LinkLocal),
            ("64:ff9b::a9fe:a9fe", NetworkZone::LinkLocal),
            ("fe80::1", NetworkZone::LinkLocal),
            ("fd00:ec2::254", NetworkZone::LinkLocal),
            ("fd20:ce::254", NetworkZone::LinkLocal),
            ("168.63.129.16", NetworkZone::LinkLocal),
            ("64:ff9b::a83f:8110", NetworkZone::LinkLocal),
            ("100.100.100.200", NetworkZone::LinkLocal),
            ("::ffff:192.0.0.192", NetworkZone::LinkLocal),
            ("100.100.100.201", NetworkZone::Network),
            ("10.0.0.1", NetworkZone::Network),
            ("93.184.216.34", NetworkZone::Network),
            ("64:ff9b::5db8:d822", NetworkZone::Network),
            ("2001:db8::1", NetworkZone::Network),
        ] {
            assert_eq!(NetworkZone::new(address.parse().unwrap()), zone, "{address}");
        }
    }

    #[test]
    fn only_the_same_zone_and_the_network_are_reachable() {
        use NetworkZone::{LinkLocal, Loopback, Network};
        for zone in [LinkLocal, Loopback, Network] {
            assert!(zone.may_lead_to(zone) && zone.may_lead_to(Network));
        }
        assert!(!Network.may_lead_to(Loopback) && !Network.may_lead_to(LinkLocal));
        assert!(!Loopback.may_lead_to(LinkLocal) && !LinkLocal.may_lead_to(Loopback));
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_the_pod_is_refused() {
        let resolve = async |from| Resolver { from }.resolve("localhost".parse().unwrap()).await;
        assert!(resolve(None).await.unwrap().next().is_some());
        assert!(resolve(Some(NetworkZone::Loopback)).await.unwrap().next().is_some());
        let error = resolve(Some(NetworkZone::Network)).await.err().unwrap();
        assert!(matches!(error.downcast_ref(), Some(ResolveError::NotAllowed)), "{error}");
    }
}
