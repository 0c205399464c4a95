//! Debian's docker-registry for tests: a process with TLS of a private CA, one user, and storage in a
//! temporary folder, and a small client that pushes to it.
//!
//! The package is a prerequisite of every test run (`make prerequisites` installs it).

mod archive;
mod push;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::IpAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::json;
use tempfile::TempDir;

pub use push::{Blob, manifest};

const PROGRAM: &str = "docker-registry";

/// The only user of the registry.
pub const USER: &str = "etl";
/// The password of the user. It must not appear in logs and errors.
pub const PASSWORD: &str = "zq7Xv0hunter2-registry";
/// The htpasswd entry of the user, with the lowest bcrypt cost, because the password is checked with each
/// request.
const HTPASSWD: &str = "etl:$2y$04$bootlacebootlacebootlONbI7N1b7zkB0I1gsMSGgj2dSWg.c6e6\n";

/// Time limit for the start of the registry.
const START: Duration = Duration::from_mins(1);

/// Which clients can read from the registry. Pushing always requires credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// All clients.
    Anonymous,
    /// Clients that send [`USER`] and [`PASSWORD`].
    Password,
}

/// A running registry. It stops when it is dropped, or when the thread that started it exits.
pub struct Registry {
    process: Child,
    folder: TempDir,
    /// Address and port.
    host: String,
    /// The CA of the certificate in PEM; none without TLS.
    ca: Option<String>,
    client: reqwest::Client,
}

impl Registry {
    /// Starts a registry with TLS on a free port of `address`.
    ///
    /// # Errors
    /// If Debian's package is not installed, or the registry does not start in time.
    pub fn start(address: IpAddr, access: Access) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Not the name of its certificate: OpenSSL treats a certificate with the issuer's name as
        // self-signed.
        authority.distinguished_name.push(DnType::CommonName, "authority");
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new([address.to_string()])?.signed_by(&key, &authority)?;
        fs::write(folder.path().join("tls.crt"), certificate.pem())?;
        fs::write(folder.path().join("tls.key"), key.serialize_pem())?;
        Self::run(folder, address, access, Some(authority.pem()))
    }

    /// Starts a registry without TLS on a free port of `address`.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn plain(address: IpAddr) -> Result<Self> {
        Self::run(tempfile::tempdir()?, address, Access::Anonymous, None)
    }

    fn run(folder: TempDir, address: IpAddr, access: Access, ca: Option<String>) -> Result<Self> {
        let at = |name: &str| folder.path().join(name);
        let tls = ca.as_ref().map(|_| json!({"certificate": at("tls.crt"), "key": at("tls.key")}));
        let auth = match access {
            Access::Anonymous => json!({}),
            Access::Password => {
                fs::write(at("htpasswd"), HTPASSWD)?;
                json!({"htpasswd": {"realm": "tests", "path": at("htpasswd")}})
            }
        };
        let configuration = json!({
            "version": 0.1,
            "log": {"level": "info", "accesslog": {"disabled": true}},
            "storage": {"filesystem": {"rootdirectory": at("storage")}},
            "http": {"addr": format!("{address}:0"), "secret": "tests", "tls": tls.unwrap_or_else(|| json!({}))},
            "auth": auth,
        });
        // JSON is valid YAML.
        fs::write(at("config.yml"), configuration.to_string())?;

        let mut process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", PROGRAM, "serve"])
            .arg(at("config.yml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("start setpriv")?;
        let log = process.stderr.take().context("the registry's log is a pipe")?;
        // Created before the registry listens, so that an early return stops it too.
        let client = push::client(ca.as_deref())?;
        let mut registry = Self { process, folder, host: String::new(), ca, client };
        let port = listening(log)?;
        registry.host = format!("{address}:{port}");
        Ok(registry)
    }

    /// Address and port, for use in references.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The CA of the certificate in PEM; empty without TLS.
    #[must_use]
    pub fn ca(&self) -> &str {
        self.ca.as_deref().unwrap_or_default()
    }

    /// The content of a pull secret for it (`.dockerconfigjson`).
    #[must_use]
    pub fn pull_secret(&self, password: &str) -> String {
        json!({"auths": {&self.host: {"username": USER, "password": password}}}).to_string()
    }

    /// Damages a blob on disk.
    ///
    /// # Errors
    /// If the blob does not exist.
    pub fn damage(&self, blob: &Blob) -> Result<()> {
        let hex = blob.digest().trim_start_matches("sha256:");
        let folder = hex.get(..2).context("a digest has digits")?;
        let file = self
            .folder
            .path()
            .join("storage/docker/registry/v2/blobs/sha256")
            .join(folder)
            .join(hex)
            .join("data");
        let mut content = fs::read(&file).with_context(|| format!("read {}", file.display()))?;
        let first = content.first_mut().context("the blob holds something")?;
        *first ^= 1;
        fs::write(&file, content).with_context(|| format!("write {}", file.display()))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits until the log contains the address of the registry, and returns the port.
fn listening(log: impl Read + Send + 'static) -> Result<u16> {
    let (say, hear) = mpsc::channel();
    // Reads the rest of the log, so that the registry does not block on a full pipe.
    std::thread::spawn(move || {
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            let _ = say.send(line);
        }
    });
    let mut said = String::new();
    loop {
        match hear.recv_timeout(START) {
            Ok(line) => {
                if let Some(port) = port(&line) {
                    return Ok(port);
                }
                said.push_str(&line);
                said.push('\n');
            }
            Err(_) if !in_path(PROGRAM) => {
                bail!("{PROGRAM} is missing: run `make prerequisites`, which installs Debian's package")
            }
            Err(_) => bail!("{PROGRAM} does not listen; it said:\n{said}"),
        }
    }
}

fn port(line: &str) -> Option<u16> {
    let (_, rest) = line.split_once("listening on ")?;
    let address = rest.split([',', '"']).next()?;
    address.rsplit_once(':')?.1.parse().ok()
}

fn in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder: std::path::PathBuf| Path::new(&folder).join(program).exists())
}
