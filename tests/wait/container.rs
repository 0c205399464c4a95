//! A waiting container: its volumes and its process.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{Reply, Server, ca, ok, status};

/// Time limit for everything that a test waits for.
const LIMIT: Duration = Duration::from_secs(20);

/// The object that the pod names.
pub(crate) const OBJECT: &str = "shop.r1.gencert.cert-awaited-0123456789abcdef";

/// The volumes of a container.
pub(crate) struct Container {
    folder: TempDir,
}

/// The result of the process: status, log and termination message.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) log: String,
    pub(crate) message: String,
}

impl Container {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("volumes")).unwrap();
        fs::write(folder.path().join("token"), "the-token\n").unwrap();
        fs::write(folder.path().join("message"), "").unwrap();
        Self { folder }
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(crate) fn start(&self, config: Option<&Value>, look: bool) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bootlace"));
        command.arg("wait").args(look.then_some("--look"));
        command.arg("--root").arg(self.at("volumes")).arg("--store-token").arg(self.at("token"));
        command.arg("--termination-log").arg(self.at("message"));
        command.env_clear().envs(config.map(|config| ("BOOTLACE_WAIT", config.to_string())));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    pub(crate) fn end(&self, mut child: Child) -> Ended {
        let begun = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if begun.elapsed() > LIMIT {
                let _ = child.kill();
            }
            std::thread::yield_now();
        }
        let output = child.wait_with_output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(!log.contains("the-token"), "{log}");
        Ended { status: output.status, log, message: fs::read_to_string(self.at("message")).unwrap() }
    }

    pub(crate) fn run(&self, config: Option<&Value>, look: bool) -> Ended {
        self.end(self.start(config, look))
    }
}

/// The configuration that the webhook writes.
pub(crate) fn config(server: &Server, seconds: u32, more: &Value) -> Value {
    let mut awaits = json!({
        "key": "Cert", "kind": "Secret", "object": OBJECT, "seconds": seconds,
        "from": {"scheduler": "annotation", "workflow": "shop", "run": "r1", "task": "gencert"},
    });
    for (field, value) in more.as_object().unwrap() {
        awaits[field] = value.clone();
    }
    json!({
        "profile": {"name": "default", "generation": 1}, "store": {"url": server.url(), "ca": ca()}, "awaits": [awaits],
    })
}

/// A store that responds to each request by its number, and accepts every Event.
pub(crate) fn store(answer: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Server {
    let asked = AtomicUsize::new(0);
    Server::tls(move |request, _| {
        if request.line.starts_with(&format!("GET /v1/awaited/{OBJECT}")) {
            return answer(asked.fetch_add(1, Ordering::SeqCst));
        }
        status(204, &[], "")
    })
}

pub(crate) fn not_yet() -> Reply {
    ok(json!({"state": "NotYet", "soFar": ["Log"]}).to_string())
}

pub(crate) fn stored(files: &[&str]) -> Reply {
    ok(json!({"state": "Stored", "files": files}).to_string())
}

/// The Events that the container reported.
pub(crate) fn events(server: &Server) -> Vec<Value> {
    let events = server.asked().into_iter().filter(|asked| asked.line.starts_with("POST /v1/events"));
    events.map(|asked| serde_json::from_slice(&asked.body).unwrap()).collect()
}
