//! The worst that callers can send, against the program as it runs, within the memory that the chart gives it, while an
//! honest caller goes on asking. `cargo test --test webhook hostile -- --nocapture` prints the table of docs/hostile.md;
//! `BOOTLACE_BIN` names another binary, such as the image's.

mod corpus;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use serde_json::Value;

use crate::binary::Running;
use crate::client::Connection;
use crate::harness::{REVIEW, response, within};

/// Callers that send the same at once: more than the program takes turns of large reviews at once.
const CALLERS: usize = 6;
/// The honest caller asks this often.
const EVERY: Duration = Duration::from_millis(50);
/// How long it may wait. The API server waits `timeoutSeconds`, 5 by default; the table shows what it really is.
const PATIENCE: Duration = Duration::from_secs(5);

/// The memory limit of the webhook in the chart's default values, in bytes.
fn memory_limit() -> u64 {
    let values: Value = serde_saphyr::from_str(include_str!("../../../charts/bootlace/values.yaml")).unwrap();
    let limit = values.pointer("/resources/limits/memory").and_then(Value::as_str).unwrap();
    bootlace_core::quantity::Quantity::parse(limit).unwrap().units()
}

/// A group of the kernel's that one process is put into, with a limit on its memory.
struct Group(PathBuf);

impl Group {
    /// `None` where this process may not make one: then only the peak is looked at.
    fn of(pid: u32, limit: u64) -> Option<Self> {
        let name = format!("bootlace-test-{pid}");
        let v1 = PathBuf::from("/sys/fs/cgroup/memory");
        let (folder, file) = if v1.exists() {
            (v1.join(name), "memory.limit_in_bytes")
        } else {
            (PathBuf::from("/sys/fs/cgroup").join(name), "memory.max")
        };
        fs::create_dir(&folder).ok()?;
        let group = Self(folder);
        fs::write(group.0.join(file), limit.to_string()).ok()?;
        fs::write(group.0.join("cgroup.procs"), pid.to_string()).ok()?;
        Some(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Empty only once the process has gone; a folder that stays costs nothing.
        let _ = fs::remove_dir(&self.0);
    }
}

/// The peak of what a process held, without the pages of its own file, which the kernel takes back at will; in bytes.
fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the program is alive");
    let kilobytes = |field: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(field)).expect(field);
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    kilobytes("VmHWM:").saturating_sub(kilobytes("RssFile:")) * 1024
}

/// Begins a new peak.
fn forget_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
}

/// Asks again and again, and returns the longest time that an answer took.
async fn honest(address: SocketAddr, tls: Arc<ClientConfig>, over: Arc<AtomicBool>) -> Duration {
    let mut longest = Duration::ZERO;
    let mut connection = Connection::open(address, Arc::clone(&tls)).await.unwrap();
    while !over.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let reply = tokio::time::timeout(PATIENCE, connection.review(REVIEW.as_bytes())).await;
        let reply = reply.expect("the honest caller waited too long").expect("the honest caller was cut off");
        assert_eq!(response(&reply)["patchType"], "JSONPatch");
        longest = longest.max(asked.elapsed());
        if reply.closes() {
            connection = Connection::open(address, Arc::clone(&tls)).await.unwrap();
        }
        tokio::time::sleep(EVERY).await;
    }
    longest
}

/// Posts a body over several connections at once, while the honest caller asks; returns the longest time of the hostile
/// callers, and of the honest one.
async fn attack(running: &Running, body: &[u8]) -> (Duration, Duration) {
    let (address, tls, over) = (running.address, running.tls(), Arc::new(AtomicBool::new(false)));
    let honest = tokio::spawn(honest(address, Arc::clone(&tls), Arc::clone(&over)));
    let body: Arc<[u8]> = body.into();
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (tls, body) = (Arc::clone(&tls), Arc::clone(&body));
            tokio::spawn(async move {
                let asked = Instant::now();
                let mut connection = Connection::open(address, tls).await.unwrap();
                // A refusal, or a connection that is closed in the middle: either is an answer to this.
                if let Ok(reply) = connection.review(&body).await {
                    assert!(matches!(reply.status, 200 | 400..=599), "{}", reply.status);
                }
                asked.elapsed()
            })
        })
        .collect();
    let mut longest = Duration::ZERO;
    for caller in callers {
        longest = longest.max(within("a hostile caller's answer", caller).await.unwrap());
    }
    over.store(true, Ordering::Relaxed);
    (longest, within("the honest caller", honest).await.unwrap())
}

