//! The worst that callers can send, against the program as it runs, within the memory that the chart gives it, while an
//! honest caller goes on asking. `cargo test --test webhook hostile -- --nocapture` prints the table of docs/hostile.md;
//! `BOOTLACE_BIN` names another binary, such as the image's.

mod corpus;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use crate::binary::Running;
use crate::client::Connection;
use crate::harness::{REVIEW, response, within};
use crate::limited::{Group, forget_peak, memory_limit, peak, row};

/// Callers that send the same at once: more than the program takes turns of large reviews at once.
const CALLERS: usize = 6;
/// The honest caller asks this often.
const EVERY: Duration = Duration::from_millis(50);
/// How long it may wait. The API server waits `timeoutSeconds`, 5 by default; the table shows what it really is.
const PATIENCE: Duration = Duration::from_secs(5);

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_review_takes_more_memory_than_the_chart_gives() {
    let limit = memory_limit("/resources/limits/memory");
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
    let limit = memory_limit("/resources/limits/memory");
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
    let limit = memory_limit("/resources/limits/memory");
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
