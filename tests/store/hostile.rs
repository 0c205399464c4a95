//! The worst known requests of pods, against the real program with the memory limit of the chart, while a
//! well-behaved pod of another namespace stores outputs. `cargo test --test store hostile -- --nocapture`
//! prints the table of docs/hostile.md; `BOOTLACE_BIN` names another binary, such as that of the image.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bootlace_core::input::AwaitedOutput;
use bootlace_core::output::{ObjectKind, run_label};
use bootlace_image::product;
use bootlace_test_api_server::{ApiServer, kubeconfig};
use rustls::ClientConfig;
use serde_json::{Value, json};

use crate::client::{Connection, trusting};
use crate::limited::{Group, forget_peak, memory_limit, peak, row};
use crate::requests::{body, pod_in};
use crate::shares::large_pipe;
use crate::support::{sign, signed};

/// The interval between two requests of the well-behaved pod.
const EVERY: Duration = Duration::from_millis(50);
/// The maximum duration of its requests: the deadline of a sidecar. The table shows the actual duration,
/// which is much shorter in a release build.
const PATIENCE: Duration = Duration::from_secs(20);
/// The timeout of a hostile request. The store ends each request before.
const AT_LAST: Duration = Duration::from_secs(30);
/// The number of namespaces with hostile pods, and of pods in each: more than the store serves concurrently.
const NAMESPACES: usize = 5;
const PODS: usize = 4;
/// Concurrent requests of each pod: more than its limit.
const OF_EACH: usize = 5;

/// The store, with a cluster in this process.
struct Running {
    child: Child,
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    _folder: tempfile::TempDir,
}

