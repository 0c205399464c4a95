//! The shutdown: received requests are completed, and new ones are rejected.

use bootlace::server::listener::{Limits, ShutdownStage};
use tokio::net::TcpStream;

use crate::client::{Connection, post};
use crate::harness::{REVIEW, Webhook, response, within};

#[tokio::test]
async fn while_draining_responses_close_their_connections() {
    let webhook = Webhook::start().await;
    let mut old = webhook.connect().await;
    assert!(!old.review(REVIEW.as_bytes()).await.unwrap().closes());
    webhook.director.enter(ShutdownStage::Draining);
    for mut connection in [old, webhook.connect().await] {
        let reply = within("the answer", connection.review(REVIEW.as_bytes())).await.unwrap();
        assert!(reply.closes(), "{}", reply.head);
        response(&reply);
        within("the server to close", connection.closed()).await;
    }
}

#[tokio::test]
async fn closing_ends_idle_connections_and_finishes_begun_requests() {
    let mut webhook = Webhook::start().await;
    let request = post(REVIEW.as_bytes());
    let mut idle = webhook.connect().await;
    response(&idle.review(REVIEW.as_bytes()).await.unwrap());
    let mut busy = webhook.connect().await;
    busy.send(&request[..request.len() / 2]).await.unwrap();
    crate::harness::until("the review to begin", async || {
        webhook.metric("bootlace_reviews_in_flight") == 1.0
    })
    .await;
    // A connection without a request.
    let mut fresh = webhook.connect().await;

    webhook.director.enter(ShutdownStage::Closing);
    within("the idle one to be closed", idle.closed()).await;
    busy.send(&request[request.len() / 2..]).await.unwrap();
    response(&within("the begun one", busy.reply()).await.unwrap());
    response(&within("the fresh one", fresh.review(REVIEW.as_bytes())).await.unwrap());
    within("the end", &mut webhook.task).await.unwrap();
    assert!(TcpStream::connect(webhook.address).await.is_err(), "the port is still open");
}

#[tokio::test]
async fn connections_in_the_queue_of_the_kernel_are_served_before_the_shutdown() {
    let mut webhook = Webhook::start_with(Limits { connections: 1, ..Limits::default() }).await;
    let mut first = webhook.connect().await;
    response(&first.review(REVIEW.as_bytes()).await.unwrap());
    // Above the limit: the kernel accepted the connection, but not the webhook.
    let waiting = TcpStream::connect(webhook.address).await.unwrap();
    drop(first);
    webhook.director.enter(ShutdownStage::Closing);
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let connect = tokio_rustls::TlsConnector::from(webhook.tls.clone()).connect(name, waiting);
    within("the handshake", connect).await.unwrap();
    within("the end", &mut webhook.task).await.unwrap();
}

#[tokio::test]
async fn requests_that_hang_are_dropped_at_the_timeout() {
    let mut webhook = Webhook::start().await;
    let mut hanging: Connection = webhook.connect().await;
    hanging.send(&post(REVIEW.as_bytes())[..100]).await.unwrap();
    webhook.director.enter(ShutdownStage::Closing);
    webhook.director.enter(ShutdownStage::Over);
    within("the end", &mut webhook.task).await.unwrap();
    within("the connection to be dropped", hanging.closed()).await;
}
