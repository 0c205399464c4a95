//! The servers: one of each kind, with 1,000 small files and one large one.

#[path = "../../tests/boot/object_store/servers.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod servers;
#[path = "../../tests/boot/object_store/stores.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod stores;

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use bootlace_test_registry::{Access, Blob, Registry, manifest};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::{Value, json};

use stores::{Kind, Store};

use crate::content::{self, FILE, FILES};
use crate::server::{self, Server, ok};
use crate::support::Container;

const S3_KEY: &str = "AKIAEXAMPLE";
const S3_SECRET: &str = "example-secret";
const BUCKET: &str = "bench";

/// The name and the endpoint of a bucket.
pub(crate) struct Bucket {
    pub(crate) name: String,
    pub(crate) endpoint: String,
}

pub(crate) struct S3 {
    store: Store,
    pub(crate) bucket: Bucket,
    pub(crate) key: &'static str,
    pub(crate) secret: &'static str,
}

/// Google Cloud Storage, with TLS because its command line tool requires it.
pub(crate) struct Gcs {
    _server: servers::Server,
    /// The files of the server.
    folder: tempfile::TempDir,
    pub(crate) bucket: Bucket,
}

pub(crate) struct Azure {
    store: Store,
    pub(crate) bucket: Bucket,
    pub(crate) account: &'static str,
    pub(crate) key: &'static str,
}

/// HTTP servers, each with one response.
pub(crate) struct Http {
    pub(crate) tar: Server,
    pub(crate) zip: Server,
    pub(crate) large: Server,
    /// The large file in a tar.gz.
    pub(crate) large_tar: Server,
    /// A JSON object, as large as boot accepts.
    pub(crate) json: Server,
    pub(crate) optimus: Server,
}

/// A registry with an image with one layer as `small`, and an artifact with one file as `large`.
pub(crate) struct Oci {
    pub(crate) registry: Registry,
    pub(crate) small: Blob,
    pub(crate) large: Blob,
}

pub(crate) struct Servers {
    pub(crate) http: Http,
    pub(crate) s3: S3,
    pub(crate) gcs: Gcs,
    pub(crate) azure: Azure,
    pub(crate) oci: Oci,
    /// The folders that are mounted into boot, one for each kind: CAs, and access keys of a store.
    mounts: Container,
}

impl Servers {
    pub(crate) fn start() -> Self {
        let mounts = Container::new();
        let (tar, large) = (content::tar(), content::large());
        let s3 = S3::start(&large);
        let gcs = Gcs::start(&large);
        let azure = Azure::start(&large);
        let oci = Oci::start(&tar, &large);
        let object: Value = (0..FILES).map(|number| (content::name(number), content::text())).collect();
        let compiled = json!({"envs": {"DSTART": "2026-11-20T00:00:00Z"}, "files": object, "secrets": {}});
        let serve = |body: Vec<u8>| Server::tls(move |_, _| ok(body.clone()));
        let http = Http {
            zip: serve(content::zip()),
            large_tar: serve(content::large_tar(&large)),
            json: serve(content::large_json()),
            optimus: serve(compiled.to_string().into()),
            tar: serve(tar),
            large: serve(large),
        };
        for (folder, ca) in [
            ("http", server::ca()),
            ("oci", oci.registry.ca()),
            ("gcs", &fs::read_to_string(gcs.ca()).unwrap()),
        ] {
            mounts.mount(&format!("{folder}/ca"), [("ca.crt", ca.as_bytes())]);
        }
        Self { http, s3, gcs, azure, oci, mounts }
    }

    /// The mounted folder for `kind`.
    pub(crate) fn mounted(&self, kind: &str) -> PathBuf {
        self.mounts.beside(kind)
    }

    /// The request for the bucket in S3. Mounts its credentials at `s3`.
    pub(crate) fn in_s3(&self) -> Value {
        self.request(&self.s3.store, "s3")
    }

    /// The request for the container in Azure. Mounts its credentials at `azure`.
    pub(crate) fn in_azure(&self) -> Value {
        self.request(&self.azure.store, "azure")
    }

    fn request(&self, store: &Store, folder: &str) -> Value {
        let mounts = Container::new();
        let mut request = store.settings();
        request["credentials"] = store.credentials(&mounts);
        // `credentials` always uses the same mount point, and there are two stores.
        let target = self.mounted(folder);
        if !target.exists() {
            fs::rename(mounts.beside("store"), &target).unwrap();
        }
        request
    }
}

fn filled(kind: Kind, large: &[u8]) -> (Store, Bucket) {
    let store = Store::new(kind, BUCKET);
    store.put("large", large);
    (0..FILES).for_each(|number| store.put(&format!("small/{}", content::name(number)), FILE));
    let bucket = Bucket { name: BUCKET.to_owned(), endpoint: store.endpoint() };
    (store, bucket)
}

impl S3 {
    fn start(large: &[u8]) -> Self {
        let (store, bucket) = filled(Kind::S3, large);
        Self { store, bucket, key: S3_KEY, secret: S3_SECRET }
    }
}

impl Azure {
    fn start(large: &[u8]) -> Self {
        let (store, bucket) = filled(Kind::Azure, large);
        Self { store, bucket, account: stores::ACCOUNT, key: stores::ACCOUNT_KEY }
    }
}

impl Gcs {
    fn start(large: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let small = folder.path().join(BUCKET).join("small");
        for number in 0..FILES {
            let file = small.join(content::name(number));
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, FILE).unwrap();
        }
        fs::write(folder.path().join(BUCKET).join("large"), large).unwrap();
        certify(folder.path());
        let at = |name: &str| folder.path().join(name);
        let server = servers::start(|_, port| {
            let host = format!("127.0.0.1:{port}");
            let mut command = servers::program(&servers::installed().join("fake-gcs-server"));
            command.args(["-scheme", "https", "-host", "127.0.0.1", "-port", &port.to_string()]);
            command.args(["-backend", "memory", "-public-host", &host, "-log-level", "error"]);
            command.arg("-cert-location").arg(at("tls.crt")).arg("-private-key-location").arg(at("tls.key"));
            command.arg("-data").arg(folder.path());
            command
        });
        let bucket =
            Bucket { name: BUCKET.to_owned(), endpoint: format!("https://127.0.0.1:{}", server.port) };
        Self { _server: server, folder, bucket }
    }

    /// The CA of its certificate.
    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }
}

/// Writes `ca.crt`, and `tls.crt` with `tls.key` for the loopback address.
fn certify(folder: &Path) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "authority");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    fs::write(folder.join("ca.crt"), authority.pem()).unwrap();
    fs::write(folder.join("tls.crt"), params.signed_by(&key, &authority).unwrap().pem()).unwrap();
    fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
}

impl Oci {
    fn start(layer: &[u8], file: &[u8]) -> Self {
        let registry = Registry::start(IpAddr::V4(Ipv4Addr::LOCALHOST), Access::Anonymous).unwrap();
        let push = async {
            let config = registry.blob("bench", "application/vnd.oci.image.config.v1+json", "{}").await?;
            let layer = registry.blob("bench", "application/vnd.oci.image.layer.v1.tar+gzip", layer).await?;
            registry.manifest("bench", "small", &manifest(&config, std::slice::from_ref(&layer))).await?;
            registry.artifact("bench", "large", &[("large", file)]).await?;
            anyhow::Ok(layer)
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let small = runtime.block_on(push).unwrap();
        let large = Blob::new("application/octet-stream", file);
        Self { registry, small, large }
    }
}
