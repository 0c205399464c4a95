//! The container of the sidecar: its volumes and its process.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use bootlace_launch::handover::{Attempt, FileEntry, Kind, Manifest, Outcome, Output, StoreResult};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{Asked, Reply, Server, ca, ok, status};

/// The deadline of everything that a test waits for.
const LIMIT: Duration = Duration::from_secs(20);

/// The volumes of a sidecar.
pub(crate) struct Container {
    folder: TempDir,
}

/// A running sidecar.
pub(crate) struct Sidecar {
    child: Option<Child>,
    /// The first line of its log, and the rest.
    first: String,
    log: Option<BufReader<ChildStderr>>,
}

impl Container {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["run", "shared/0"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("token"), "the-token\n").unwrap();
        Self { folder }
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// The configuration that the webhook writes.
    pub(crate) fn config(server: &Server, outputs: &Value) -> Value {
        json!({
            "task": {"scheduler": "airflow", "workflow": "etl", "run": "r1", "task": "load"},
            "profile": {"name": "default", "generation": 1}, "store": {"url": server.url(), "ca": ca()},
            "outputs": outputs, "timeToLiveSeconds": 3600, "deadlineSeconds": 15, "graceSeconds": 15,
        })
    }

    pub(crate) fn start(&self, config: Option<&str>) -> Sidecar {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bootlace"));
        command.arg("pipe").arg("--root").arg(self.at("run")).arg("--shared").arg(self.at("shared"));
        command.arg("--store-token").arg(self.at("token"));
        command.env_clear().envs(config.map(|config| ("BOOTLACE_PIPES", config)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut sidecar = Sidecar { child: Some(child), first: String::new(), log: None };
        // It listens for signals before it logs anything.
        log.read_line(&mut sidecar.first).unwrap();
        sidecar.log = Some(log);
        sidecar
    }

    /// Begins an attempt, as the launcher does.
    pub(crate) fn begin(&self, container: &str) -> Attempt {
        Attempt::begin(&self.at("run").join(container)).unwrap()
    }
}

impl Sidecar {
    fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().unwrap())
    }

    /// Sends SIGTERM, and returns the exit status and the log.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        kill_process(self.pid(), Signal::TERM).unwrap();
        let mut log = std::mem::take(&mut self.first);
        self.log.take().unwrap().read_to_string(&mut log).unwrap();
        (self.child.take().unwrap().wait().unwrap(), log)
    }

    /// Whether the process has exited.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.as_mut().unwrap().try_wait().unwrap().is_some()
    }

    /// The anonymous memory of the process, in KiB.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid().as_raw_nonzero())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        // A failed test must not leave a process behind.
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Publishes one output, as the launcher does.
pub(crate) fn hand_over(attempt: &Attempt, key: &str, name: &str, content: &[u8]) {
    attempt.create(0).unwrap().write_all(content).unwrap();
    let file = FileEntry { name: name.to_owned(), size: content.len() as u64 };
    let output = Output { key: key.to_owned(), kind: Kind::Secret, files: vec![file] };
    attempt.publish(&Manifest::new(0, Outcome::Outputs(vec![output])).unwrap()).unwrap();
}

/// Waits for the result that the sidecar writes.
pub(crate) fn result(attempt: &Attempt) -> StoreResult {
    until("there is no result", || attempt.result().unwrap())
}

/// Waits until `find` returns a value.
pub(crate) fn until<T>(otherwise: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(begun.elapsed() < LIMIT, "{otherwise}");
        std::thread::yield_now();
    }
}

/// A store that responds to a `PUT` as `put` defines, and accepts every Event.
pub(crate) fn store(put: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> Server {
    let puts = std::sync::atomic::AtomicUsize::new(0);
    Server::tls(move |asked, _| {
        if asked.line.starts_with("PUT /v1/pipes/") {
            return put(asked, puts.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
        }
        status(204, &[], "")
    })
}

pub(crate) fn stored() -> Reply {
    ok(json!({"pipe": "etl.r1.load.a-0123456789abcdef", "created": true}).to_string())
}

/// The bodies of the requests whose first line starts with `line`.
pub(crate) fn bodies(server: &Server, line: &str) -> Vec<Value> {
    let asked: Vec<Asked> = server.asked().into_iter().filter(|asked| asked.line.starts_with(line)).collect();
    for asked in &asked {
        assert!(asked.headers.contains(&"authorization: Bearer the-token".to_owned()), "{asked:?}");
    }
    asked.iter().map(|asked| serde_json::from_slice(&asked.body).unwrap()).collect()
}
