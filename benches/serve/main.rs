//! The cost of a served review: CPU time, memory, time until ready.
//!
//! Starts `bootlace webhook` without a cluster, and sends the same review a fixed number of times over TLS
//! keep-alive connections. The CPU time is the user and system time of the server, so it does not depend on
//! how the load generator shares the cores. The times to parse and process the same review in this process
//! allow comparisons between machines.
//!
//! [`floor`] gets the same load, to show the share of HTTP, TLS and the kernel.
//!
//! `BOOTLACE_BIN` names another binary to measure, such as that of the image.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark fails by panicking"
)]
#![allow(clippy::cast_precision_loss, reason = "the counts are far below 2^52")]

#[path = "../../tests/webhook/client.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod client;
mod floor;

use std::hint::black_box;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bootlace::profile_files;
use bootlace_core::admission;
use bootlace_core::plan::{InstallationSettings, PreparedProfiles};
use bootlace_image::product;
use rustls::ClientConfig;

const REVIEW: &str = include_str!("../review.json");
const PROFILE: &str = include_str!("../../tests/webhook/profile.yaml");

/// The same allocator as in `bootlace`. Otherwise the ratios would compare allocators.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The number of connections, and of reviews over all of them.
const LOADS: [(usize, usize); 3] = [(1, 20_000), (8, 40_000), (64, 40_000)];
/// The number of reviews before the first measurement, so that code and caches are warm.
const WARM_UP: usize = 2_000;
/// The number of reviews in this process, for comparison.
const IN_PROCESS: u32 = 20_000;
/// The timeout of a load.
const LIMIT: Duration = Duration::from_mins(2);
/// The unit of CPU time in the kernel: `sysconf(_SC_CLK_TCK)` is 100 on every Linux that Rust supports.
const TICKS_PER_SECOND: f64 = 100.0;

