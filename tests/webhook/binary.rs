//! The program: its command line, status port and signals.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bootlace_image::product;
use serde_json::Value;

use crate::client::{Connection, trusting};
use crate::harness::{REVIEW, response, within};

fn profile() -> PathBuf {
    Path::new(env!("BOOTLACE_ROOT")).join("tests/webhook/profile.yaml")
}

fn webhook(args: &[&str]) -> Command {
    let binary = std::env::var("BOOTLACE_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_bootlace").to_owned());
    let mut command = Command::new(binary);
    command.arg("webhook").args(args);
    // Without the cluster of the developer.
    command.env_remove("KUBECONFIG").env("HOME", "/nonexistent");
    command.envs(product::ENV);
    command
}

/// The running program.
pub(crate) struct Running {
    child: Child,
    /// `None` after it was waited for.
    log: Option<BufReader<std::process::ChildStderr>>,
    pub(crate) address: SocketAddr,
    status: SocketAddr,
    folder: tempfile::TempDir,
}

impl Running {
    pub(crate) fn start(args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = webhook(args)
            .args(["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--log-format", "json"])
            .arg("--profiles")
            .arg(profile())
            .arg("--ca-out")
            .arg(folder.path().join("ca.crt"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        log.read_line(&mut line).unwrap();
        let line: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let address = |field: &str| line[field].as_str().unwrap().parse().unwrap();
        Self { address: address("address"), status: address("status"), child, log: Some(log), folder }
    }

    pub(crate) fn tls(&self) -> Arc<rustls::ClientConfig> {
        trusting(&std::fs::read(self.folder.path().join("ca.crt")).unwrap())
    }

    /// Discards the log, so that the program never blocks on its output.
    pub(crate) fn discard_log(&mut self) {
        let log = self.log.take().unwrap();
        std::thread::spawn(move || log.split(b'\n').for_each(drop));
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a request to the status port, and returns the raw response.
    fn ask(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.status).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn terminate(&self) {
        let kill = format!("kill -TERM {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Waits until the program exits. Returns the exit code and the rest of the log.
    fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.log.take().unwrap().read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_status_port_has_readiness_and_metrics() {
    let running = Running::start(&[]);
    assert!(running.ask("/healthz").starts_with("HTTP/1.1 200 "));
    assert!(running.ask("/readyz").starts_with("HTTP/1.1 200 "));
    let metrics = running.ask("/metrics");
    assert!(
        metrics.contains("application/openmetrics-text") && metrics.contains("bootlace_profiles 1"),
        "{metrics}"
    );
}

#[tokio::test]
async fn the_log_contains_the_name_of_the_pod_and_no_content() {
    let running = Running::start(&["--log", "debug"]);
    let mut connection = Connection::open(running.address, running.tls()).await.unwrap();
    response(&connection.review(REVIEW.as_bytes()).await.unwrap());
    drop(connection);
    running.terminate();
    let (code, log) = running.end();
    assert_eq!(code, Some(0));
    let injected: Vec<_> = log.lines().filter(|line| line.contains("\"injected\"")).collect();
    assert_eq!(injected.len(), 1, "{log}");
    assert!(injected[0].contains(r#""namespace":"etl","pod":"load-orders-x7k2m9qd""#), "{}", injected[0]);
    // A value in the env of the pod, one in the profile, and an operation of the patch.
    for secret in ["data-platform", "eu-west-1", "/spec/volumes"] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}

/// Callers send requests while the program gets SIGTERM. Each request on an open connection needs a response.
/// New connections can fail, because the Service of a cluster routes them elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_under_load_loses_no_request() {
    const CALLERS: usize = 8;
    const AT_MOST: usize = 100_000;
    let running = Running::start(&["--drain-delay", "0.3"]);
    let (address, tls, answered) = (running.address, running.tls(), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (tls, answered) = (tls.clone(), Arc::clone(&answered));
            tokio::spawn(async move {
                let mut reconnects = 0;
                while answered.load(Ordering::Relaxed) < AT_MOST {
                    let Ok(mut connection) = Connection::open(address, tls.clone()).await else {
                        return reconnects;
                    };
                    loop {
                        let reply = connection.review(REVIEW.as_bytes()).await.expect("a request was lost");
                        response(&reply);
                        answered.fetch_add(1, Ordering::Relaxed);
                        if reply.closes() {
                            reconnects += 1;
                            break;
                        }
                    }
                }
                panic!("the program still serves after {AT_MOST} requests")
            })
        })
        .collect();
    crate::harness::until("load", async || answered.load(Ordering::Relaxed) > 10 * CALLERS).await;
    running.terminate();
    for caller in callers {
        let reconnects = within("a caller to be sent away", caller).await.unwrap();
        assert!(reconnects > 0, "a caller was never asked to reconnect");
    }
    let (code, log) = running.end();
    assert!(code == Some(0) && !log.contains("--drain-timeout"), "{code:?}: {log}");
}

#[test]
fn the_status_port_reports_the_drain() {
    let running = Running::start(&["--drain-delay", "30"]);
    running.terminate();
    let mut answer = running.ask("/readyz");
    while answer.starts_with("HTTP/1.1 200 ") {
        answer = running.ask("/readyz");
    }
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(running.ask("/healthz").starts_with("HTTP/1.1 200 "));
    // A second signal ends the drain.
    running.terminate();
    assert_eq!(running.end().0, Some(0));
}

#[test]
fn start_errors_have_codes() {
    let in_use = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let in_use = in_use.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.yaml");
    std::fs::write(&broken, "kind: BootProfile\nspec: {bot: {}}\n").unwrap();
    let (profile, broken, nowhere) = (profile(), broken.to_str().unwrap(), "/nonexistent/ca.crt");
    let profile = profile.to_str().unwrap();
    let listen = ["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"];
    for (args, detail, code) in [
        (vec!["--profiles", profile, "--listen", &in_use], "--listen", "BL6301"),
        (vec!["--profiles", "/nonexistent"], "\"/nonexistent\"", "BL6002"),
        (vec!["--profiles", broken], "broken.yaml", "BL6103"),
        (vec!["--profiles", profile, "--ca-out", nowhere], nowhere, "BL6003"),
        (vec!["--tls-dir", folder.path().to_str().unwrap()], "tls.crt", "BL6302"),
        (vec!["--tls-secret", "s", "--service", "b"], "--profiles", "BL6004"),
    ] {
        let listen: &[&str] = if args.contains(&"--listen") { &listen[2..] } else { &listen };
        let Output { status, stderr, .. } = webhook(&args).args(listen).output().unwrap();
        let stderr = String::from_utf8_lossy(&stderr);
        assert!(!status.success(), "{args:?}");
        assert!(stderr.contains(detail) && stderr.ends_with(&format!(" [{code}]\n")), "{args:?}: {stderr}");
    }
}
