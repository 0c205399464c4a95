//! Which addresses a request's host stands for.
//!
//! Addresses and `/etc/hosts`, which the kubelet writes with the pod's own name and its `hostAliases`; no DNS.
//! libc's resolver waits up to 5 s for each search domain, which without a thread no deadline can shorten, and
//! it is a twentieth of this binary. The kubelet would not have found the cluster's names either: it asks the
//! node's DNS.

use std::fs;
use std::net::IpAddr;

/// The addresses to try, in this order, each as it is written in a `Host` header. An empty host is the pod
/// itself: what its host name stands for, and then loopback, for servers that listen there alone.
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

/// The addresses of the lines that hold a name (hosts(5)).
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

    /// As the kubelet writes it.
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
    fn finds_names_as_the_kubelet_writes_them() {
        assert_eq!(found("task-1"), ["10.1.2.3"]);
        assert_eq!(found("TASK-1.ns.svc.cluster.local"), ["10.1.2.3"]);
        assert_eq!(found("localhost"), ["127.0.0.1", "::1"]);
        assert_eq!(found("db.example.com"), ["10.9.9.9"]);
        assert_eq!(found("the"), [] as [&str; 0]);
        assert_eq!(found("10.1.2.3"), [] as [&str; 0]);
    }

    #[test]
    fn an_address_stands_for_itself_and_no_host_for_the_pod() {
        assert_eq!(lookup("::1"), [("::1".parse().unwrap(), "::1".to_owned())]);
        let own = lookup("");
        assert!(own.ends_with(&[address("127.0.0.1").unwrap(), address("::1").unwrap()]), "{own:?}");
        assert_eq!(lookup("no.such.name.invalid"), []);
    }
}
