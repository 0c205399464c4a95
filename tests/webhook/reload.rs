//! Certificates that change while the webhook runs.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use bootlace::server::tls::{Certificate, Issued, Lifetimes, Names, authority, certificate, files};
use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;

use crate::client::{Connection, trusting};
use crate::harness::{REVIEW, Webhook, issue, response, until};

fn leaf(issued: &Issued) -> CertificateDer<'static> {
    certificate::chain(issued.cert.as_bytes()).unwrap().remove(0)
}

/// Another certificate of the same CA, like that of a renewal.
fn renew(issued: &Issued) -> Issued {
    let now = OffsetDateTime::now_utc();
    authority::reissue(issued, &Names::of_loopback(), now, Lifetimes::default()).unwrap()
}

/// Writes a version like the kubelet: to a new directory, to which the symlink `..data` is then moved
/// atomically. The files for programs are symlinks through `..data`, and do not change.
fn publish(mount: &Path, version: &str, cert: &str, key: &str) {
    let folder = mount.join(format!("..{version}"));
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join(files::CERT), cert).unwrap();
    std::fs::write(folder.join(files::KEY), key).unwrap();
    symlink(format!("..{version}"), mount.join("..data_tmp")).unwrap();
    std::fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    for name in [files::CERT, files::KEY] {
        if !mount.join(name).exists() {
            symlink(Path::new("..data").join(name), mount.join(name)).unwrap();
        }
    }
}

#[tokio::test]
async fn three_swaps_in_a_row_are_served_and_no_connection_is_lost() {
    let webhook = Webhook::start().await;
    let mount = tempfile::tempdir().unwrap();
    let mut issued = issue();
    publish(mount.path(), "1", &issued.cert, &issued.key);
    let content = files::CertificateFiles::read(mount.path()).unwrap();
    webhook.serving.swap(&content.certificate(mount.path()).unwrap());
    let (folder, serving) = (mount.path().to_owned(), webhook.serving.clone());
    tokio::spawn(async move {
        let changed = |certificate: Certificate| serving.swap(&certificate);
        files::watch(&folder, Duration::from_millis(5), content, changed).await;
    });

    let tls = trusting(issued.ca_cert.as_bytes());
    let shown = async || Connection::open(webhook.address, tls.clone()).await.unwrap().certificate();
    let mut old = Connection::open(webhook.address, tls.clone()).await.unwrap();
    assert_eq!(old.certificate(), leaf(&issued));
    for version in ["2", "3", "4"] {
        issued = renew(&issued);
        publish(mount.path(), version, &issued.cert, &issued.key);
        until(&format!("version {version}"), async || shown().await == leaf(&issued)).await;
    }
    // With an invalid version, the previous one stays active until there is a valid one.
    publish(mount.path(), "5", &issued.cert, &issue().key);
    let better = renew(&issued);
    assert_eq!(shown().await, leaf(&issued));
    publish(mount.path(), "6", &better.cert, &better.key);
    until("version 6", async || shown().await == leaf(&better)).await;
    response(&old.review(REVIEW.as_bytes()).await.unwrap());
}

#[test]
fn a_directory_without_a_certificate_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let Err(error) = files::CertificateFiles::read(folder.path()) else { panic!("it was read") };
    assert!(
        matches!(&error, files::FilesError::Unreadable { path, .. } if path.ends_with("tls.crt")),
        "{error}"
    );
}
