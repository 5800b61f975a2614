//! Outputs that begin in frames of the control connection.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
};

use agent_protocol::{
    AGENT_PORT,
    frame::{self, Decoder, Next},
    message::{
        CloseOutput, Exec, Exited, Follows, FromAgent, Open, Output, Reply, Request, Started,
        Stdio, Stream, ToAgent,
    },
    version,
};

use crate::harness::{LIMIT, TestAgent, process_exists};

/// A control connection whose frames are seen.
struct Control {
    stream: UnixStream,
}

impl Control {
    fn open(agent: &TestAgent) -> Self {
        let stream = agent.connector.connect(AGENT_PORT).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let mut control = Self { stream };
        control.send(0, Request::Open(Open { versions: Some(version::OURS) }));
        assert!(matches!(control.next(), Reply::Hello(_)));
        control
    }

    fn send(&mut self, id: u64, request: Request) {
        let mut bytes = Vec::new();
        frame::encode(&ToAgent { id, request: Some(request) }, &mut bytes).unwrap();
        self.stream.write_all(&bytes).unwrap();
    }

    fn next(&mut self) -> Reply {
        match Decoder::default().read::<FromAgent>(&mut self.stream).unwrap() {
            Next::Message(message) => message.reply.unwrap(),
            other => panic!("no message: {other:?}"),
        }
    }

    /// Starts a script whose outputs have so many bytes in frames.
    fn start(&mut self, script: &str, inline_output: u32) -> Started {
        let argv = ["sh", "-c", script].map(|word| word.as_bytes().to_vec()).to_vec();
        let stream = Stdio::Stream.into();
        let exec = Exec { argv, stdout: stream, stderr: stream, inline_output, ..Exec::default() };
        self.send(1, Request::Exec(exec));
        match self.next() {
            Reply::Started(started) => started,
            other => panic!("not started: {other:?}"),
        }
    }

    /// All that comes of outputs until as many as this have ended and the command has.
    fn rest(&mut self, mut outputs: usize) -> ([Vec<u8>; 2], Exited) {
        let mut written = [Vec::new(), Vec::new()];
        let mut exited = None;
        loop {
            match self.next() {
                Reply::Output(output) => {
                    outputs -= usize::from(output.follows() != Follows::Output);
                    let errors = usize::from(output.stream() == Stream::Stderr);
                    written[errors].extend(output.data);
                }
                Reply::Exited(end) => exited = Some(end),
                other => panic!("unexpected: {other:?}"),
            }
            if let (0, Some(exited)) = (outputs, exited) {
                return (written, exited);
            }
        }
    }

    fn output(&mut self) -> Output {
        match self.next() {
            Reply::Output(output) => output,
            other => panic!("no output: {other:?}"),
        }
    }
}

#[test]
fn a_short_command_needs_no_connection_but_the_control() {
    let agent = TestAgent::start();
    let mut control = Control::open(&agent);
    let before = agent.descriptors();
    control.start("echo out; echo err >&2; exit 3", 4096);
    let (written, exited) = control.rest(2);
    assert_eq!(written, [b"out\n".to_vec(), b"err\n".to_vec()]);
    assert_eq!(exited.code, 3);
    agent.eventually(|| agent.descriptors() == before);
}

#[test]
fn the_rest_of_a_long_output_comes_over_a_connection() {
    let agent = TestAgent::start();
    let mut control = Control::open(&agent);
    let session = control.start("exec 2>&-; seq 100000", 1000).session;
    // Errors end at once, in any order with the beginning of the output.
    let mut beginning = Vec::new();
    for output in [control.output(), control.output()] {
        beginning.extend(output.data.iter());
        let stdout = output.stream() == Stream::Stdout;
        let expected = if stdout { Follows::Connection } else { Follows::End };
        assert_eq!(output.follows(), expected);
    }
    assert_eq!(beginning.len(), 1000);
    let mut stream = agent.client.attach(session, Stream::Stdout).unwrap();
    stream.read_to_end(&mut beginning).unwrap();
    let expected: String = (1..=100_000).map(|number| format!("{number}\n")).collect();
    assert!(beginning == expected.as_bytes());
    assert!(matches!(control.next(), Reply::Exited(exited) if exited.code == 0));
}

#[test]
fn output_is_kept_for_a_connection_after_the_command_has_ended() {
    let agent = TestAgent::start();
    let mut control = Control::open(&agent);
    let session = control.start("exec 2>&-; printf 123456", 4).session;
    let (written, _) = control.rest(2);
    assert_eq!(written[0], b"1234");
    let mut rest = Vec::new();
    agent.client.attach(session, Stream::Stdout).unwrap().read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"56");
}

#[test]
fn an_output_that_nobody_wants_is_a_broken_pipe() {
    let agent = TestAgent::start();
    for inline_output in [1, 4096] {
        let mut control = Control::open(&agent);
        let session = control.start("exec 2>&-; exec yes", inline_output).session;
        control.rest_of_frames();
        let stream = Stream::Stdout.into();
        control.send(2, Request::CloseOutput(CloseOutput { session, stream }));
        let mut ended = 0;
        for _ in 0..2 {
            match control.next() {
                Reply::Done(_) => {}
                Reply::Exited(exited) => ended = exited.signal,
                other => panic!("unexpected: {other:?}"),
            }
        }
        assert_eq!(ended, 13, "SIGPIPE");
    }
}

impl Control {
    /// Frames of both outputs, until there are no more.
    fn rest_of_frames(&mut self) {
        let mut open = 2;
        while open > 0 {
            open -= usize::from(self.output().follows() != Follows::Output);
        }
    }
}

#[test]
fn a_host_that_goes_leaves_no_descriptor_behind() {
    let agent = TestAgent::start();
    let before = agent.descriptors();
    let mut control = Control::open(&agent);
    let pid = control.start("echo ready; sleep 1000", 4096).pid;
    assert_eq!(control.output().data, b"ready\n");
    drop(control);
    agent.eventually(|| !process_exists(pid) && agent.descriptors() == before);
}
