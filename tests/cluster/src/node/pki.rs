//! The certificate authority of the cluster, its certificates, and the key that signs service account tokens.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose,
};

use super::{ADDRESS, API_SERVICE, KUBERNETES, NAME};

/// The certificate authority that all programs of the cluster trust.
pub(super) type Authority = CertifiedIssuer<'static, KeyPair>;

/// A certificate and its key, in PEM format.
pub(super) struct Identity {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// Writes the certificates and keys to `/etc/kubernetes/pki`, with the file names of kubeadm, and returns the
/// authority. Also writes the key that signs tokens to `token_key`.
///
/// # Errors
/// If a file cannot be written.
pub(super) fn write(token_key: &Path) -> Result<Authority> {
    let folder = Path::new(KUBERNETES).join("pki");
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let put = |name: &str, pem: &str| {
        let file = folder.join(name);
        fs::write(&file, pem).with_context(|| format!("write {}", file.display()))
    };

    let mut params = CertificateParams::default();
    params.distinguished_name = subject("bootlace-cluster", None);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    put("ca.crt", &authority.pem())?;

    let api_names = [
        ADDRESS,
        API_SERVICE,
        "127.0.0.1",
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ];
    for (name, names) in [("apiserver", &api_names[..]), ("kubelet-server", &[ADDRESS, NAME][..])] {
        let server = server(&authority, name, names)?;
        put(&format!("{name}.crt"), &server.certificate)?;
        put(&format!("{name}.key"), &server.key)?;
    }
    // The client certificate for webhooks that require one.
    let webhook_client = client(&authority, "kube-apiserver", None)?;
    put("apiserver-webhook-client.crt", &webhook_client.certificate)?;
    put("apiserver-webhook-client.key", &webhook_client.key)?;
    let kubelet_client = client(&authority, "kube-apiserver-kubelet-client", Some("system:masters"))?;
    put("apiserver-kubelet-client.crt", &kubelet_client.certificate)?;
    put("apiserver-kubelet-client.key", &kubelet_client.key)?;

    let tokens = KeyPair::generate()?;
    put("sa.key", &tokens.serialize_pem())?;
    fs::write(token_key, tokens.serialize_pem()).with_context(|| format!("write {}", token_key.display()))?;
    put("sa.pub", &tokens.public_key_pem())?;
    Ok(authority)
}

/// A certificate for a client. Kubernetes uses the CN as the name of the user and O as the group.
///
/// # Errors
/// If it cannot be signed.
pub(super) fn client(authority: &Authority, user: &str, group: Option<&str>) -> Result<Identity> {
    let mut params = CertificateParams::default();
    params.distinguished_name = subject(user, group);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    sign(authority, params)
}

fn server(authority: &Authority, name: &str, names: &[&str]) -> Result<Identity> {
    let mut params = CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    params.distinguished_name = subject(name, None);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    sign(authority, params)
}

fn sign(authority: &Authority, mut params: CertificateParams) -> Result<Identity> {
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, authority)?;
    Ok(Identity { certificate: certificate.pem(), key: key.serialize_pem() })
}

fn subject(name: &str, group: Option<&str>) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    if let Some(group) = group {
        subject.push(DnType::OrganizationName, group);
    }
    subject
}
