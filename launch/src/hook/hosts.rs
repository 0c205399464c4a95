//! The addresses of the host in a request.
//!
//! Supports addresses and `/etc/hosts`, which the kubelet writes with the name of the pod and its
//! `hostAliases`, but not DNS. The resolver of libc waits up to 5 s for each search domain, which no deadline
//! can shorten without a thread, and it would be a twentieth of this binary. The kubelet would not resolve
//! names of the cluster either: it uses the DNS of the node.

use std::fs;
use std::net::IpAddr;

/// The addresses to try, in this order, each with its text for a `Host` header. An empty host means the pod
/// itself: the addresses of its host name, then loopback, for servers that listen only there.
pub(crate) fn lookup(host: &str) -> Vec<(IpAddr, String)> {
    if let Ok(address) = host.parse() {
        return vec![(address, host.to_owned())];
    }
    let read = |path| String::from_utf8(fs::read(path).unwrap_or_default()).unwrap_or_default();
    let hosts = read("/etc/hosts");
    if host.is_empty() {
        let own = read("/proc/sys/kernel/hostname");
        let mut found = addresses_of(own.trim_end(), &hosts);
        found.extend(["127.0.0.1", "::1"].into_iter().filter_map(address));
        found
    } else {
        let found = addresses_of(host, &hosts).into_iter();
        found.map(|(address, _)| (address, host.to_owned())).collect()
    }
}

/// The addresses in the lines that contain a name (hosts(5)).
fn addresses_of(name: &str, hosts: &str) -> Vec<(IpAddr, String)> {
    let mut found = Vec::new();
    for line in hosts.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
        let text = words.next().unwrap_or_default();
        if words.any(|word| word.eq_ignore_ascii_case(name)) {
            found.extend(address(text));
        }
    }
    found
}

fn address(text: &str) -> Option<(IpAddr, String)> {
    Some((text.parse().ok()?, text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file as the kubelet writes it.
    const HOSTS: &str = "\
# Kubernetes-managed hosts file.
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
10.1.2.3\tTask-1.ns.svc.cluster.local\ttask-1 # the pod

# Entries added by HostAliases.
10.9.9.9\tdb\tdb.example.com
";

    fn found(name: &str) -> Vec<String> {
        addresses_of(name, HOSTS).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn finds_names_in_a_file_of_the_kubelet() {
        assert_eq!(found("task-1"), ["10.1.2.3"]);
        assert_eq!(found("TASK-1.ns.svc.cluster.local"), ["10.1.2.3"]);
        assert_eq!(found("localhost"), ["127.0.0.1", "::1"]);
        assert_eq!(found("db.example.com"), ["10.9.9.9"]);
        assert_eq!(found("the"), [] as [&str; 0]);
        assert_eq!(found("10.1.2.3"), [] as [&str; 0]);
    }

    #[test]
    fn an_address_needs_no_lookup_and_an_empty_host_is_the_pod() {
        assert_eq!(lookup("::1"), [("::1".parse().unwrap(), "::1".to_owned())]);
        let own = lookup("");
        assert!(own.ends_with(&[address("127.0.0.1").unwrap(), address("::1").unwrap()]), "{own:?}");
        assert_eq!(lookup("no.such.name.invalid"), []);
    }
}
