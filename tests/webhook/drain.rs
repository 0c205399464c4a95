//! The end: everybody who got in is answered, nobody new gets in.

use bootlace::server::listener::{Limits, ShutdownStage};
use tokio::net::TcpStream;

use crate::client::{Connection, post};
use crate::harness::{REVIEW, Webhook, response, within};

#[tokio::test]
async fn while_draining_callers_are_served_and_told_to_come_back_elsewhere() {
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
    // Connected, and no more than that.
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
async fn what_waits_in_the_kernels_queue_is_answered_before_the_door_is_shut() {
    let mut webhook = Webhook::start_with(Limits { connections: 1, ..Limits::default() }).await;
    let mut first = webhook.connect().await;
    response(&first.review(REVIEW.as_bytes()).await.unwrap());
    // Over the cap: it is connected by the kernel, and the webhook has not seen it.
    let waiting = TcpStream::connect(webhook.address).await.unwrap();
    drop(first);
    webhook.director.enter(ShutdownStage::Closing);
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let connect = tokio_rustls::TlsConnector::from(webhook.tls.clone()).connect(name, waiting);
    within("the handshake", connect).await.unwrap();
    within("the end", &mut webhook.task).await.unwrap();
}

#[tokio::test]
async fn when_time_is_up_what_hangs_is_dropped() {
    let mut webhook = Webhook::start().await;
    let mut hanging: Connection = webhook.connect().await;
    hanging.send(&post(REVIEW.as_bytes())[..100]).await.unwrap();
    webhook.director.enter(ShutdownStage::Closing);
    webhook.director.enter(ShutdownStage::Over);
    within("the end", &mut webhook.task).await.unwrap();
    within("the connection to be dropped", hanging.closed()).await;
}
