//! Clients that break the rules: `docs/faults.md`, line 22.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::post;
use tokio::io::AsyncWriteExt;
use tokio::sync::{Notify, oneshot};

use super::Served;
use crate::http::around;

async fn status(request: &str) -> String {
    let served = Served::start().await;
    let answer = served.raw(request).await;
    // Others are served whatever this client did.
    assert_eq!(served.call("GET", "/_ping", "").await.0, 200);
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn malformed_lengths_are_bad_requests() {
    for length in ["-1", "x", "1, 2", "99999999999999999999999"] {
        let request =
            format!("POST /build HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
        assert_eq!(status(&request).await, "400", "{length}");
    }
    let twice = "POST /build HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n";
    assert_eq!(status(twice).await, "400");
}

#[tokio::test]
async fn head_of_a_megabyte_is_refused() {
    let filler = "a".repeat(1 << 20);
    let request = format!("GET /_ping HTTP/1.1\r\nHost: x\r\nX: {filler}\r\n\r\n");
    let served = Served::start().await;
    let mut stream = served.connect().await;
    // The server may close before it was given all.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer).await;
    assert!(answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(served.call("GET", "/_ping", "").await.0, 200);
}

#[tokio::test]
async fn what_is_no_http_is_a_bad_request() {
    assert_eq!(status("\x16\x03\x01 nonsense\r\n\r\n").await, "400");
}

#[tokio::test]
async fn slow_client_does_not_keep_others_from_being_served() {
    let served = Served::start().await;
    let mut slow = Vec::new();
    for _ in 0..100 {
        let mut stream = served.connect().await;
        stream.write_all(b"G").await.unwrap();
        slow.push(stream);
    }
    assert_eq!(served.call("GET", "/_ping", "").await.0, 200);
}

#[tokio::test]
async fn what_a_client_asked_for_is_done_though_it_goes_away() {
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (sender, done) = oneshot::channel();
    let sender = Arc::new(Mutex::new(Some(sender)));
    let handler = {
        let (begun, go) = (Arc::clone(&begun), Arc::clone(&go));
        move || async move {
            // Dropped with the handler.
            let sender = sender.lock().unwrap().take().unwrap();
            begun.notify_one();
            go.notified().await;
            sender.send(()).unwrap();
        }
    };
    let routes = Router::new().route("/slow", post(handler)).route("/quick", post(async || ()));
    let served = Served::with(tempfile::tempdir().unwrap(), around(routes));
    let mut client = served.connect().await;
    client.write_all(b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    begun.notified().await;
    drop(client);
    // By then the server has seen it go.
    for _ in 0..3 {
        assert_eq!(served.call("POST", "/quick", "").await.0, 200);
    }
    go.notify_one();
    done.await.expect("the handler was ended with its client");
}