impl Running {
    async fn start(cluster: &ApiServer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        for name in ["tls", "keys"] {
            std::fs::create_dir(file(name)).unwrap();
        }
        std::fs::write(file("tls/tls.crt"), made.cert.pem()).unwrap();
        std::fs::write(file("tls/tls.key"), made.signing_key.serialize_pem()).unwrap();
        std::fs::write(file("keys/key-1700000000"), [7; 32]).unwrap();
        std::fs::write(file("keys/since"), "1700000000").unwrap();
        cluster.set_version(37);
        let is_read_often = |path: &str| {
            path.contains("/namespaces/hostile") && (path.ends_with("/pipes") || path.contains("/pods/"))
        };
        std::fs::write(file("kubeconfig"), kubeconfig(cluster.serve(is_read_often).await)).unwrap();
        let binary =
            std::env::var("BOOTLACE_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_bootlace").to_owned());
        let mut child = Command::new(binary)
            .envs(product::ENV)
            .args([
                "store",
                "--listen",
                "127.0.0.1:0",
                "--metrics-listen",
                "127.0.0.1:0",
                "--log-format",
                "json",
            ])
            .arg("--tls-dir")
            .arg(file("tls"))
            .arg("--signing-dir")
            .arg(file("keys"))
            .env("KUBECONFIG", file("kubeconfig"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        log.read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        // Discarded, so that the program never blocks on its output.
        std::thread::spawn(move || log.split(b'\n').for_each(drop));
        let address = said["address"].as_str().unwrap().parse().unwrap();
        Self { child, address, tls: trusting(made.cert.pem().as_bytes()), _folder: folder }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A request that pods send.
struct Hostile {
    name: &'static str,
    method: &'static str,
    path: String,
    body: Vec<u8>,
    /// Bytes of the body that are not sent.
    kept_back: usize,
    /// The pod of the namespace that sends it.
    pod: &'static str,
}

fn put(name: &'static str, body: String) -> Hostile {
    Hostile {
        name,
        method: "PUT",
        path: "/v1/pipes/A".to_owned(),
        body: body.into_bytes(),
        kept_back: 0,
        pod: "p",
    }
}

fn unfinished(hostile: Hostile, name: &'static str) -> Hostile {
    Hostile { name, kept_back: 1, ..hostile }
}

fn files(files: &str) -> String {
    format!("{{\"container\":\"main\",\"kind\":\"Secret\",\"files\":{{{files}}}}}")
}

fn awaits() -> AwaitedOutput {
    let from = json!({"scheduler": "airflow", "workflow": "etl", "run": "r1", "task": "load"});
    AwaitedOutput::new("Last", ObjectKind::Secret, serde_json::from_value(from).unwrap(), 60)
}

fn all() -> Vec<Hostile> {
    const MOST: usize = 2 << 20;
    let megabyte = || files(&format!("\"f\":\"{}\"", STANDARD.encode(vec![1; 1_048_000])));
    let many = || (0..170_000).map(|at| format!("\"{at}\":\"\"")).collect::<Vec<_>>().join(",");
    let env = |content: String| Hostile { path: "/v1/env".to_owned(), pod: "e", ..put("", content) };
    let get = |name, pod| Hostile {
        method: "GET",
        path: format!("/v1/awaited/{}", awaits().object),
        pod,
        ..put(name, String::new())
    };
    vec![
        put("an output of 1 MiB", megabyte()),
        unfinished(put("", megabyte()), "an output of 1 MiB but for a byte"),
        put("170,000 empty files", files(&many())),
        put("a body of 2 MiB of spaces", " ".repeat(MOST)),
        put("8 MiB", files(&format!("\"f\":\"{}\"", "A".repeat(8 << 20)))),
        put("1,000,000 levels of lists", "[".repeat(1_000_000)),
        put("1,000,000 numbers", files(&format!("\"f\":[{}1]", "1,".repeat(1_000_000)))),
        put("600,000 escapes", files(&format!("\"f\":\"{}\"", "\\n".repeat(600_000)))),
        put("a name of 2 MiB", files(&format!("\"{}\":\"\"", "n".repeat(MOST - 100)))),
        Hostile { name: "170,000 variables", ..env(format!("{{\"env\":{{{}}}}}", many())) },
        Hostile {
            name: "a note of 2 MiB",
            method: "POST",
            path: "/v1/events".to_owned(),
            ..put("", json!({"outcome": "Failed", "note": "n".repeat(MOST - 100)}).to_string())
        },
        get("a run of 250 Pipes with 100 file names each", "w"),
        put("", json!({}).to_string()).by("large", "a pod of 75,000 variables without a signature"),
        unfinished(put("", megabyte()), "")
            .by("configured", "a pod with 60 KB of configuration, and a body but for a byte"),
    ]
}

impl Hostile {
    fn by(self, pod: &'static str, name: &'static str) -> Self {
        Self { name, pod, ..self }
    }
}

/// The pods of a namespace, and the Pipes of the run that some wait for.
fn namespace(cluster: &ApiServer, namespace: &str) {
    let outputs = json!([{"key": "A", "kind": "Secret", "container": "main"}]);
    let path = |name: &str| format!("/api/v1/namespaces/{namespace}/pods/{name}");
    let awaits = awaits();
    let run = run_label(&awaits.from);
    let wait = json!({
        "profile": {"name": "default", "generation": 1}, "store": {"url": "", "ca": ""}, "awaits": [awaits],
    });
    let wait =
        json!({"name": "bootlace-wait", "env": [{"name": "BOOTLACE_WAIT", "value": wait.to_string()}]});
    let secret = format!("bootlace-env-{}", "0".repeat(32));
    let boot = json!({"name": "bootlace-boot", "env": [{"name": "BOOTLACE_SPEC", "value": json!({"envSecret": secret}).to_string()}]});
    let variables = |count: usize| -> Value {
        (0..count).map(|at| json!({"name": format!("V{at}"), "value": "v"})).collect()
    };
    for number in 0..PODS {
        pod_in(cluster, namespace, &format!("p{number}"), &outputs);
        let waits = format!("w{number}");
        cluster.put(&path(&waits), signed(namespace, &waits, &json!([wait])));
        // Its env comes from a Secret.
        let env = format!("e{number}");
        let mut pod = json!({
            "metadata": {"name": env, "annotations": {"bootlace.dev/injected": "{}"}},
            "spec": {
                "containers": [{"name": "main", "envFrom": [{"secretRef": {"name": secret}}]}],
                "initContainers": [boot],
            },
        });
        sign(namespace, &env, &mut pod);
        cluster.put(&path(&env), pod);
        let large = format!("large{number}");
        let mut pod = signed(namespace, &large, &json!([]));
        pod["spec"]["containers"][0]["env"] = variables(75_000);
        pod["spec"]["initContainers"][0]["env"] =
            json!([{"name": "BOOTLACE_SPEC", "value": "x".repeat(1_000_000)}]);
        cluster.put(&path(&large), pod);
        // The maximum that the webhook writes: the annotation that declares outputs has at most 64 KiB.
        let configured = format!("configured{number}");
        let outputs = json!([
            {"key": "A", "kind": "Secret", "container": "main"},
            {"key": "B", "kind": "Secret", "container": "n".repeat(60_000)},
        ]);
        pod_in(cluster, namespace, &configured, &outputs);
    }
    for number in 0..250 {
        let path = format!("/apis/bootlace.dev/v1alpha1/namespaces/{namespace}/pipes/large-{number:04}");
        cluster.put(&path, large_pipe(number, &run, 0));
    }
}

fn request(method: &str, path: &str, token: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Stores the same small output repeatedly, and returns the longest duration of a request.
async fn honest(address: SocketAddr, tls: Arc<ClientConfig>, over: Arc<AtomicBool>) -> Duration {
    let content = body("main", "Secret", "a", b"x").to_string();
    let content = request("PUT", "/v1/pipes/A", "honest/h", content.as_bytes());
    let mut longest = Duration::ZERO;
    let mut connection = Connection::open(address, Arc::clone(&tls)).await.unwrap();
    while !over.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let reply = tokio::time::timeout(PATIENCE, async {
            connection.send(&content).await?;
            connection.reply().await
        });
        let reply =
            reply.await.expect("the honest caller waited too long").expect("the honest caller was cut off");
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        longest = longest.max(asked.elapsed());
        if reply.closes() {
            connection = Connection::open(address, Arc::clone(&tls)).await.unwrap();
        }
        tokio::time::sleep(EVERY).await;
    }
    longest
}

/// Sends a request from all hostile pods concurrently, while the well-behaved pod sends requests; returns the
/// longest duration of each.
async fn attack(running: &Running, hostile: &Hostile) -> (Duration, Duration) {
    let (address, over) = (running.address, Arc::new(AtomicBool::new(false)));
    let honest = tokio::spawn(honest(address, Arc::clone(&running.tls), Arc::clone(&over)));
    let callers: Vec<_> = (0..NAMESPACES * PODS * OF_EACH)
        .map(|number| {
            let (namespace, pod) = (number % NAMESPACES, number / NAMESPACES % PODS);
            let token = format!("hostile-{namespace}/{}{pod}", hostile.pod);
            let mut bytes = request(hostile.method, &hostile.path, &token, &hostile.body);
            bytes.truncate(bytes.len() - hostile.kept_back);
            let tls = Arc::clone(&running.tls);
            tokio::spawn(async move {
                let asked = Instant::now();
                // An error response or a closed connection are both acceptable.
                let Ok(mut connection) = Connection::open_from([127, 0, 0, 2], address, tls).await else {
                    return asked.elapsed();
                };
                if connection.send(&bytes).await.is_ok()
                    && let Ok(Ok(reply)) = tokio::time::timeout(AT_LAST, connection.reply()).await
                {
                    assert!(matches!(reply.status, 200..=599), "{}", reply.status);
                }
                asked.elapsed()
            })
        })
        .collect();
    let mut longest = Duration::ZERO;
    for caller in callers {
        longest = longest.max(caller.await.unwrap());
    }
    over.store(true, Ordering::Relaxed);
    (longest, honest.await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_exceeds_the_memory_limit_of_the_chart() {
    let limit = memory_limit("/store/resources/limits/memory");
    let cluster = ApiServer::new();
    pod_in(&cluster, "honest", "h", &json!([{"key": "A", "kind": "Secret", "container": "main"}]));
    for number in 0..NAMESPACES {
        namespace(&cluster, &format!("hostile-{number}"));
    }
    let running = Running::start(&cluster).await;
    let group = Group::of(running.child.id(), limit);
    println!(
        "Limit: {} MB, {} the kernel",
        limit / 1_000_000,
        if group.is_some() { "held by" } else { "not given to" }
    );
    println!(
        "| request, {} at once | size | memory at most | answered in | honest caller, at most |",
        NAMESPACES * PODS * OF_EACH
    );
    println!("|---|---:|---:|---:|---:|");
    for hostile in all() {
        forget_peak(running.child.id());
        let (longest, honest) = attack(&running, &hostile).await;
        let peak = peak(running.child.id());
        row(hostile.name, hostile.body.len(), peak, longest, honest);
        assert!(peak < limit, "{}: {peak} bytes, and the chart gives {limit}", hostile.name);
    }
}
