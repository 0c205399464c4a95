//! What a caller may take: each limit closes what it is for, and nothing else.

use std::time::Duration;

use bootlace::server::listener::Limits;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::client::{Connection, post, trusting};
use crate::harness::{REVIEW, Webhook, issue, response, until, within};

const SHORT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn a_handshake_that_does_not_come_is_not_waited_for() {
    let webhook = Webhook::start_with(Limits { handshake: SHORT, ..Limits::default() }).await;
    let mut silent = TcpStream::connect(webhook.address).await.unwrap();
    // The server closes: there is nothing to be read, and no more will come.
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
    // One that begins and stalls, and one that stalls after a first request: both are closed, by which time
    // the idle one has idled for longer than a head may take.
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
async fn a_body_that_does_not_come_is_not_waited_for() {
    let webhook = Webhook::start_with(Limits { request: SHORT, ..Limits::default() }).await;
    let mut slow = webhook.connect().await;
    let request = post(REVIEW.as_bytes());
    slow.send(&request[..request.len() / 2]).await.unwrap();
    within("the server to close", slow.closed()).await;
    until("the review to be given up", async || webhook.metric("bootlace_reviews_in_flight") == 0.0).await;
}

#[test]
fn idle_connections_live_longer_than_go_keeps_them() {
    assert!(Limits::default().idle > Duration::from_secs(90));
}

#[tokio::test]
async fn who_comes_over_the_cap_waits_and_gets_the_next_free_place() {
    let webhook = Webhook::start_with(Limits { connections: 2, ..Limits::default() }).await;
    let (mut first, second) = (webhook.connect().await, webhook.connect().await);
    let third = tokio::spawn(Connection::open(webhook.address, webhook.tls.clone()));
    for _ in 0..20 {
        response(&first.review(REVIEW.as_bytes()).await.unwrap());
        assert!(webhook.metric("bootlace_connections") == 2.0);
    }
    assert!(!third.is_finished());
    drop(second);
    let mut third = within("the third to be let in", third).await.unwrap().unwrap();
    response(&third.review(REVIEW.as_bytes()).await.unwrap());
}
