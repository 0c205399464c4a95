//! 10,000 pods that have not started: the requests and the memory of the real program.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bootlace::monitor::launch::queue::Queue;
use bootlace_test_api_server::{ApiServer, kubeconfig};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use crate::limited::{Group, memory_limit, peak};
use crate::support::{on_node, parsed, path, pod, put, set_node, time, waiting};

const PODS: usize = 10_000;
/// The timeout of each condition. A program that is built for debugging parses slowly.
const LIMIT: Duration = Duration::from_mins(3);

/// A pod of a usual size that has a week to start.
fn pending(number: usize) -> Value {
    let settings = json!({"launch": {"startSeconds": 604_800}});
    let image = waiting("ImagePullBackOff", "Back-off pulling image");
    let mut pod = on_node(pod(&settings), "10:00:00", &json!({"main": image}));
    // The clock of the program is that of the machine.
    pod["status"]["conditions"][0]["lastTransitionTime"] = json!(Time(Timestamp::now()));
    pod["metadata"]["uid"] = json!(format!("00000000-0000-0000-0000-{number:012}"));
    pod["metadata"]["name"] = json!(format!("pending-task-of-a-workflow-{number:05}"));
    pod["spec"]["containers"][0]["env"] = json!([{"name": "CONFIG", "value": "x".repeat(4000)}]);
    pod
}

struct Running {
    child: Child,
    status: SocketAddr,
}

impl Running {
    fn start(kubeconfig: &std::path::Path) -> Self {
        let binary =
            std::env::var("BOOTLACE_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_bootlace").to_owned());
        let mut child = Command::new(binary)
            .args([
                "monitor",
                "--metrics-listen",
                "127.0.0.1:0",
                "--log-format",
                "json",
                "--settle-time",
                "1",
            ])
            .env("KUBECONFIG", kubeconfig)
            .env("HOSTNAME", "a")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut lines = log.lines().map_while(Result::ok);
        let line = lines.find(|line| line.contains("monitoring pods")).expect("it logs its address");
        std::thread::spawn(move || lines.for_each(drop));
        let line: Value = serde_json::from_str(&line).unwrap();
        Self { child, status: line["status"].as_str().unwrap().parse().unwrap() }
    }

    /// The value of a metric.
    fn metric(&self, name: &str) -> u64 {
        use std::io::{Read as _, Write as _};
        let mut stream = TcpStream::connect(self.status).unwrap();
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        let line = page.lines().find(|line| line.starts_with(&format!("bootlace_{name} "))).unwrap();
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits in a thread, while the server runs in the runtime.
async fn until(problem: &'static str, condition: impl Fn() -> bool + Send + 'static) {
    let wait = move || {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < LIMIT, "timed out: {problem}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    tokio::task::spawn_blocking(wait).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_pending_pods_need_few_requests_and_little_memory() {
    let cluster = ApiServer::new();
    cluster.set_version(37);
    set_node(&cluster, "True");
    for number in 0..PODS {
        let pod = pending(number);
        cluster.put(&path(pod["metadata"]["name"].as_str().unwrap()), pod);
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kubeconfig");
    std::fs::write(&file, kubeconfig(cluster.serve(|_| false).await)).unwrap();
    let running = std::sync::Arc::new(Running::start(&file));
    let limit = memory_limit("/monitor/resources/limits/memory");
    let _group = Group::of(running.child.id(), limit);
    let (watched, status) = (std::sync::Arc::clone(&running), PODS as u64);
    until("it does not list all pods", move || watched.metric("monitor_pods_starting") == status).await;
    let listed = cluster.requests().iter().filter(|request| request.contains("/api/v1/pods?")).count();
    assert!(listed <= PODS / 20 + 10, "{listed} requests for {PODS} pods");

    // Each pod reports a change, as during a pull. None needs a request.
    for number in 0..PODS {
        let mut pod = pending(number);
        pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] = json!("ErrImagePull");
        cluster.put(&path(pod["metadata"]["name"].as_str().unwrap()), pod);
    }
    // A last pod, which is due at once, shows that the changes were processed.
    let mut last = pending(PODS);
    last["metadata"]["name"] = json!("last");
    last["metadata"]["annotations"]["bootlace.dev/injected"] =
        json!(json!({"profile": "etl", "containers": ["main"], "launch": {"startSeconds": 1}}).to_string());
    let before = cluster.requests().len();
    put(&cluster, "last", last);
    let failed = cluster.clone();
    until("the last pod does not fail", move || {
        failed.get(&path("last")).is_some_and(|pod| pod["status"]["phase"] == "Failed")
    })
    .await;
    let requests: Vec<_> = cluster.requests().into_iter().skip(before).collect();
    // The Lease and the Aborts are read again and again, whatever pods do.
    let is_of_pods = |request: &&String| !["/leases/", "/aborts?"].iter().any(|path| request.contains(path));
    let of_pods = requests.iter().filter(is_of_pods).count();
    assert!(of_pods <= 12, "{of_pods} requests: {requests:?}");
    let peak = peak(running.child.id());
    println!("{PODS} pods: {listed} requests, {} KB", peak / 1000);
    assert!(peak < limit / 2, "{peak} bytes of {limit}");
}

/// The queue keeps its limit, and requests a new list when there is space again.
#[test]
fn the_number_of_watched_pods_is_limited() {
    let mut queue = Queue::default();
    let mut pod = parsed(&pending(0));
    let now: Timestamp = time("10:00:00");
    for number in 0..100_500 {
        pod.metadata.uid = Some(number.to_string());
        queue.update(&pod, now);
    }
    assert_eq!((queue.len(), queue.must_list_again()), (100_000, false));
    for number in 0..50_001 {
        queue.remove(&number.to_string());
    }
    assert!(queue.must_list_again());
}
