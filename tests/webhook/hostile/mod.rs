//! The most expensive requests, sent to the program with the memory limit of the chart, while an honest
//! caller sends requests as well. `cargo test --test webhook hostile -- --nocapture` prints the table in
//! docs/hostile.md. `BOOTLACE_BIN` is the path of another program, such as that of the image.

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

/// The number of callers that send the same request at the same time: more than the permits for large
/// reviews.
const CALLERS: usize = 6;
/// The interval of the honest caller.
const EVERY: Duration = Duration::from_millis(50);
/// The maximum time of a response to it. The timeout of the API server is `timeoutSeconds`, 5 by default; the
/// table shows the actual time.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sends requests repeatedly, and returns the longest time of a response.
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

/// Posts a body on several connections at the same time, while the honest caller sends requests. Returns the
/// longest time of the hostile callers, and of the honest one.
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
                // A refusal or a closed connection: either is a valid response.
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
async fn no_review_exceeds_the_memory_limit_of_the_chart() {
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

/// Bodies without their last byte: they are not parsed, so only the listener limits them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn incomplete_bodies_do_not_exceed_the_memory_limit_of_the_chart() {
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
        // If there are too many connections that wait for their caller, the server closes them, which is the
        // expected limit.
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

/// Callers that request the largest responses and never read them, so that the responses stay in memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unread_responses_do_not_exceed_the_memory_limit_of_the_chart() {
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
        // More requests than the buffers of the sockets have space for responses.
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
