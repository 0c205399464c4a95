//! The programs of the cluster and their flags. Settings that can be in a file are in `tests/cluster/node`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::component::Components;
use super::{ADDRESS, API_PORT, KUBERNETES, NAME, SERVICE_CIDR};

/// The address of etcd. It needs no TLS, because pods cannot reach the loopback interface of the node.
const ETCD: &str = "http://127.0.0.1:2379";

/// The configuration files of the programs, mostly from `tests/cluster/node`.
const FILES: [(&str, &str); 9] = [
    ("/etc/containerd/config.toml", include_str!("../../node/containerd.toml")),
    // For the registries of scenarios, whose certificate authorities are generated at run time.
    ("/etc/containerd/certs.d/_default/hosts.toml", "skip_verify = true\n[host]\n"),
    ("/etc/cni/net.d/10-pods.conflist", include_str!("../../node/cni.conflist")),
    ("/etc/kubernetes/admission.yaml", include_str!("../../node/admission.yaml")),
    ("/etc/kubernetes/webhooks.kubeconfig", include_str!("../../node/webhooks.kubeconfig")),
    ("/etc/kubernetes/kubelet.yaml", include_str!("../../node/kubelet.yaml")),
    ("/etc/kubernetes/kube-proxy.yaml", include_str!("../../node/kube-proxy.yaml")),
    ("/etc/kubernetes/Corefile", include_str!("../../node/Corefile")),
    // For pods with `dnsPolicy: Default`, which would otherwise use the name servers of the machine.
    ("/etc/kubernetes/resolv.conf", "nameserver 10.99.0.1\n"),
];

/// Writes the configuration files.
///
/// # Errors
/// If one cannot be written.
pub(super) fn write_configuration() -> Result<()> {
    for (file, content) in FILES {
        if let Some(folder) = Path::new(file).parent() {
            fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        }
        fs::write(file, content).with_context(|| format!("write {file}"))?;
    }
    Ok(())
}

/// Starts etcd.
///
/// # Errors
/// If it cannot be started.
pub(super) fn start_storage(components: &Components, tools: &Path) -> Result<()> {
    let mut etcd = Command::new(tools.join("etcd"));
    etcd.args(["--data-dir=/var/lib/etcd/cluster", "--listen-peer-urls=http://127.0.0.1:2380"]);
    etcd.arg(format!("--listen-client-urls={ETCD}")).arg(format!("--advertise-client-urls={ETCD}"));
    components.start("etcd", etcd)
}

/// Starts containerd.
///
/// # Errors
/// If it cannot be started.
pub(super) fn start_runtime(components: &Components) -> Result<()> {
    let mut containerd = Command::new("containerd");
    containerd.args(["--config", "/etc/containerd/config.toml"]);
    components.start("containerd", containerd)
}

/// Starts the API server. Pod security admission is enabled by default.
///
/// # Errors
/// If it cannot be started.
pub(super) fn start_api_server(components: &Components, tools: &Path) -> Result<()> {
    let pki = format!("{KUBERNETES}/pki");
    let mut server = Command::new(tools.join("kube-apiserver"));
    server.args([
        format!("--etcd-servers={ETCD}"),
        format!("--advertise-address={ADDRESS}"),
        format!("--secure-port={API_PORT}"),
        format!("--tls-cert-file={pki}/apiserver.crt"),
        format!("--tls-private-key-file={pki}/apiserver.key"),
        format!("--client-ca-file={pki}/ca.crt"),
        // Not used, but without it clients that read the configuration log errors.
        format!("--requestheader-client-ca-file={pki}/ca.crt"),
        "--requestheader-allowed-names=front-proxy-client".to_owned(),
        "--requestheader-username-headers=X-Remote-User".to_owned(),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        format!("--admission-control-config-file={KUBERNETES}/admission.yaml"),
        "--allow-privileged=true".to_owned(),
        format!("--service-cluster-ip-range={SERVICE_CIDR}"),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
        format!("--service-account-key-file={pki}/sa.pub"),
        format!("--service-account-signing-key-file={pki}/sa.key"),
        // The name of the node cannot be resolved.
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        format!("--kubelet-certificate-authority={pki}/ca.crt"),
        format!("--kubelet-client-certificate={pki}/apiserver-kubelet-client.crt"),
        format!("--kubelet-client-key={pki}/apiserver-kubelet-client.key"),
    ]);
    components.start("kube-apiserver", server)
}

/// Starts the controller manager, the scheduler and kube-proxy.
///
/// # Errors
/// If one cannot be started.
pub(super) fn start_controllers(components: &Components, tools: &Path) -> Result<()> {
    let kubeconfig = |program: &str| {
        let file = format!("{KUBERNETES}/{program}.kubeconfig");
        ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"]
            .map(|flag| format!("--{flag}={file}"))
    };
    let mut manager = Command::new(tools.join("kube-controller-manager"));
    manager.args(kubeconfig("controller-manager")).args([
        "--leader-elect=false".to_owned(),
        "--use-service-account-credentials".to_owned(),
        // At the default rate, it needs five seconds to create the service accounts of its controllers.
        "--kube-api-qps=200".to_owned(),
        "--kube-api-burst=400".to_owned(),
        format!("--root-ca-file={KUBERNETES}/pki/ca.crt"),
        format!("--service-account-private-key-file={KUBERNETES}/pki/sa.key"),
    ]);
    components.start("kube-controller-manager", manager)?;

    let mut scheduler = Command::new(tools.join("kube-scheduler"));
    scheduler.args(kubeconfig("scheduler")).arg("--leader-elect=false");
    components.start("kube-scheduler", scheduler)?;

    let mut proxy = Command::new(tools.join("kube-proxy"));
    proxy.arg(format!("--config={KUBERNETES}/kube-proxy.yaml")).arg(format!("--hostname-override={NAME}"));
    components.start("kube-proxy", proxy)
}

/// Starts `CoreDNS` as a process of the node instead of in a pod, which saves an image and the start of a
/// pod.
///
/// # Errors
/// If it cannot be started.
pub(super) fn start_dns(components: &Components, tools: &Path) -> Result<()> {
    let mut dns = Command::new(tools.join("coredns"));
    dns.arg("-conf").arg(format!("{KUBERNETES}/Corefile"));
    components.start("coredns", dns)
}

/// Starts the kubelet, with `cgroup` as the parent of its containers.
///
/// # Errors
/// If it cannot be started.
pub(super) fn start_kubelet(components: &Components, tools: &Path, cgroup: &str) -> Result<()> {
    let mut kubelet = Command::new(tools.join("kubelet"));
    kubelet.args([
        format!("--config={KUBERNETES}/kubelet.yaml"),
        format!("--kubeconfig={KUBERNETES}/kubelet.kubeconfig"),
        format!("--hostname-override={NAME}"),
        format!("--node-ip={ADDRESS}"),
        format!("--cgroup-root={cgroup}"),
    ]);
    components.start("kubelet", kubelet)
}
