//! The streams of a container's first process.

use std::io::{Read, Write};

use agent_protocol::{
    client::Client,
    message::{CloseInput, Request, Stdio, Stream},
};

use super::fixture::{Guest, container, possible, process, read, terminal};
use crate::harness::read_line;

#[test]
fn output_that_nobody_fetched_stays_when_the_container_has_ended() {
    if !possible() {
        return;
    }
    let guest = Guest::new();
    guest.create(container("echo left behind")).unwrap();
    let session = guest.start(&[]).unwrap().handle().session();
    guest.wait();
    let output = guest.agent.client.attach(session, Stream::Stdout).unwrap();
    assert_eq!(read(output), "left behind\n");
}

#[test]
fn streams_outlive_the_connections_that_carry_them() {
    if !possible() {
        return;
    }
    let guest = Guest::new();
    let mut create = container("while read line; do echo \"got $line\"; done; echo end");
    process(&mut create).stdin = Stdio::Stream.into();
    guest.create(create).unwrap();
    let streams = [Stream::Stdin, Stream::Stdout];
    let mut first = guest.start(&streams).unwrap();
    let session = first.handle().session();
    first.stdin.as_mut().unwrap().write_all(b"one\n").unwrap();
    assert_eq!(read_line(first.stdout.as_mut().unwrap()), "got one\n");
    drop(first);
    // Another client altogether, as after a restart of the engine.
    let client = Client::connect(&guest.agent.connector).unwrap();
    let (mut stdin, mut stdout) = loop {
        // Until the agent has seen the end of the first connections, it refuses others.
        let mut stdin = client.attach(session, Stream::Stdin).unwrap();
        let stdout = client.attach(session, Stream::Stdout).unwrap();
        if stdin.write_all(b"two\n").is_ok() {
            break (stdin, stdout);
        }
    };
    assert_eq!(read_line(&mut stdout), "got two\n");
    stdin.write_all(b"three\n").unwrap();
    drop(stdin);
    client.request(Request::CloseInput(CloseInput { session })).unwrap();
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "got three\nend\n");
}

#[test]
fn a_terminal_is_the_containers_console_and_can_be_attached_again() {
    if !possible() {
        return;
    }
    let guest = Guest::new();
    let script = "tty; stty size; echo here > /dev/console; read line; echo \"again $line\"";
    let mut create = container(script);
    process(&mut create).terminal = terminal(30, 90);
    guest.create(create).unwrap();
    let mut session = guest.start(&[Stream::Terminal]).unwrap();
    let number = session.handle().session();
    let stream = session.terminal.as_mut().unwrap();
    assert_eq!(read_line(stream), "/dev/pts/0\r\n");
    assert_eq!(read_line(stream), "30 90\r\n");
    assert_eq!(read_line(stream), "here\r\n");
    drop(session);
    let mut output = String::new();
    while output.is_empty() {
        // Until the agent has seen the end of the first connection, it closes others at once.
        let mut stream = guest.agent.client.attach(number, Stream::Terminal).unwrap();
        let _ = stream.write_all(b"word\n");
        let _ = stream.read_to_string(&mut output);
    }
    assert_eq!(output, "word\r\nagain word\r\n");
    assert_eq!(guest.wait().code, 0);
}

#[test]
fn much_output_is_complete() {
    if !possible() {
        return;
    }
    let guest = Guest::new();
    let output = guest.sh("seq 1 200000");
    assert_eq!(output.lines().count(), 200_000);
    assert!(output.ends_with("\n200000\n"));
}
