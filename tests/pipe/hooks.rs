//! Hooks for the end of a task, with the real launcher, the real sidecar, and servers that count requests.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{Reply, Server, ca, ok, status};
use crate::sidecar::until;

/// The launcher, which is another package.
static LAUNCHER: LazyLock<PathBuf> = LazyLock::new(|| {
    let args =
        ["build", "--quiet", "--package=bootlace-launch", "--bin=bootlace-launch", "--message-format=json"];
    let output = Command::new(env!("CARGO")).args(args).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    let messages = String::from_utf8(output.stdout).unwrap();
    let messages = messages.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let program =
        messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next_back();
    program.unwrap()
});

/// A store that accepts everything.
fn store() -> Server {
    Server::tls(|_, _| status(204, &[], ""))
}

/// A remote system that accepts every request.
fn remote() -> Server {
    Server::plain(|_, _| ok(""))
}

/// How often the remote system was asked to cancel a job.
fn cancels(remote: &Server, job: &str) -> usize {
    let line = format!("POST /jobs/{job}/cancel");
    remote.asked().iter().filter(|asked| asked.line == line).count()
}

/// The lines of the requests about records and Events.
fn lines(server: &Server) -> Vec<String> {
    server.asked().into_iter().map(|asked| asked.line).collect()
}

/// A pod with one task and the sidecar.
struct Pod {
    folder: TempDir,
    sidecar: Option<Child>,
    launcher: Option<Child>,
}

