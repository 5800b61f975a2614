//! The client against agents that break the rules. The guest is not trusted.

#![allow(clippy::unwrap_used)]

use std::{
    io::{Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    thread::{self, JoinHandle},
    time::Duration,
};

use agent_protocol::{
    client::{CallError, Client, Connector, ExecSpec, GreetError},
    frame::{self, Decoder, Next, ReadFrameError},
    message::{
        Done, Exited, FromAgent, Hello, Metrics, Reply, Request, Started, Stdio, ToAgent, Versions,
    },
    version,
};

const LIMIT: Duration = Duration::from_millis(300);

/// A monitor whose guest's agent does `behave` with the first connection. The folder holds the
/// socket.
fn agent(
    behave: impl FnOnce(UnixStream) + Send + 'static,
) -> (tempfile::TempDir, Connector, JoinHandle<()>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut byte = [0];
        while stream.read(&mut byte).unwrap() == 1 && byte != *b"\n" {}
        stream.write_all(b"OK 1\n").unwrap();
        behave(stream);
    });
    (folder, Connector::new(path).with_timeout(LIMIT), thread)
}

fn next(stream: &mut UnixStream) -> ToAgent {
    match Decoder::default().read(stream).unwrap() {
        Next::Message(message) => message,
        other => panic!("{other:?}"),
    }
}

fn send(stream: &mut UnixStream, id: u64, reply: Reply) {
    let mut bytes = Vec::new();
    frame::encode(&FromAgent { id, reply: Some(reply) }, &mut bytes).unwrap();
    stream.write_all(&bytes).unwrap();
}

/// Greets as an honest agent does and returns the first request.
fn greet(stream: &mut UnixStream) -> ToAgent {
    assert!(matches!(next(stream).request, Some(Request::Open(_))));
    let hello = Hello { versions: Some(version::OURS), ..Hello::default() };
    send(stream, 0, Reply::Hello(hello));
    next(stream)
}

#[test]
fn a_greeting_of_4_gib_is_refused() {
    let (_folder, connector, thread) = agent(|mut stream| {
        stream.write_all(&[0xff; 64]).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let error = Client::connect(&connector).unwrap_err();
    assert!(matches!(error, GreetError::Read(ReadFrameError::TooLong(_))), "{error:?}");
    thread.join().unwrap();
}

#[test]
fn an_agent_that_says_nothing_is_given_up() {
    let (_folder, connector, thread) = agent(|mut stream| {
        // Until the client goes.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let error = Client::connect(&connector).unwrap_err();
    assert!(matches!(error, GreetError::TimedOut(LIMIT)), "{error:?}");
    thread.join().unwrap();
}

#[test]
fn an_agent_of_another_age_is_refused() {
    let (_folder, connector, thread) = agent(|mut stream| {
        let versions = Some(Versions { oldest: 7, newest: 9 });
        send(&mut stream, 0, Reply::Hello(Hello { versions, ..Hello::default() }));
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let error = Client::connect(&connector).unwrap_err();
    assert!(matches!(error, GreetError::Version(_)), "{error:?}");
    thread.join().unwrap();
}

#[test]
fn an_oversized_reply_fails_the_request_and_the_client() {
    let (_folder, connector, thread) = agent(|mut stream| {
        greet(&mut stream);
        stream.write_all(&[0xff; 64]).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let client = Client::connect(&connector).unwrap();
    assert!(matches!(client.metrics(), Err(CallError::Lost)));
    assert!(matches!(client.metrics(), Err(CallError::Lost)));
    client.wait_lost();
    thread.join().unwrap();
}

#[test]
fn a_reply_of_the_wrong_kind_is_an_error() {
    let (_folder, connector, thread) = agent(|mut stream| {
        let request = greet(&mut stream);
        send(&mut stream, request.id, Reply::Done(Done {}));
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let client = Client::connect(&connector).unwrap();
    assert!(matches!(client.metrics(), Err(CallError::Unexpected)));
    drop(client);
    thread.join().unwrap();
}

#[test]
fn replies_to_nobody_are_dropped() {
    let (_folder, connector, thread) = agent(|mut stream| {
        let request = greet(&mut stream);
        send(&mut stream, 77, Reply::Done(Done {}));
        send(&mut stream, request.id + 1, Reply::Exited(Exited::default()));
        send(&mut stream, request.id, Reply::Metrics(Metrics { tasks: 3, ..Metrics::default() }));
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let client = Client::connect(&connector).unwrap();
    assert_eq!(client.metrics().unwrap().tasks, 3);
    drop(client);
    thread.join().unwrap();
}

#[test]
fn a_command_that_starts_over_and_over_is_cut_off() {
    let (_folder, connector, thread) = agent(|mut stream| {
        let request = greet(&mut stream);
        let mut bytes = Vec::new();
        for session in 0..10_000 {
            let reply = Some(Reply::Started(Started { session, pid: 1 }));
            frame::encode(&FromAgent { id: request.id, reply }, &mut bytes).unwrap();
        }
        // The client may go before it has all.
        let _ = stream.write_all(&bytes);
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let client = Client::connect(&connector).unwrap();
    let spec = ExecSpec::new("x").stdout(Stdio::Null).stderr(Stdio::Null);
    let mut session = client.exec(&spec).unwrap();
    assert!(session.wait().is_err());
    drop(client);
    thread.join().unwrap();
}
