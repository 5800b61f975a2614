//! What clients see besides bodies: statuses, headers, connections.

use axum::Router;
use axum::body::Body;
use axum::routing::post;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Served;
use crate::http::Hijack;
use crate::http::multiplex::{Framing, Multiplexer, Output};

#[tokio::test]
async fn ping_answers_get_and_head_with_versions_in_its_headers() {
    let served = Served::start().await;
    for method in ["GET", "HEAD"] {
        let request = format!("{method} /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = served.raw(&request).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("api-version: 1.53\r\n"), "{answer}");
        assert!(answer.contains("docker-experimental: false\r\n"), "{answer}");
        assert!(answer.contains("ostype: linux\r\n"), "{answer}");
        assert_eq!(answer.ends_with("\r\n\r\nOK"), method == "GET", "{answer}");
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_get_dockers_message() {
    let served = Served::start().await;
    let not_found = (404, r#"{"message":"page not found"}"#.to_owned());
    assert_eq!(served.call("GET", "/v1.41/nonsense", "").await, not_found);
    assert_eq!(served.call("DELETE", "/version", "").await, not_found);
}

/// More than a socket holds: the client writes on only while the server reads.
const LARGE_BODY: usize = 4 << 20;

#[tokio::test]
async fn clients_answered_before_their_body_was_read_can_send_it_all() {
    let served = Served::start().await;
    for path in ["/v1.50/swarm/init", "/build", "/v1.99/version", "/nonsense"] {
        let mut stream = served.connect().await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             Content-Length: {LARGE_BODY}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b' '; LARGE_BODY]).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 501"), "{answer}");
        assert!(answer.contains(r#"{"message":"#), "{answer}");
    }
}

#[tokio::test]
async fn version_too_new_is_a_bad_request() {
    let served = Served::start().await;
    let (status, body) = served.call("GET", "/v1.99/version", "").await;
    assert_eq!(status, 400);
    assert!(body.contains("client version 1.99 is too new"), "{body}");
}

/// Answers with frames of what it gets: as attach does.
async fn echo(hijack: Hijack, body: Body) -> axum::response::Response {
    hijack.respond(Framing::Multiplexed, body, |mut input, client| async move {
        let mut all = Vec::new();
        input.read_to_end(&mut all).await.unwrap();
        let mut multiplexer = Multiplexer::new(Framing::Multiplexed, client);
        multiplexer.write(Output::Stdout, &all).await.unwrap();
        multiplexer.into_inner().shutdown().await.unwrap();
    })
}

fn echoing() -> Served {
    let folder = tempfile::tempdir().unwrap();
    Served::with(folder, Router::new().route("/attach", post(echo)))
}

#[tokio::test]
async fn upgraded_connection_carries_bytes_and_half_closes() {
    let served = echoing();
    let mut stream = served.connect().await;
    let request = "POST /attach HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\
                   Content-Length: 0\r\n\r\nearly ";
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.write_all(b"late").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(head.contains("application/vnd.docker.multiplexed-stream"), "{head}");
    assert_eq!(body, "\x01\0\0\0\0\0\0\x0aearly late");
}

#[tokio::test]
async fn client_that_does_not_upgrade_gets_a_body() {
    let served = echoing();
    let request = "POST /attach HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc";
    let answer = served.raw(request).await;
    assert!(answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("\x01\0\0\0\0\0\0\x03abc"), "{answer}");
}
