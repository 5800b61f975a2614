//! What is HTTP, what is not, and what is too much.

use std::time::Instant;

use super::*;

/// Status line and body of an answer.
fn parts(answer: &str) -> (&str, &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap(), body)
}

const CLOSE: &str = "Connection: close\r\n\r\n";

#[test]
fn answer_says_server_type_and_length() {
    let server = TestServer::start();
    let answer = server.exchange(format!("GET /version HTTP/1.1\r\n{CLOSE}").as_bytes());
    assert_eq!(
        answer,
        "HTTP/1.1 200 OK\r\nServer: Bulkhead API\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: 31\r\n\r\n\
         {\"firecracker_version\":\"1.2.3\"}"
    );
}

#[test]
fn answer_without_content_is_204() {
    let server = TestServer::start();
    let answer = server
        .exchange(b"PUT /entropy HTTP/1.1\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
    assert_eq!(
        answer,
        "HTTP/1.1 204 No Content\r\nServer: Bulkhead API\r\nConnection: close\r\n\r\n"
    );
}

#[test]
fn connection_goes_on_after_an_answer_and_after_a_refusal() {
    let server = TestServer::start();
    let answers = server.exchange(
        b"GET /version HTTP/1.1\r\n\r\nGET /nowhere HTTP/1.1\r\n\r\n\
          GET /version HTTP/1.1\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2);
    assert_eq!(answers.matches("HTTP/1.1 400 Bad Request").count(), 1);
}

#[test]
fn empty_lines_between_requests_are_no_request() {
    let server = TestServer::patient_for(Duration::from_millis(200));
    let mut stream = server.connect();
    stream.write_all(b"\r\nGET /version HTTP/1.1\r\n\r\n\r\n").unwrap();
    read_until(&mut stream, "}");
    // Longer than a request that has begun may take.
    stream.set_read_timeout(Some(Duration::from_millis(400))).unwrap();
    let nothing = stream.read(&mut [0]).unwrap_err();
    assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn answer_to_head_has_no_body() {
    let server = TestServer::start();
    let answer = server.exchange(format!("HEAD / HTTP/1.1\r\n{CLOSE}").as_bytes());
    let (status, body) = parts(&answer);
    assert_eq!((status, body), ("HTTP/1.1 400 Bad Request", ""));
}

#[test]
fn client_that_waits_for_100_gets_it() {
    let server = TestServer::start();
    let mut stream = server.connect();
    let head = "PUT /entropy HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n";
    stream.write_all(format!("{head}{CLOSE}").as_bytes()).unwrap();
    assert_eq!(read_until(&mut stream, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"{}").unwrap();
    assert!(read_all(stream).starts_with("HTTP/1.1 204 "));
}

#[test]
fn two_lengths_are_refused() {
    let server = TestServer::start();
    let answer = server
        .exchange(b"PUT /entropy HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}");
    assert_eq!(
        parts(&answer),
        ("HTTP/1.1 400 Bad Request", r#"{"fault_message":"Invalid Content-Length header."}"#)
    );
    assert!(server.recorder.requests().is_empty());
}

#[test]
fn negative_length_is_refused() {
    let server = TestServer::start();
    let answer = server.exchange(b"PUT /entropy HTTP/1.1\r\nContent-Length: -2\r\n\r\n{}");
    assert_eq!(parts(&answer).0, "HTTP/1.1 400 Bad Request");
}

#[test]
fn length_with_chunks_is_refused() {
    let server = TestServer::start();
    let answer = server.exchange(
        b"PUT /entropy HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n\
          2\r\n{}\r\n0\r\n\r\n",
    );
    assert_eq!(parts(&answer).0, "HTTP/1.1 400 Bad Request");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1);
    assert!(server.recorder.requests().is_empty());
}

#[test]
fn chunks_are_refused_with_411() {
    let server = TestServer::start();
    let answer = server.exchange(
        b"PUT /entropy HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    );
    assert_eq!(parts(&answer).0, "HTTP/1.1 411 Length Required");
}

#[test]
fn head_of_a_megabyte_is_refused() {
    let server = TestServer::start();
    let mut stream = server.connect();
    let head = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    // The server may close before all of it is written.
    let _ = stream.write_all(head.as_bytes());
    let answer = read_all(stream);
    assert_eq!(parts(&answer).0, "HTTP/1.1 400 Bad Request");
    assert!(answer.contains("larger than the limit of 16384 bytes"));
}

#[test]
fn body_beyond_the_limit_is_refused_and_one_at_the_limit_is_not() {
    let server = TestServer::start();
    let client = server.client();
    let document = |length: usize| format!("\"{}\"", "x".repeat(length - 2));
    let reply = client.send("PATCH", "/mmds", document(51201).as_bytes()).unwrap();
    assert_eq!(reply.status, 413);
    assert_eq!(
        String::from_utf8(reply.body).unwrap(),
        r#"{"fault_message":"Request payload with size 51201 is larger than the limit of 51200 allowed by server."}"#
    );
    let reply = client.send("PATCH", "/mmds", document(51200).as_bytes()).unwrap();
    assert_eq!(reply.status, 204);
}

#[test]
fn body_of_megabytes_is_refused_so_that_the_client_reads_why() {
    let server = TestServer::start();
    let body = vec![b'x'; 3 << 20];
    assert_eq!(server.client().send("PUT", "/mmds", &body).unwrap().status, 413);
}

#[test]
fn length_of_an_exabyte_takes_no_memory() {
    let server = TestServer::start();
    let answer =
        server.exchange(b"PUT /mmds HTTP/1.1\r\nContent-Length: 9999999999999999999\r\n\r\n");
    assert_eq!(parts(&answer).0, "HTTP/1.1 413 Payload Too Large");
}

#[test]
fn what_is_no_http_is_refused() {
    let server = TestServer::start();
    let answer = server.exchange(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n");
    assert_eq!(parts(&answer).0, "HTTP/1.1 400 Bad Request");
}

#[test]
fn client_that_goes_in_the_middle_of_a_request_harms_nobody() {
    let server = TestServer::start();
    for part in ["GE", "GET / HTTP/1.1\r\n", "PUT /mmds HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"] {
        server.connect().write_all(part.as_bytes()).unwrap();
    }
    assert_eq!(server.client().version().unwrap(), "1.2.3");
}

#[test]
fn client_that_is_too_slow_is_told_so_while_others_are_served() {
    let server = TestServer::patient_for(Duration::from_millis(300));
    let mut slow = server.connect();
    slow.write_all(b"PUT /mmds HTTP/1.1\r\nContent-Le").unwrap();
    assert_eq!(server.client().version().unwrap(), "1.2.3");
    let answer = read_all(slow);
    assert_eq!(parts(&answer).0, "HTTP/1.1 408 Request Timeout");
}

#[test]
fn slow_body_is_too_slow_as_well() {
    let server = TestServer::patient_for(Duration::from_millis(300));
    let answer = server.exchange(b"PUT /mmds HTTP/1.1\r\nContent-Length: 9\r\n\r\n{");
    assert_eq!(parts(&answer).0, "HTTP/1.1 408 Request Timeout");
}

#[test]
fn idle_client_is_let_go_without_a_word() {
    let limits = Limits { idle_time: Duration::from_millis(100), ..Limits::default() };
    let server = TestServer::with(ServerOptions { limits, ..ServerOptions::default() });
    assert_eq!(read_all(server.connect()), "");
    // Its time begins anew with each answer.
    let mut client = server.connect();
    client.write_all(b"GET /version HTTP/1.1\r\n\r\n").unwrap();
    read_until(&mut client, "}");
    let answered = Instant::now();
    assert_eq!(read_all(client), "");
    assert!(answered.elapsed() >= Duration::from_millis(90), "{:?}", answered.elapsed());
}

#[test]
fn one_client_too_many_is_told_so() {
    let server = TestServer::with(ServerOptions { connections: 1, ..ServerOptions::default() });
    let mut first = server.connect();
    first.write_all(b"GET /version HTTP/1.1\r\n\r\n").unwrap();
    read_until(&mut first, "}");
    let answer = read_all(server.connect());
    assert_eq!(parts(&answer).0, "HTTP/1.1 503 Service Unavailable");
    // The first still is served.
    first.write_all(format!("GET /version HTTP/1.1\r\n{CLOSE}").as_bytes()).unwrap();
    assert!(read_all(first).starts_with("HTTP/1.1 200 OK"));
}

#[test]
fn request_that_takes_long_holds_up_nobody() {
    let server = TestServer::start();
    let client = server.client();
    let resumed = std::thread::spawn(move || client.resume());
    assert_eq!(server.client().version().unwrap(), "1.2.3");
    server.recorder.resume.notify_one();
    resumed.join().unwrap().unwrap();
}

#[test]
fn server_that_is_stopped_ends_with_idle_clients() {
    let server = TestServer::start();
    let mut idle = server.connect();
    idle.write_all(b"GET /version HTTP/1.1\r\n\r\n").unwrap();
    read_until(&mut idle, "}");
    drop(server);
    assert_eq!(read_all(idle), "");
}