fn main() {
    // This program is also the server for comparison.
    if let [_, role, size, ca] = std::env::args().collect::<Vec<_>>().as_slice()
        && role == "floor"
    {
        return floor::serve(size.parse().unwrap(), Path::new(ca));
    }
    let folder = tempfile::tempdir().unwrap();
    let profiles = folder.path().join("profile.yaml");
    std::fs::write(&profiles, PROFILE).unwrap();
    // On one line, as the API server sends it.
    let review: serde_json::Value = serde_json::from_str(REVIEW).unwrap();
    let review = serde_json::to_vec(&review).unwrap();
    let parse = in_process(|| drop(black_box(serde_json::from_slice::<serde_json::Value>(&review))));
    let recipes =
        PreparedProfiles::new(profile_files::read(&profiles).unwrap(), &InstallationSettings::default())
            .unwrap();
    let process = || admission::review(&review, &recipes).response.to_json().unwrap();
    let size = process().len();
    let process = in_process(|| drop(black_box(process())));
    println!(
        "The review has {} bytes, and its response {size}. Without a server, `serde_json` parses it in {:.1} µs, and \
         Bootlace processes it in {:.1} µs.\n",
        review.len(),
        micros(parse),
        micros(process)
    );

    let webhook = Server::webhook(folder.path(), &profiles);
    let floor = Server::floor(folder.path(), size);
    let (idle, private) = (webhook.memory("VmRSS"), webhook.memory("RssAnon"));
    println!(
        "| server | connections | reviews | CPU time per review | of that, user time | p50 | p99 | rate |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    for server in [&webhook, &floor] {
        server.load(&review, 8, WARM_UP);
    }
    for (connections, reviews) in LOADS {
        for server in [&webhook, &floor] {
            println!("{}", server.measure(&review, connections, reviews));
        }
    }
    let all: usize = WARM_UP + LOADS.iter().map(|(_, reviews)| reviews).sum::<usize>();
    println!("\n| from start to ready | idle memory | of that, anonymous | after {all} reviews | peak |");
    println!("|---:|---:|---:|---:|---:|");
    println!(
        "| {:.1} ms | {idle:.1} MB | {private:.1} MB | {:.1} MB | {:.1} MB |",
        webhook.ready.as_secs_f64() * 1e3,
        webhook.memory("VmRSS"),
        webhook.memory("VmHWM")
    );
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// The mean time of a call.
fn in_process(mut call: impl FnMut()) -> Duration {
    (0..IN_PROCESS / 10).for_each(|_| call());
    let started = Instant::now();
    (0..IN_PROCESS).for_each(|_| call());
    started.elapsed() / IN_PROCESS
}

/// A server process.
struct Server {
    name: &'static str,
    child: Child,
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    ready: Duration,
}

impl Server {
    fn webhook(folder: &Path, profiles: &Path) -> Self {
        let binary =
            std::env::var("BOOTLACE_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_bootlace").to_owned());
        let ca = folder.join("ca.crt");
        let mut command = Command::new(binary);
        command.envs(product::ENV);
        command.args(["webhook", "--listen=127.0.0.1:0", "--metrics-listen=127.0.0.1:0"]);
        command.args(["--log=info", "--log-format=json"]);
        command.arg("--profiles").arg(profiles).arg("--ca-out").arg(&ca);
        Self::start("`bootlace webhook`", command, &ca)
    }

    fn floor(folder: &Path, size: usize) -> Self {
        let ca = folder.join("floor.crt");
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["floor", &size.to_string()]).arg(&ca);
        Self::start("hyper and rustls alone", command, &ca)
    }

    fn start(name: &'static str, mut command: Command, ca: &Path) -> Self {
        let started = Instant::now();
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines
            .by_ref()
            .map(|line| serde_json::from_str::<serde_json::Value>(&line.unwrap()).unwrap())
            .find_map(|line| line.get("address")?.as_str()?.parse().ok())
            .expect("the server exited before it was ready");
        let ready = started.elapsed();
        // The log must be read, so that the server does not block. This is not measured.
        std::thread::spawn(move || lines.for_each(drop));
        let tls = client::trusting(&std::fs::read(ca).unwrap());
        Self { name, child, address, tls, ready }
    }

    /// Runs a load, and returns the results as a row of the table.
    fn measure(&self, review: &[u8], connections: usize, reviews: usize) -> String {
        let (before, started) = (self.cpu(), Instant::now());
        let mut latencies = self.load(review, connections, reviews);
        let (took, after) = (started.elapsed(), self.cpu());
        latencies.sort_unstable();
        let each = |seconds: f64| seconds * 1e6 / reviews as f64;
        let (user, cpu) = (each(after.0 - before.0), each(after.0 + after.1 - before.0 - before.1));
        format!(
            "| {} | {connections} | {reviews} | {cpu:.1} µs | {user:.1} µs | {:.0} µs | {:.0} µs | {:.0}/s |",
            self.name,
            micros(latencies[reviews / 2]),
            micros(latencies[reviews * 99 / 100]),
            reviews as f64 / took.as_secs_f64(),
        )
    }

    /// Sends `reviews` reviews over `connections` connections, and returns their latencies.
    fn load(&self, review: &[u8], connections: usize, reviews: usize) -> Vec<Duration> {
        let request: Arc<[u8]> = client::post(review).into();
        let clients = (0..connections).map(|_| {
            let request = Arc::clone(&request);
            async move {
                let mut connection =
                    client::Connection::open(self.address, Arc::clone(&self.tls)).await.unwrap();
                let mut latencies = Vec::with_capacity(reviews / connections);
                for _ in 0..reviews / connections {
                    let sent = Instant::now();
                    connection.send(&request).await.unwrap();
                    let reply = connection.reply().await.unwrap();
                    latencies.push(sent.elapsed());
                    assert!(reply.status == 200 && !reply.closes(), "{}", reply.head);
                    assert!(
                        reply.body.windows(9).any(|window| window == b"JSONPatch"),
                        "the pod was not injected"
                    );
                }
                latencies
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let all = async { tokio::time::timeout(LIMIT, futures::future::join_all(clients)).await };
        runtime.block_on(all).expect("the load timed out").concat()
    }

    /// The user and system time, in seconds.
    fn cpu(&self) -> (f64, f64) {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // The name of the program is in parentheses and can contain spaces. The times are fields 14 and 15.
        let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let seconds = |field: &str| field.parse::<f64>().unwrap() / TICKS_PER_SECOND;
        (seconds(fields[11]), seconds(fields[12]))
    }

    /// The field `name` of `/proc/PID/status`, in megabytes.
    fn memory(&self, name: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let kibibytes: f64 = line.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
        kibibytes * 1024.0 / 1e6
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