/// What `hostile` did, as a row of the table.
#[allow(clippy::cast_precision_loss, reason = "bytes and milliseconds are far below 2^52")]
fn row(name: &str, bytes: usize, peak: u64, hostile: Duration, honest: Duration) {
    println!(
        "| {name} | {:.1} KB | {:.1} MB | {:.0} ms | {:.0} ms |",
        bytes as f64 / 1e3,
        peak as f64 / 1e6,
        hostile.as_secs_f64() * 1e3,
        honest.as_secs_f64() * 1e3
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_review_takes_more_memory_than_the_chart_gives() {
    let limit = memory_limit();
    let mut running = Running::start(&[]);
    running.discard_log();
    let group = Group::of(running.pid(), limit);
    println!(
        "Limit: {} MB, {} the kernel",
        limit / 1_000_000,
        if group.is_some() { "held by" } else { "not given to" }
    );
    println!("| input, {CALLERS} at once | size | peak memory | response time | ordinary review, slowest |");
    println!("|---|---:|---:|---:|---:|");
    for hostile in corpus::all() {
        forget_peak(running.pid());
        let (longest, honest) = attack(&running, &hostile.body).await;
        let peak = peak(running.pid());
        row(hostile.name, hostile.body.len(), peak, longest, honest);
        assert!(peak < limit, "{}: {peak} bytes, and the chart gives {limit}", hostile.name);
    }
}

/// Bodies that come but for their last byte: nobody parses them, and the listener alone bounds them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unfinished_bodies_take_no_more_than_the_chart_gives() {
    const CONNECTIONS: usize = 500;
    const SIZE: usize = 128 * 1024;
    let limit = memory_limit();
    let mut running = Running::start(&[]);
    running.discard_log();
    let group = Group::of(running.pid(), limit);
    let (address, tls, over) = (running.address, running.tls(), Arc::new(AtomicBool::new(false)));
    let honest = tokio::spawn(honest(address, Arc::clone(&tls), Arc::clone(&over)));
    let head = format!("POST /mutate HTTP/1.1\r\nHost: localhost\r\nContent-Length: {SIZE}\r\n\r\n");
    let body = vec![b' '; SIZE - 1];
    let mut kept = Vec::new();
    for _ in 0..CONNECTIONS {
        // Connections that wait for their caller are closed where there are too many: an error here is the bound.
        let Ok(mut connection) = Connection::open_from([127, 0, 0, 2], address, Arc::clone(&tls)).await
        else {
            continue;
        };
        if connection.send(head.as_bytes()).await.is_ok() && connection.send(&body).await.is_ok() {
            kept.push(connection);
        }
    }
    let peak = peak(running.pid());
    over.store(true, Ordering::Relaxed);
    let honest = within("the honest caller", honest).await.unwrap();
    row("500 connections that each send all but a byte of 128 KiB", SIZE, peak, Duration::ZERO, honest);
    assert!(peak < limit, "{peak} bytes, and the chart gives {limit}");
    drop(group);
}

/// Callers that ask for the largest answers and never read them: what is written waits for them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_nobody_reads_take_no_more_than_the_chart_gives() {
    const CONNECTIONS: usize = 200;
    let limit = memory_limit();
    let mut running = Running::start(&[]);
    running.discard_log();
    let group = Group::of(running.pid(), limit);
    let (address, tls, over) = (running.address, running.tls(), Arc::new(AtomicBool::new(false)));
    let honest = tokio::spawn(honest(address, Arc::clone(&tls), Arc::clone(&over)));
    let request = crate::client::post(&corpus::largest_answer());
    let mut kept = Vec::new();
    for _ in 0..CONNECTIONS {
        let Ok(mut connection) = Connection::open_from([127, 0, 0, 2], address, Arc::clone(&tls)).await
        else {
            continue;
        };
        // More requests than the sockets' buffers hold answers of.
        let sent = tokio::time::timeout(Duration::from_millis(200), async {
            for _ in 0..40 {
                if connection.send(&request).await.is_err() {
                    break;
                }
            }
        });
        let _ = sent.await;
        kept.push(connection);
    }
    let peak = peak(running.pid());
    over.store(true, Ordering::Relaxed);
    let honest = within("the honest caller", honest).await.unwrap();
    row("200 connections that do not read their responses", request.len(), peak, Duration::ZERO, honest);
    assert!(peak < limit, "{peak} bytes, and the chart gives {limit}");
    drop(group);
}
