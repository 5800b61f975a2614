//! Peers that break the rules.

use std::{
    io::{ErrorKind, Read, Write},
    os::unix::net::UnixStream,
};

use agent_protocol::{
    AGENT_PORT,
    client::Client,
    frame::{self, Decoder, Next},
    message::{
        Attach, FailureKind, FromAgent, GetMetrics, Open, Reply, Request, Stream, ToAgent, Versions,
    },
    version,
};

use crate::harness::{LIMIT, TestAgent};

fn connect(agent: &TestAgent) -> UnixStream {
    let stream = agent.connector.connect(AGENT_PORT).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

fn framed(id: u64, request: Request) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::encode(&ToAgent { id, request: Some(request) }, &mut bytes).unwrap();
    bytes
}

fn open() -> Request {
    Request::Open(Open { versions: Some(version::OURS) })
}

/// What the agent sends until it closes the connection.
fn rest(mut stream: UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => bytes,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => bytes,
        Err(error) => panic!("the agent did not close the connection: {error}"),
    }
}

fn still_serves(agent: &TestAgent) {
    assert_eq!(agent.sh("echo alive").stdout, b"alive\n");
}

#[test]
fn a_frame_of_4_gib_ends_the_connection_and_nothing_else() {
    let agent = TestAgent::start();
    let before = agent.peak_memory();
    let mut stream = connect(&agent);
    stream.write_all(&[0xff; 64]).unwrap();
    assert_eq!(rest(stream), b"");
    assert!(agent.peak_memory() < before + 1024);
    still_serves(&agent);
}

#[test]
fn garbage_ends_the_connection() {
    let agent = TestAgent::start();
    let mut stream = connect(&agent);
    stream.write_all(&framed(1, open())).unwrap();
    stream.write_all(&[4, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]).unwrap();
    assert!(!rest(stream).is_empty());
    still_serves(&agent);
}

#[test]
fn a_request_before_the_greeting_ends_the_connection() {
    let agent = TestAgent::start();
    let mut stream = connect(&agent);
    stream.write_all(&framed(1, Request::Metrics(GetMetrics {}))).unwrap();
    assert_eq!(rest(stream), b"");
}

#[test]
fn attaching_to_nothing_ends_the_connection() {
    let agent = TestAgent::start();
    let mut stream = connect(&agent);
    let attach = Attach { session: 999, stream: Stream::Stdout.into() };
    stream.write_all(&framed(0, Request::Attach(attach))).unwrap();
    assert_eq!(rest(stream), b"");
    still_serves(&agent);
}

#[test]
fn a_host_of_the_future_is_told_what_the_agent_speaks() {
    let agent = TestAgent::start();
    let mut stream = connect(&agent);
    let versions = Some(Versions { oldest: 1000, newest: 1001 });
    stream.write_all(&framed(5, Request::Open(Open { versions }))).unwrap();
    let Next::Message(FromAgent { id: 5, reply: Some(Reply::Failure(failure)) }) =
        Decoder::default().read(&mut stream).unwrap()
    else {
        panic!("no failure");
    };
    assert_eq!(failure.kind(), FailureKind::Unsupported);
    assert!(failure.message.contains("1000 to 1001"), "{}", failure.message);
}

#[test]
fn an_unknown_request_is_refused_and_the_connection_goes_on() {
    let agent = TestAgent::start();
    let mut stream = connect(&agent);
    stream.write_all(&framed(1, open())).unwrap();
    // Field 1 (id) = 9, then field 100, length-delimited, one byte.
    stream.write_all(&[6, 0, 0, 0, 0x08, 9, 0xa2, 0x06, 1, b'?']).unwrap();
    stream.write_all(&framed(10, Request::Metrics(GetMetrics {}))).unwrap();
    let mut decoder = Decoder::default();
    let kinds: Vec<_> = (0..3)
        .map(|_| match decoder.read::<FromAgent>(&mut stream).unwrap() {
            Next::Message(message) => (message.id, message.reply.unwrap()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(matches!(kinds[0], (1, Reply::Hello(_))));
    assert!(matches!(&kinds[1], (9, Reply::Failure(f)) if f.kind() == FailureKind::Unsupported));
    assert!(matches!(kinds[2], (10, Reply::Metrics(_))));
}

#[test]
fn a_host_that_never_reads_its_replies_costs_bounded_memory() {
    let agent = TestAgent::start();
    let before = agent.peak_memory();
    let mut stream = connect(&agent);
    stream.write_all(&framed(1, open())).unwrap();
    stream.set_nonblocking(true).unwrap();
    let requests = framed(2, Request::Metrics(GetMetrics {})).repeat(1000);
    let mut sent = 0;
    // Until nothing goes through any more, with the agent having had time for other things.
    let mut stuck = 0;
    while stuck < 50 {
        match stream.write(&requests[sent % requests.len()..]) {
            Ok(length) => (sent, stuck) = (sent + length, 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                agent.client.metrics().unwrap();
                stuck += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(agent.peak_memory() < before + 4096, "{} KiB", agent.peak_memory());
    still_serves(&agent);
}

#[test]
fn half_a_frame_holds_nobody_up() {
    let agent = TestAgent::start();
    let mut stream = connect(&agent);
    stream.write_all(&[200, 0, 0]).unwrap();
    still_serves(&agent);
    assert!(Client::connect(&agent.connector).is_ok());
}