impl Pod {
    /// Starts the sidecar, and a task that is a shell script. `hooks` are those of the profile, or the usual
    /// ones.
    fn start(store: &Server, remote: &Server, hooks: Option<Value>, script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("run")).unwrap();
        fs::create_dir_all(path("boot/env/keep")).unwrap();
        fs::write(path("boot/env/environ"), "").unwrap();
        fs::write(path("boot/env/keep/base"), "").unwrap();
        fs::write(path("token"), "the-token\n").unwrap();
        let hooks = hooks.unwrap_or_else(|| {
            json!({
                "abort": [{"name": "cancel", "http": {"url": remote.url(), "path": "jobs/{{ abort }}/cancel"}}],
                "postKill": [{
                    "name": "told",
                    "http": {"url": remote.url(), "path": "ended", "query": {"exit": "{{ exitCode }}"}},
                }],
            })
        });
        let config = json!({
            "task": {"run": "r1"}, "profile": {"name": "default", "generation": 1},
            "store": {"url": store.url(), "ca": ca()}, "outputs": [], "supervised": ["base"],
            "timeToLiveSeconds": 3600, "deadlineSeconds": 15, "graceSeconds": 15,
        });
        let mut sidecar = Self::bootlace(&folder)
            .envs([("BOOTLACE_PIPES", config.to_string()), ("BOOTLACE_HOOKS", hooks.to_string())])
            .envs([("BOOTLACE_NAMESPACE", "etl"), ("BOOTLACE_POD", "load"), ("BOOTLACE_POD_UID", "u-1")])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(sidecar.stderr.take().unwrap());
        // It listens for signals before it logs anything.
        log.read_line(&mut String::new()).unwrap();
        std::thread::spawn(move || log.lines().for_each(drop));
        let launcher = Command::new(&*LAUNCHER)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .args(["run", "--container=base", "--deadline=15", "--ending=publish"])
            .arg(format!("--root={}", path("boot").display()))
            .arg(format!("--handover={}", path("run/base").display()))
            .arg(format!("--termination-log={}", path("message").display()))
            .args(["--", "sh", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { folder, sidecar: Some(sidecar), launcher: Some(launcher) }
    }

    fn bootlace(folder: &TempDir) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bootlace"));
        command.env_clear().arg("pipe").arg("--root").arg(folder.path().join("run"));
        command.arg("--store-token").arg(folder.path().join("token"));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// The preStop handler of the sidecar.
    fn stopping(&self) {
        let status = Self::bootlace(&self.folder).arg("--stopping").stderr(Stdio::null()).status();
        assert!(status.unwrap().success());
    }

    /// What the task left.
    fn text(&self) -> String {
        let text = fs::read_to_string(self.folder.path().join("run/base/1/abort"));
        text.unwrap_or_default().trim().to_owned()
    }

    fn kill(&self, signal: Signal) {
        let launcher = self.launcher.as_ref().unwrap();
        kill_process(Pid::from_child(launcher), signal).unwrap();
    }

    /// Waits for the end of the task. The launcher is a child of this process, so it can be signalled until
    /// then.
    fn ended(&mut self) -> ExitStatus {
        self.launcher.as_mut().unwrap().wait().unwrap()
    }

    /// Stops the sidecar, as the kubelet does after the tasks have ended.
    fn end(mut self) {
        let mut sidecar = self.sidecar.take().unwrap();
        kill_process(Pid::from_child(&sidecar), Signal::TERM).unwrap();
        assert!(sidecar.wait().unwrap().success());
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        for mut child in [self.sidecar.take(), self.launcher.take()].into_iter().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A task that submits a job, and runs until a signal.
const ENDLESS: &str = "echo job-17 >$BOOTLACE_ABORT; while :; do read line; done";

fn left(pod: &Pod) {
    until("the task left nothing", || (pod.text() == "job-17").then_some(()));
}

#[test]
fn a_task_that_is_stopped_is_aborted_once() {
    let (store, remote) = (store(), remote());
    let mut pod = Pod::start(&store, &remote, None, ENDLESS);
    left(&pod);
    until("the abort is not recorded", || {
        lines(&store).contains(&"PUT /v1/aborts/base".to_owned()).then_some(())
    });
    let begun = Instant::now();
    pod.kill(Signal::TERM);
    pod.stopping();
    assert_eq!(pod.ended().code(), Some(143));
    until("it is not aborted", || (cancels(&remote, "job-17") == 1).then_some(()));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    pod.end();
    assert_eq!(lines(&remote), ["POST /jobs/job-17/cancel", "POST /ended?exit=143"]);
    assert_eq!(lines(&store), ["PUT /v1/aborts/base", "POST /v1/events", "DELETE /v1/aborts/base"]);
    let event: Value = serde_json::from_slice(&store.asked()[1].body).unwrap();
    assert_eq!(event["outcome"], "Aborted");
}

#[test]
fn a_task_that_ends_by_itself_is_not_aborted() {
    for exit in [0, 1, 42] {
        let (store, remote) = (store(), remote());
        let script = format!("echo job-17 >$BOOTLACE_ABORT; sleep 0.2; exit {exit}");
        let mut pod = Pod::start(&store, &remote, None, &script);
        assert_eq!(pod.ended().code(), Some(exit));
        pod.stopping();
        pod.end();
        assert_eq!(lines(&remote), [format!("POST /ended?exit={exit}")]);
        assert_eq!(lines(&store).last().map(String::as_str), Some("DELETE /v1/aborts/base"));
    }
}

#[test]
fn a_task_that_is_killed_is_aborted_once() {
    // As at a memory limit: the task alone, or the whole container.
    for script in ["echo job-17 >$BOOTLACE_ABORT; kill -KILL $$", ENDLESS] {
        let (store, remote) = (store(), remote());
        let mut pod = Pod::start(&store, &remote, None, script);
        if script == ENDLESS {
            left(&pod);
            pod.kill(Signal::KILL);
        }
        pod.ended();
        pod.stopping();
        pod.end();
        assert_eq!(lines(&remote), ["POST /jobs/job-17/cancel", "POST /ended?exit=137"], "{script}");
    }
}

#[test]
fn a_task_that_runs_on_while_the_pod_is_stopped_is_aborted() {
    let (store, remote) = (store(), remote());
    let pod = Pod::start(&store, &remote, None, ENDLESS);
    left(&pod);
    pod.stopping();
    until("it is not aborted", || (cancels(&remote, "job-17") == 1).then_some(()));
    pod.kill(Signal::TERM);
    drop(pod);
}

#[test]
fn a_request_is_repeated_until_the_server_accepts_it() {
    let store = store();
    let remote = Server::plain(|_, earlier| if earlier < 3 { status(503, &[], "") } else { ok("") });
    let hooks = json!({"abort": [{"name": "cancel", "http": {"url": remote.url(), "path": "jobs/{{ abort }}/cancel"}}]});
    let mut pod = Pod::start(&store, &remote, Some(hooks), ENDLESS);
    left(&pod);
    pod.kill(Signal::TERM);
    pod.ended();
    pod.end();
    assert_eq!(cancels(&remote, "job-17"), 4);
}

#[test]
fn a_hook_that_is_refused_stays_recorded_and_the_others_run() {
    let store = store();
    let remote = Server::plain(
        |asked, _| {
            if asked.line.starts_with("DELETE") { status(403, &[], "") } else { ok("") }
        },
    );
    let hook = |name: &str, method: &str| json!({"name": name, "http": {"url": remote.url(), "method": method, "path": "jobs/{{ abort }}/cancel"}});
    let hooks = json!({"abort": [hook("first", "DELETE"), hook("second", "POST")]});
    let mut pod = Pod::start(&store, &remote, Some(hooks), ENDLESS);
    left(&pod);
    pod.kill(Signal::TERM);
    pod.ended();
    pod.end();
    assert_eq!(lines(&remote), ["DELETE /jobs/job-17/cancel", "POST /jobs/job-17/cancel"]);
    let reports: Vec<_> = store.asked().into_iter().filter(|asked| asked.line.contains("events")).collect();
    let event: Value = serde_json::from_slice(&reports[0].body).unwrap();
    let note = event["note"].as_str().unwrap();
    assert!(event["outcome"] == "AbortFailed" && note.ends_with("[BL4202]"), "{event}");
    assert!(note.contains("abort hooks sent: second; abort hook \"first\""), "{note}");
    assert!(!lines(&store).iter().any(|line| line.starts_with("DELETE")));
}

#[test]
fn a_server_that_does_not_respond_is_asked_again() {
    let store = store();
    let remote = Server::plain(|_, earlier| if earlier == 0 { Reply::Never } else { ok("") });
    let hooks = json!({"abort": [{
        "name": "cancel", "timeoutSeconds": 1, "http": {"url": remote.url(), "path": "jobs/{{ abort }}/cancel"},
    }]});
    let mut pod = Pod::start(&store, &remote, Some(hooks), ENDLESS);
    left(&pod);
    pod.kill(Signal::TERM);
    pod.ended();
    pod.end();
    assert_eq!(cancels(&remote, "job-17"), 2);
}

/// How a task is ended at a random moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// As Argo does, and a failed probe.
    Signal,
    /// As the deletion of the pod.
    PodStopped,
    /// As the kernel at the memory limit of the container.
    Killed,
    /// Not at all.
    Itself,
}

#[derive(Debug, Default)]
struct Row {
    runs: u32,
    by_itself: u32,
    aborted: u32,
    lost: u32,
    too_many: u32,
}

/// Ends a task at a random moment of its 200 ms. Returns whether it ended by itself, whether it had submitted
/// a job, and how often the job was cancelled.
fn at_random(store: &Server, remote: &Server, number: u64, ending: Ending) -> (bool, bool, usize) {
    let mut random = fastrand::Rng::with_seed(number);
    let job = format!("job-{number}");
    let script = format!("echo {job} >$BOOTLACE_ABORT; sleep 0.1");
    let mut pod = Pod::start(store, remote, None, &script);
    sleep(Duration::from_millis(130).mul_f64(random.f64()));
    match ending {
        Ending::Signal => pod.kill(Signal::TERM),
        Ending::PodStopped => {
            // The kubelet runs the handler of the sidecar at the same time as it stops the task.
            if random.bool() {
                pod.kill(Signal::TERM);
                pod.stopping();
            } else {
                pod.stopping();
                pod.kill(Signal::TERM);
            }
        }
        Ending::Killed => pod.kill(Signal::KILL),
        Ending::Itself => {}
    }
    let by_itself = pod.ended().success();
    let submitted = !pod.text().is_empty();
    pod.end();
    (by_itself, submitted, cancels(remote, &job))
}

#[test]
fn no_abort_is_lost_and_none_is_sent_too_often_at_random_moments() {
    const RUNS: u64 = 200;
    let (store, remote) = (store(), remote());
    let endings = [Ending::Signal, Ending::PodStopped, Ending::Killed, Ending::Itself];
    println!("| ended by   | runs | by itself | aborted | aborts lost | aborts too many |");
    println!("|------------|-----:|----------:|--------:|------------:|----------------:|");
    let (mut lost, mut too_many) = (0, 0);
    for (first, ending) in (0..).zip(endings) {
        let mut row = Row::default();
        for number in (first..RUNS).step_by(endings.len()) {
            let (by_itself, submitted, cancels) = at_random(&store, &remote, number, ending);
            row.runs += 1;
            row.by_itself += u32::from(by_itself);
            row.aborted += u32::from(cancels > 0);
            row.lost += u32::from(!by_itself && submitted && cancels == 0);
            row.too_many += u32::from(cancels > usize::from(!by_itself));
        }
        let Row { runs, by_itself, aborted, lost: row_lost, too_many: row_too_many } = row;
        let name = format!("{ending:?}");
        println!(
            "| {name:<10} | {runs:>4} | {by_itself:>9} | {aborted:>7} | {row_lost:>11} | {row_too_many:>15} |"
        );
        lost += row_lost;
        too_many += row_too_many;
    }
    assert_eq!(lost, 0, "aborts lost");
    // A task that exits in the microseconds between the last look of the launcher and its signal counts as
    // stopped, see docs/hooks.md.
    assert!(too_many <= 1, "{too_many} aborts too many");
}
