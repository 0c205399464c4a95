//! An API server that accepts connections and requests, and does not respond.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bootlace::profile_files;
use bootlace::server::liveness::Liveness;
use bootlace::server::readiness::{Part, Readiness};
use bootlace::webhook::profiles::ActiveProfiles;
use bootlace::webhook::version;
use bootlace_core::plan::{InstallationSettings, Version};
use bootlace_test_api_server::{ApiServer, kubeconfig, unresponsive};
use serde_json::json;

use crate::cluster::{CONFIGURATION, PROFILES, Replica, Watching, configuration, is_trusted, profile};
use crate::harness::{client_of, issue, until};

/// The process of a role whose API server does not respond.
struct Role {
    child: Child,
    status: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Role {
    fn start(args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("kubeconfig");
        std::fs::write(&config, kubeconfig(unresponsive())).unwrap();
        let issued = issue();
        std::fs::write(folder.path().join("tls.crt"), &issued.cert).unwrap();
        std::fs::write(folder.path().join("tls.key"), &issued.key).unwrap();
        std::fs::write(folder.path().join("key-1700000000"), [7; 32]).unwrap();
        // A port that is free at the moment, because the log does not contain the port before the first
        // request to the API server.
        let status = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_bootlace"))
            .args(args)
            .args(["--listen", "127.0.0.1:0", "--metrics-listen", &status.to_string()])
            .current_dir(folder.path())
            .env("KUBECONFIG", config)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, status, _folder: folder }
    }

    /// The response of the status port, when it is open.
    fn ask(&self, path: &str) -> String {
        let end = Instant::now() + Duration::from_secs(30);
        let mut stream = loop {
            match TcpStream::connect(self.status) {
                Ok(stream) => break stream,
                Err(error) => assert!(Instant::now() < end, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn no_role_is_ready_before_its_api_server_has_responded() {
    let webhook = ["webhook", "--tls-dir", "."];
    let own = ["webhook", "--tls-secret", "s", "--service", "b", "--configuration", "c"];
    let store = ["store", "--tls-dir", ".", "--signing-dir", "."];
    for (args, missing) in [
        (
            &webhook[..],
            &["the API server has not", "BootProfiles are not listed", "namespaces are not listed"][..],
        ),
        (&own[..], &["the API server has not", "Secret \"s\" is not read", "caBundle of"][..]),
        (&store[..], &["the API server has not"][..]),
    ] {
        let role = Role::start(args);
        let asked = Instant::now();
        while asked.elapsed() < Duration::from_millis(500) {
            let answer = role.ask("/readyz");
            assert!(answer.starts_with("HTTP/1.1 503 "), "{args:?}: {answer}");
            for part in missing {
                assert!(answer.contains(part), "{args:?}: {answer}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // A restart would not help.
        assert!(role.ask("/healthz").starts_with("HTTP/1.1 200 "), "{args:?}");
    }
}

/// Creates the objects that a webhook needs.
fn installed() -> ApiServer {
    let api = ApiServer::new();
    api.put(CONFIGURATION, configuration());
    api.put(&format!("{PROFILES}/default"), profile("default", 1, &json!(5)));
    api.set_version(36);
    api
}

#[tokio::test]
async fn controllers_start_when_the_api_server_responds() {
    let api = installed();
    api.set_silent(true);
    let liveness = Arc::new(Liveness::new(Duration::from_secs(5)));
    let replica = Replica::start_with(&client_of(&api), &liveness);
    let watching = Watching::start_with(&client_of(&api), &liveness);
    // Longer than the timeout of a request.
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(replica.readiness.report().len(), 2);
    assert_eq!(watching.readiness.report().len(), 2);
    assert!(watching.profiles.get().is_none());
    api.set_silent(false);
    until("the certificate", async || replica.readiness.report().is_empty() && is_trusted(&api)).await;
    until("the profiles", async || watching.generation("default") == Some(1)).await;
}

#[tokio::test]
async fn the_active_state_stays_and_controllers_continue_afterwards() {
    let api = installed();
    let liveness = Arc::new(Liveness::new(Duration::from_secs(15)));
    let replica = Replica::start_with(&client_of(&api), &liveness);
    let watching = Watching::start_with(&client_of(&api), &liveness);
    until("all parts", async || {
        replica.readiness.report().is_empty() && watching.readiness.report().is_empty()
    })
    .await;
    api.set_silent(true);
    // The controller sees the change in its watch, but cannot read the Secret.
    api.put(CONFIGURATION, configuration());
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(!is_trusted(&api));
    assert!(replica.readiness.report().is_empty() && watching.readiness.report().is_empty());
    assert_eq!(watching.generation("default"), Some(1), "reviews are answered from what was in force");
    api.set_silent(false);
    until("the bundle to be put back", async || is_trusted(&api)).await;
    assert!(liveness.report().is_empty(), "{:?}", liveness.report());
}

/// A bug without a timeout, simulated by a client without timeouts.
#[tokio::test]
async fn a_controller_that_hangs_is_detected() {
    let api = installed();
    let liveness = Arc::new(Liveness::new(Duration::from_secs(12)));
    let replica = Replica::start_with(&api.client(), &liveness);
    until("the bundle", async || replica.readiness.report().is_empty()).await;
    api.set_silent(true);
    api.put(CONFIGURATION, configuration());
    until("the keeper to be missed", async || !liveness.report().is_empty()).await;
    let report = liveness.report().join("; ");
    assert!(report.contains("caBundle"), "{report}");
    assert!(!report.contains("certificates"), "{report}");
}

#[tokio::test]
async fn the_version_is_requested_until_it_is_known_and_again_after_an_upgrade() {
    let api = ApiServer::new();
    api.set_silent(true);
    let (in_force, readiness) =
        (ActiveProfiles::without_namespaces(InstallationSettings::default()), Arc::new(Readiness::default()));
    in_force.await_version();
    let profile = Path::new(env!("BOOTLACE_ROOT")).join("tests/webhook/profile.yaml");
    in_force.swap(profile_files::read(&profile).unwrap()).unwrap();
    readiness.missing(Part::ApiServer, "not yet");
    let beat = Arc::<Liveness>::default().expect("the version");
    let every = Duration::from_millis(20);
    tokio::spawn(version::watch(client_of(&api), every, Arc::clone(&in_force), Arc::clone(&readiness), beat));
    let known = || in_force.get().map(|recipes| recipes.get("default").unwrap().kubernetes);
    until("the reason", async || readiness.report().join("").contains(" 0.25 s")).await;
    assert_eq!(known(), None, "no pod is planned for a version that was not asked for");
    // An API server that does not report its version.
    api.set_silent(false);
    until("an answer", async || readiness.report().is_empty()).await;
    assert_eq!(known(), Some(None));
    let version = |minor| Some(Some(Version { major: 1, minor }));
    for minor in [34, 35] {
        api.set_version(minor);
        until("the version", async || known() == version(minor)).await;
    }
    // The known version stays while the API server does not respond or rejects requests.
    api.set_silent(true);
    tokio::time::sleep(Duration::from_millis(400)).await;
    api.set_silent(false);
    api.fail("/version", 403);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(known(), version(35));
    assert!(readiness.report().is_empty());
}
