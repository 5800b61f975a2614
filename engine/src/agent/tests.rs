//! The client against agents, honest ones and others, behind a socket like a monitor's.

use std::io::ErrorKind;

use agent_protocol::frame::{Next, ReadFrameError};
use agent_protocol::message::{
    Done, Exited, FromAgent, GetMetrics, ListContainers, Metrics, Versions,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::*;

mod inline;

const LIMIT: Duration = Duration::from_secs(5);

/// A monitor's socket, behind which a test plays the guest.
struct Guest {
    folder: tempfile::TempDir,
    behind: Played,
}

/// A guest that a test plays.
pub(crate) struct Played {
    listener: UnixListener,
}

impl Guest {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let behind = Played::at(&folder.path().join("v.sock"));
        Self { folder, behind }
    }

    async fn accept(&self) -> UnixStream {
        self.behind.accept().await
    }

    /// A client and the guest's end of its control connection.
    async fn greeted(&self) -> (Agent, UnixStream) {
        self.greeted_by(version::OURS).await
    }

    /// The same with an agent that speaks these versions.
    async fn greeted_by(&self, versions: Versions) -> (Agent, UnixStream) {
        let path = self.folder.path().join("v.sock");
        let greeting = self.behind.greet_by(versions);
        let (agent, stream) = tokio::join!(Agent::connect(&path, LIMIT), greeting);
        (agent.unwrap(), stream)
    }
}

impl Played {
    /// Behind a monitor's socket.
    pub(crate) fn at(path: &Path) -> Self {
        Self { listener: UnixListener::bind(path).unwrap() }
    }

    /// Accepts a connection to the agent's port.
    pub(crate) async fn accept(&self) -> UnixStream {
        let (mut stream, _) = self.listener.accept().await.unwrap();
        let mut request = [0; 13];
        stream.read_exact(&mut request).await.unwrap();
        assert_eq!(&request, b"CONNECT 1024\n");
        stream.write_all(b"OK 5000\n").await.unwrap();
        stream
    }

    /// Greets a client: the guest's end of the control connection.
    pub(crate) async fn greet(&self) -> UnixStream {
        self.greet_by(version::OURS).await
    }

    /// The same with an agent that speaks these versions.
    async fn greet_by(&self, versions: Versions) -> UnixStream {
        let mut stream = self.accept().await;
        assert!(matches!(next(&stream).await.request, Some(Request::Open(_))));
        let hello = Hello { versions: Some(versions), ..Hello::default() };
        reply(&mut stream, 0, Reply::Hello(hello)).await;
        stream
    }
}

/// The next message from the host.
pub(crate) async fn next(stream: &UnixStream) -> ToAgent {
    let mut decoder = frame::Decoder::default();
    loop {
        stream.readable().await.unwrap();
        let mut blocking = Blocking(stream);
        match decoder.read(&mut blocking).unwrap() {
            Next::Message(message) => return message,
            Next::Pending => {}
            Next::End => panic!("the host has closed the connection"),
        }
    }
}

struct Blocking<'a>(&'a UnixStream);

impl std::io::Read for Blocking<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.try_read(buffer)
    }
}

pub(crate) async fn reply(stream: &mut UnixStream, id: u64, reply: Reply) {
    let mut bytes = Vec::new();
    frame::encode(&FromAgent { id, reply: Some(reply) }, &mut bytes).unwrap();
    stream.write_all(&bytes).await.unwrap();
}

fn metrics(tasks: u64) -> Reply {
    Reply::Metrics(Metrics { tasks, ..Metrics::default() })
}

#[tokio::test]
async fn replies_in_another_order_reach_whom_they_answer() {
    let guest = Guest::new();
    let (agent, mut stream) = guest.greeted().await;
    let answering = async {
        let (first, second) = (next(&stream).await, next(&stream).await);
        reply(&mut stream, second.id, Reply::Done(Done {})).await;
        reply(&mut stream, 77, Reply::Done(Done {})).await;
        reply(&mut stream, first.id, metrics(3)).await;
    };
    let ask = agent.request(Request::Metrics(GetMetrics {}));
    let act = agent.act(Request::ListContainers(ListContainers {}));
    let (answer, done, ()) = tokio::join!(ask, act, answering);
    assert!(matches!(answer.unwrap(), Reply::Metrics(metrics) if metrics.tasks == 3));
    done.unwrap();
}

