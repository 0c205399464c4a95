//! A boot volume as boot writes it, and functions that run the launcher with it.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use bootlace_launch::code::Code;
use bootlace_launch::environ::{self, Record};
use bootlace_launch::handover::{Attempt, Folder, Manifest, Outcome, StoreResult};
use bootlace_launch::{layout, pod_env};

pub(crate) const LAUNCHER: &str = env!("CARGO_BIN_EXE_bootlace-launch");

/// The timeout for an expected event.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The default PATH of processes in tests.
pub(crate) const PATH: &str = "/usr/bin:/bin";

/// A boot volume for the container `base`, with the file of its termination message.
pub(crate) struct Boot {
    dir: tempfile::TempDir,
}

impl Boot {
    pub(crate) fn new(records: &[(&str, &[u8])], keep: &[&str]) -> Self {
        let boot = Self { dir: tempfile::tempdir().unwrap() };
        let record = |name, value| Record::new(OsStr::new(name), OsStr::from_bytes(value)).unwrap();
        let bytes = environ::encode(records.iter().map(|(name, value)| record(*name, value)));
        fs::create_dir_all(boot.keep().parent().unwrap()).unwrap();
        fs::write(boot.environ(), bytes).unwrap();
        fs::write(boot.keep(), pod_env::encode(keep.iter().map(OsStr::new))).unwrap();
        fs::write(boot.termination_log(), "").unwrap();
        boot
    }

    /// A boot volume without any env.
    pub(crate) fn empty() -> Self {
        Self::new(&[], &[])
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn environ(&self) -> PathBuf {
        self.path().join(layout::FILE_ENVIRON)
    }

    pub(crate) fn keep(&self) -> PathBuf {
        self.path().join(layout::DIR_KEEP).join("base")
    }

    /// Writes texts of the spec that refer to the boot env, by the keys of their places.
    pub(crate) fn references<'t>(&self, texts: &[(&'t str, &'t str)]) {
        let record =
            |&(key, text): &(&'t str, &'t str)| Record::new(OsStr::new(key), OsStr::new(text)).unwrap();
        let folder = self.path().join(layout::DIR_REFERENCES);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("base"), environ::encode(texts.iter().map(record))).unwrap();
    }

    fn termination_log(&self) -> PathBuf {
        self.path().join("termination-log")
    }

    pub(crate) fn termination_message(&self) -> String {
        fs::read_to_string(self.termination_log()).unwrap()
    }

    /// Writes an additional file.
    pub(crate) fn file(&self, name: &str, content: &str, mode: u32) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn flags(&self) -> [String; 3] {
        [
            "--container=base".to_owned(),
            format!("--root={}", self.path().display()),
            format!("--termination-log={}", self.termination_log().display()),
        ]
    }

    /// `launch exec … --`, with only PATH as env.
    pub(crate) fn exec(&self) -> Command {
        self.exec_by(Path::new(LAUNCHER))
    }

    pub(crate) fn exec_by(&self, launcher: &Path) -> Command {
        let mut command = Command::new(launcher);
        command.env_clear().env("PATH", PATH).arg("exec").args(self.flags()).arg("--");
        command
    }

    /// `launch hook …`, with only PATH as env.
    pub(crate) fn hook(&self, timeout: u32) -> Command {
        let mut command = Command::new(LAUNCHER);
        command.env_clear().env("PATH", PATH).arg("hook").args(self.flags());
        command.arg(format!("--timeout={timeout}"));
        command
    }

    /// `launch run … FLAGS --`, with only PATH as env, in the directory of this volume, and without a
    /// terminal.
    pub(crate) fn run(&self, flags: &[&str]) -> Command {
        self.run_by(Path::new(LAUNCHER), flags)
    }

    pub(crate) fn run_by(&self, launcher: &Path, flags: &[&str]) -> Command {
        let mut command = Command::new(launcher);
        command.env_clear().env("PATH", PATH).current_dir(self.path()).stdin(Stdio::null());
        command.arg("run").args(self.flags()).arg(self.handover_flag());
        if !flags.iter().any(|flag| flag.starts_with("--deadline=")) {
            command.arg("--deadline=60");
        }
        command.args(flags).arg("--");
        command
    }

    fn handover_flag(&self) -> String {
        format!("--handover={}", self.handover().display())
    }

    pub(crate) fn handover(&self) -> PathBuf {
        self.path().join("handover")
    }

    /// Waits for the manifest of the launcher, and returns the view of the sidecar.
    pub(crate) fn handed_over(&self) -> HandedOver {
        handed_over(&self.handover())
    }

    /// Writes a result for the outputs, in another thread.
    pub(crate) fn sidecar(&self, result: StoreResult) -> thread::JoinHandle<HandedOver> {
        let handover = self.handover();
        thread::spawn(move || {
            let handed = handed_over(&handover);
            handed.attempt.write_result(&result).unwrap();
            handed
        })
    }

    /// The output directory of a boot image.
    pub(crate) fn out(&self) -> PathBuf {
        self.path().join("out")
    }

    /// `launch init … -- sh -c SCRIPT`, with PATH and the output directory `$out` as env.
    pub(crate) fn init(&self, timeout: u32, script: &str) -> Command {
        fs::create_dir_all(self.out()).unwrap();
        let mut command = self.init_of(timeout);
        command.args(["--", "sh", "-c", script]).env("out", self.out());
        command
    }

    /// `launch init …` without a command.
    pub(crate) fn init_of(&self, timeout: u32) -> Command {
        let mut command = Command::new(LAUNCHER);
        command.env_clear().env("PATH", PATH).arg("init").args(self.flags());
        command.arg(format!("--out={}", self.out().display())).arg(format!("--timeout={timeout}"));
        command
    }

    /// Runs a shell script as process 1 of a process namespace, with `$launch_exec`, `$launch_run` and
    /// `$launch_hook` to run the launcher on this volume, and a fifo `$fifo`.
    pub(crate) fn namespace(&self, script: &str) -> Output {
        let fifo = self.path().join("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let flags = self.flags().join(" ");
        // If a test hangs, it fails and its processes are killed.
        let mut command = Command::new("timeout");
        command.args(["--kill-after=1", "60", "unshare"]);
        if fs::metadata("/proc/self").unwrap().uid() != 0 {
            command.args(["--user", "--map-root-user"]);
        }
        command
            .args(["--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", script])
            .env_clear()
            .env("PATH", PATH)
            .env("fifo", fifo)
            .env("launch_exec", format!("{LAUNCHER} exec {flags} --"))
            .env("launch_hook", format!("{LAUNCHER} hook {flags}"))
            .env("launch_run", format!("{LAUNCHER} run {flags} {} --deadline=60", self.handover_flag()))
            .output()
            .unwrap()
    }
}

