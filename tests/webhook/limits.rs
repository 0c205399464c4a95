//! The limits for callers: each one closes the right connections, and no others.

use std::time::Duration;

use bootlace::server::listener::Limits;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpSocket, TcpStream};

use crate::client::{Connection, post, trusting};
use crate::harness::{REVIEW, Webhook, issue, response, until, within};

const SHORT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn a_missing_handshake_times_out() {
    let webhook = Webhook::start_with(Limits { handshake: SHORT, ..Limits::default() }).await;
    let mut silent = TcpStream::connect(webhook.address).await.unwrap();
    // The server closes the connection without a response.
    let read = within("the server to close", silent.read(&mut [0; 1])).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    until("the failure to be counted", async || {
        webhook.metric(r#"bootlace_handshake_failures_total{reason="timeout"}"#) == 1.0
    })
    .await;
}

#[tokio::test]
async fn a_caller_that_trusts_another_ca_is_counted_as_such() {
    let webhook = Webhook::start().await;
    let other = trusting(issue().ca_cert.as_bytes());
    assert!(Connection::open(webhook.address, other).await.is_err());
    until("the failure to be counted", async || {
        webhook.metric(r#"bootlace_handshake_failures_total{reason="untrusted"}"#) == 1.0
    })
    .await;
}

#[tokio::test]
async fn a_head_that_does_not_end_is_closed_and_an_idle_connection_is_kept() {
    let webhook = Webhook::start_with(Limits { head: SHORT, ..Limits::default() }).await;
    let mut idle = webhook.connect().await;
    response(&idle.review(REVIEW.as_bytes()).await.unwrap());
    // A connection that stalls in its first head, and one that stalls after a request: both are closed. By
    // then, the idle connection was idle for longer than the timeout for a head.
    let mut fresh = webhook.connect().await;
    fresh.send(b"POST /mutate HT").await.unwrap();
    let mut used = webhook.connect().await;
    response(&used.review(REVIEW.as_bytes()).await.unwrap());
    used.send(b"POST /mutate HT").await.unwrap();
    within("the fresh one to be closed", fresh.closed()).await;
    within("the used one to be closed", used.closed()).await;
    response(&within("the idle one", idle.review(REVIEW.as_bytes())).await.unwrap());
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_the_end() {
    let webhook = Webhook::start_with(Limits { idle: SHORT, head: SHORT, ..Limits::default() }).await;
    let mut idle = webhook.connect().await;
    response(&idle.review(REVIEW.as_bytes()).await.unwrap());
    within("the server to close", idle.closed()).await;
    until("the connection to be given back", async || webhook.metric("bootlace_connections") == 0.0).await;
}

#[tokio::test]
async fn a_missing_body_times_out() {
    let webhook = Webhook::start_with(Limits { request: SHORT, ..Limits::default() }).await;
    let mut slow = webhook.connect().await;
    let request = post(REVIEW.as_bytes());
    slow.send(&request[..request.len() / 2]).await.unwrap();
    within("the server to close", slow.closed()).await;
    until("the review to be given up", async || webhook.metric("bootlace_reviews_in_flight") == 0.0).await;
}

#[test]
fn idle_connections_live_longer_than_in_go() {
    assert!(Limits::default().idle > Duration::from_secs(90));
}

/// The address of another caller. All of 127.0.0.0/8 is this machine.
const OTHER: [u8; 4] = [127, 0, 0, 2];

/// Connects from [`OTHER`] and sends nothing.
async fn silent(webhook: &Webhook) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((OTHER, 0).into()).unwrap();
    socket.connect(webhook.address).await.unwrap()
}

#[tokio::test]
async fn callers_that_send_nothing_do_not_block_others() {
    let webhook = Webhook::start_with(Limits { connections: 8, ..Limits::default() }).await;
    let mut kept = webhook.connect().await;
    let mut taken = Vec::new();
    for _ in 0..20 {
        taken.push(silent(&webhook).await);
    }
    let mut honest = webhook.connect().await;
    response(&within("an answer", honest.review(REVIEW.as_bytes())).await.unwrap());
    // The older connection of the honest caller was not closed.
    response(&within("an answer", kept.review(REVIEW.as_bytes())).await.unwrap());
    assert!(webhook.metric("bootlace_connections") <= 9.0);
}

#[tokio::test]
async fn callers_that_stall_in_a_body_do_not_block_others() {
    let webhook = Webhook::start_with(Limits { bytes: 900_000, ..Limits::default() }).await;
    let mut stalled = Vec::new();
    for _ in 0..8 {
        // With Content-Length and in chunks, neither of which is complete.
        for head in ["Content-Length: 200000", "Transfer-Encoding: chunked"] {
            let mut connection =
                Connection::open_from(OTHER, webhook.address, webhook.tls.clone()).await.unwrap();
            let head = format!("POST /mutate HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n");
            connection.send(head.as_bytes()).await.unwrap();
            let sent = connection.send(&[&b"186a0\r\n"[..], &vec![b' '; 100_000]].concat()).await;
            stalled.push((connection, sent));
        }
    }
    let mut honest = webhook.connect().await;
    response(&within("an answer", honest.review(REVIEW.as_bytes())).await.unwrap());
    let large = REVIEW.replacen('{', &format!("{{{}", " ".repeat(200_000)), 1);
    response(&within("an answer to a large review", honest.review(large.as_bytes())).await.unwrap());
}
