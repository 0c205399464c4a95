//! The stores: real servers, which start when the first test needs them and stop with the last one.

use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, LazyLock, Mutex, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Time limit for the start of a server, on a machine that may be compiling.
const START: Duration = Duration::from_mins(1);

/// A running server.
pub(crate) struct Server {
    pub(crate) port: u16,
    /// The data of the server, if it stores files.
    pub(crate) folder: TempDir,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A server that the running tests share.
type Shared = LazyLock<Mutex<Weak<Server>>>;

/// S3: a bucket is a folder of `folder/root`.
pub(super) fn s3() -> Arc<Server> {
    static SHARED: Shared = LazyLock::new(Mutex::default);
    shared(&SHARED, |folder, port| {
        for name in ["root", "meta"] {
            std::fs::create_dir(folder.join(name)).unwrap();
        }
        let mut command = program(&installed().join("versitygw"));
        command
            .args(["--port", &format!("127.0.0.1:{port}"), "--keep-alive", "--quiet"])
            .env("ROOT_ACCESS_KEY", super::S3_KEY)
            .env("ROOT_SECRET_KEY", super::S3_SECRET)
            // Metadata is in separate files, because not every file system has extended attributes.
            .arg("posix")
            .args([Path::new("--sidecar"), &folder.join("meta"), &folder.join("root")]);
        command
    })
}

/// Google Cloud Storage.
pub(super) fn gcs() -> Arc<Server> {
    static SHARED: Shared = LazyLock::new(Mutex::default);
    shared(&SHARED, |_, port| {
        let mut command = program(&installed().join("fake-gcs-server"));
        let host = format!("127.0.0.1:{port}");
        command.args(["-scheme", "http", "-host", "127.0.0.1", "-port", &port.to_string()]);
        command.args(["-backend", "memory", "-public-host", &host, "-log-level", "error"]);
        command
    })
}

/// Azure Blob Storage.
pub(super) fn azure() -> Arc<Server> {
    static SHARED: Shared = LazyLock::new(Mutex::default);
    shared(&SHARED, |folder, port| {
        let mut command = program(Path::new("node"));
        command
            .arg(installed().join("node_modules/azurite/dist/src/blob/main.js"))
            .args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()])
            .args(["--inMemoryPersistence", "--silent", "--disableTelemetry", "--skipApiVersionCheck"])
            .current_dir(folder);
        command
    })
}

/// The folder of the server programs, which are installed if they are missing.
pub(super) fn installed() -> &'static Path {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let script = concat!(env!("BOOTLACE_ROOT"), "/hack/store-servers");
        let done = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
        assert!(done.status.success(), "{script} failed");
        String::from_utf8(done.stdout).unwrap().trim().into()
    });
    &FOLDER
}

/// `program`, which is killed when its parent exits, even if that is killed.
pub(crate) fn program(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

fn shared(kept: &Shared, command: impl Fn(&Path, u16) -> Command) -> Arc<Server> {
    let mut kept = kept.lock().unwrap();
    if let Some(running) = kept.upgrade() {
        return running;
    }
    // Before the deadline is set, because the first installation needs minutes.
    installed();
    let server = Arc::new(start(command));
    *kept = Arc::downgrade(&server);
    server
}

/// Starts `command` with a temporary folder and a port, and waits until it accepts connections.
pub(crate) fn start(command: impl Fn(&Path, u16) -> Command) -> Server {
    let deadline = Instant::now() + START;
    loop {
        let folder = tempfile::tempdir().unwrap();
        // Free at the moment; if another program uses it first, the server exits and the next port is tried.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = command(folder.path(), port);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let (stop, stopped) = channel::<()>();
        let (sender, receiver) = channel();
        // The kernel kills the server when the thread that started it exits, so it gets a separate one.
        let thread = thread::spawn(move || {
            let mut child = command.spawn().unwrap();
            sender.send(listens(&mut child, port, deadline)).unwrap();
            // Until the server is dropped.
            let _ = stopped.recv();
            let _ = child.kill();
            child.wait().unwrap();
        });
        let outcome = receiver.recv().unwrap();
        let server = Server { port, folder, stop: Some(stop), thread: Some(thread) };
        match outcome {
            Ok(()) => return server,
            Err(output) => assert!(Instant::now() < deadline, "the server does not start: {output}"),
        }
    }
}

/// Waits until the server accepts connections, or returns its error output.
fn listens(child: &mut Child, port: u16, deadline: Instant) -> Result<(), String> {
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if child.try_wait().unwrap().is_some() || Instant::now() > deadline {
            let _ = child.kill();
            let mut output = String::new();
            child.stderr.take().unwrap().read_to_string(&mut output).unwrap();
            return Err(output);
        }
        thread::yield_now();
    }
    // Further output is ignored, but must be read so that the server does not block.
    let output = BufReader::new(child.stderr.take().unwrap());
    thread::spawn(move || output.lines().map_while(Result::ok).for_each(drop));
    Ok(())
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}