/// Returns standard output of a run that must succeed.
pub(crate) fn stdout(output: Output) -> Vec<u8> {
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Standard error as text.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Checks that a run failed with an exit code, and with a message of this code both on standard error and as
/// the termination message. Returns the message.
#[track_caller]
pub(crate) fn failed(boot: &Boot, output: &Output, exit: i32, code: Code) -> String {
    let message = stderr(output);
    assert_eq!(output.status.code(), Some(exit), "{message}");
    assert_eq!(boot.termination_message(), message);
    assert!(message.starts_with("bootlace: container \"base\": "), "{message}");
    assert!(has_code(&message, code), "{message} has not the code {code}");
    message
}

/// Whether a message ends with a code.
pub(crate) fn has_code(message: &str, code: Code) -> bool {
    message.ends_with(&format!(" [{code}]\n"))
}

fn handed_over(handover: &Path) -> HandedOver {
    until("a manifest", || {
        let attempt = Attempt::newest(&Folder::open(handover).ok()?).unwrap()?;
        let manifest = attempt.manifest().unwrap()?;
        Some(HandedOver { attempt, manifest })
    })
}

/// The view of the sidecar.
pub(crate) struct HandedOver {
    pub(crate) attempt: Attempt,
    pub(crate) manifest: Manifest,
}

impl HandedOver {
    /// Each file as `KEY:KIND:NAME`, with its bytes.
    pub(crate) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let Outcome::Outputs(outputs) = self.manifest.outcome() else { panic!("{:?}", self.manifest) };
        let files = outputs.iter().flat_map(|output| output.files.iter().map(move |file| (output, file)));
        files
            .enumerate()
            .map(|(index, (output, file))| {
                let name = format!("{}:{}:{}", output.key, output.kind.as_str(), file.name);
                (name, self.attempt.read(index, file.size).unwrap())
            })
            .collect()
    }

    /// The error of the launcher.
    pub(crate) fn refused(&self) -> &str {
        let Outcome::Refused(sentence) = self.manifest.outcome() else { panic!("{:?}", self.manifest) };
        sentence.as_str()
    }
}

/// The output of a process, line by line, with a timeout for each line.
pub(crate) struct Lines(mpsc::Receiver<String>);

impl Lines {
    pub(crate) fn of(output: impl Read + Send + 'static) -> Self {
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                // Reading a terminal whose last process has exited is an error, and the end.
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self(receiver)
    }

    #[track_caller]
    pub(crate) fn next(&self) -> String {
        self.0.recv_timeout(TIMEOUT).expect("a line").trim_end().to_owned()
    }
}

/// Waits until `look` returns a value.
#[track_caller]
pub(crate) fn until<T>(event: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < TIMEOUT, "timed out waiting for {event}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Sends a signal to a process.
pub(crate) fn kill(signal: &str, process: &str) {
    assert!(Command::new("kill").args([&format!("-{signal}"), process]).status().unwrap().success());
}
