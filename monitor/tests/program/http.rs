//! HTTP that lies or dawdles, on the program's own socket; other clients are served meanwhile.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::harness::{Monitor, Place};

/// Sends these bytes on a connection of their own and gives the answer, after which the connection
/// has to be closed. While it was open another client was served.
fn exchange(monitor: &Monitor, bytes: &[u8]) -> String {
    let mut stream = connect(monitor);
    // The program may answer and close before all of it is written.
    let _ = stream.write_all(bytes);
    assert_eq!(monitor.state(), "Not started");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn connect(monitor: &Monitor) -> UnixStream {
    let stream = UnixStream::connect(monitor.socket()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// Whether an answer has this status and says why.
fn assert_refused(answer: &str, status: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    assert!(answer.contains(r#"{"fault_message":""#), "{answer}");
}

#[test]
fn lengths_that_lie_are_refused() {
    let monitor = Place::new().start();
    let refused = |fields: &str, status: &str| {
        let bytes = format!("PUT /entropy HTTP/1.1\r\n{fields}\r\n\r\n{{}}");
        assert_refused(&exchange(&monitor, bytes.as_bytes()), status);
    };
    refused("Content-Length: -2", "400 Bad Request");
    refused("Content-Length: +2", "400 Bad Request");
    refused("Content-Length: two", "400 Bad Request");
    refused("Content-Length: 2\r\nContent-Length: 3", "400 Bad Request");
    refused("Content-Length: 2\r\nContent-Length: 2", "400 Bad Request");
    refused("Content-Length: 2\r\nTransfer-Encoding: chunked", "400 Bad Request");
    refused("Transfer-Encoding: chunked", "411 Length Required");
    refused("Content-Length: 99999999999999999999", "400 Bad Request");
    refused("Content-Length: 1152921504606846976", "413 Payload Too Large");
    refused("Content-Length: 51201", "413 Payload Too Large");
    assert!(!monitor.said().contains("received PUT /entropy"), "{}", monitor.said());
}

#[test]
fn body_and_head_of_a_megabyte_are_refused() {
    let monitor = Place::new().start();
    let megabyte = "x".repeat(1 << 20);
    let body = format!("PUT /mmds HTTP/1.1\r\nContent-Length: 1048576\r\n\r\n{megabyte}");
    assert_refused(&exchange(&monitor, body.as_bytes()), "413 Payload Too Large");
    let head = format!("GET / HTTP/1.1\r\nX: {megabyte}\r\n\r\n");
    assert_refused(&exchange(&monitor, head.as_bytes()), "400 Bad Request");
}

#[test]
fn what_is_no_http_is_refused() {
    let monitor = Place::new().start();
    assert_refused(&exchange(&monitor, b"hello\r\n\r\n"), "400 Bad Request");
    assert_refused(&exchange(&monitor, b"\xff\xff\xff\xff\r\n\r\n"), "400 Bad Request");
    assert_refused(&exchange(&monitor, b"GET / HTTP/9.9\r\n\r\n"), "400 Bad Request");
}

#[test]
fn one_byte_a_second_is_too_slow_while_others_are_served() {
    let monitor = Place::new().start();
    let mut stream = connect(&monitor);
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let started = Instant::now();
    let mut answer = [0; 4096];
    let mut bytes = b"GET / HTTP/1.1\r\nX: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy".iter();
    let length = loop {
        stream.write_all(&[*bytes.next().unwrap()]).unwrap();
        assert_eq!(monitor.state(), "Not started");
        // The answer, or a second without one.
        if let Ok(length) = stream.read(&mut answer) {
            break length;
        }
    };
    assert_refused(&String::from_utf8_lossy(&answer[..length]), "408 Request Timeout");
    assert!(started.elapsed() >= Duration::from_secs(9), "{:?}", started.elapsed());
}
