//! Clients that break the rules: `docs/faults.md`, line 22.

use tokio::io::AsyncWriteExt;

use super::Served;

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