#[tokio::test]
async fn command_of_an_older_agent_has_connections_and_its_exit() {
    let guest = Guest::new();
    let versions = Versions { oldest: 1, newest: 1 };
    let (agent, mut stream) = guest.greeted_by(versions).await;
    let serving = async {
        let (output, request) = tokio::join!(guest.accept(), next(&stream));
        let started = Started { session: 9, pid: 100 };
        reply(&mut stream, request.id, Reply::Started(started)).await;
        let attach = next(&output).await.request;
        assert!(matches!(attach, Some(Request::Attach(a)) if a.session == 9
            && a.stream() == Stream::Stdout));
        let mut output = output;
        output.write_all(b"hello").await.unwrap();
        let exited = Exited { session: 9, code: 3, ..Exited::default() };
        reply(&mut stream, request.id, Reply::Exited(exited)).await;
    };
    let running = async {
        let exec = Exec { stdout: 1, ..Exec::default() };
        let mut command = agent.exec(exec).await.unwrap();
        let mut said = String::new();
        let mut stdout = command.streams.stdout.take().unwrap();
        stdout.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "hello");
        assert_eq!(command.wait().await.unwrap(), ExitStatus::Code(3));
    };
    tokio::join!(serving, running);
}

#[tokio::test]
async fn frame_of_4_gib_ends_the_connection_and_all_requests() {
    let guest = Guest::new();
    let (agent, mut stream) = guest.greeted().await;
    let asking = agent.wait_container("a");
    let breaking = async {
        next(&stream).await;
        stream.write_all(&[0xff; 64]).await.unwrap();
    };
    let (answer, ()) = tokio::join!(asking, breaking);
    assert!(matches!(answer, Err(AgentError::Lost)));
    agent.lost().await;
    let later = agent.act(Request::Metrics(GetMetrics {})).await;
    assert!(matches!(later, Err(AgentError::Lost)));
}

#[tokio::test]
async fn agent_of_another_age_is_refused() {
    let guest = Guest::new();
    let serving = async {
        let mut stream = guest.accept().await;
        let versions = Some(Versions { oldest: 7, newest: 9 });
        reply(&mut stream, 0, Reply::Hello(Hello { versions, ..Hello::default() })).await;
        stream
    };
    let path = guest.folder.path().join("v.sock");
    let (agent, _stream) = tokio::join!(Agent::connect(&path, LIMIT), serving);
    assert!(matches!(agent, Err(GreetError::Version(_))));
}

#[tokio::test]
async fn agent_that_greets_with_too_much_is_refused() {
    let guest = Guest::new();
    let serving = async {
        let mut stream = guest.accept().await;
        stream.write_all(&[0xff; 64]).await.unwrap();
        stream
    };
    let path = guest.folder.path().join("v.sock");
    let (agent, _stream) = tokio::join!(Agent::connect(&path, LIMIT), serving);
    assert!(matches!(agent, Err(GreetError::Read(ReadFrameError::TooLong(_)))));
}

#[tokio::test]
async fn agent_that_says_nothing_is_given_up() {
    let guest = Guest::new();
    let path = guest.folder.path().join("v.sock");
    let limit = Duration::from_millis(50);
    let (agent, _stream) = tokio::join!(Agent::connect(&path, limit), guest.accept());
    assert!(matches!(agent, Err(GreetError::TimedOut(_))));
}

#[tokio::test]
async fn agent_that_starts_a_command_over_and_over_is_cut_off() {
    let guest = Guest::new();
    let (agent, mut stream) = guest.greeted().await;
    let flooding = async {
        let request = next(&stream).await;
        for session in 0..1000 {
            let started = Started { session, pid: 1 };
            reply(&mut stream, request.id, Reply::Started(started)).await;
        }
        stream
    };
    let (command, _stream) = tokio::join!(agent.exec(Exec::default()), flooding);
    assert!(command.unwrap().wait().await.is_err());
}

#[tokio::test]
async fn requests_that_nobody_waits_for_leave_nothing_behind() {
    let guest = Guest::new();
    let (agent, stream) = guest.greeted().await;
    for _ in 0..5000 {
        let asked = timeout(Duration::ZERO, agent.wait_container("a"));
        assert!(asked.await.is_err());
        next(&stream).await;
    }
}

#[tokio::test]
async fn agent_that_does_not_read_makes_requests_wait_and_the_client_can_go() {
    let guest = Guest::new();
    let (agent, mut stream) = guest.greeted().await;
    let big = Exec { argv: vec![vec![b'x'; 900_000]], ..Exec::default() };
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (agent, big) = (agent.clone(), big.clone());
        waiting.spawn(async move { agent.request(Request::Exec(big)).await });
    }
    tokio::task::yield_now().await;
    waiting.abort_all();
    while waiting.join_next().await.is_some() {}
    drop(agent);
    // The connection's end: whole frames, then nothing.
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest).await {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}
