//! Outputs that begin in frames.

use agent_protocol::INLINE_FRAMES;
use agent_protocol::message::{self, Follows, Stdio};

use super::*;

/// A command with output and errors, as the host asks for it.
fn exec() -> Exec {
    Exec { stdout: Stdio::Stream.into(), stderr: Stdio::Stream.into(), ..Exec::default() }
}

/// A guest that has started the command of the next request.
async fn started(stream: &mut UnixStream) -> u64 {
    let request = next(stream).await;
    assert!(matches!(request.request, Some(Request::Exec(exec)) if exec.inline_output > 0));
    reply(stream, request.id, Reply::Started(Started { session: 9, pid: 100 })).await;
    request.id
}

async fn output(stream: &mut UnixStream, id: u64, of: Stream, data: &str, follows: Follows) {
    let (of, data) = (of.into(), data.as_bytes().to_vec());
    let output = message::Output { stream: of, data, follows: follows.into() };
    reply(stream, id, Reply::Output(output)).await;
}

async fn exited(stream: &mut UnixStream, id: u64) {
    let exited = Exited { session: 9, code: 3, ..Exited::default() };
    reply(stream, id, Reply::Exited(exited)).await;
}

async fn read(output: Option<Output>) -> std::io::Result<String> {
    let mut text = String::new();
    output.unwrap().read_to_string(&mut text).await?;
    Ok(text)
}

#[tokio::test]
async fn short_outputs_come_in_frames() {
    let guest = Guest::new();
    let (agent, mut stream) = guest.greeted().await;
    let serving = async {
        let id = started(&mut stream).await;
        output(&mut stream, id, Stream::Stdout, "hel", Follows::Output).await;
        output(&mut stream, id, Stream::Stderr, "oh", Follows::End).await;
        output(&mut stream, id, Stream::Stdout, "lo", Follows::Output).await;
        output(&mut stream, id, Stream::Stdout, "", Follows::End).await;
        exited(&mut stream, id).await;
    };
    let running = async {
        let mut command = agent.exec(exec()).await.unwrap();
        let stdout = command.streams.stdout.take();
        let stderr = command.streams.stderr.take();
        assert_eq!(command.wait().await.unwrap(), ExitStatus::Code(3));
        assert_eq!(read(stdout).await.unwrap(), "hello");
        assert_eq!(read(stderr).await.unwrap(), "oh");
    };
    tokio::join!(serving, running);
}

#[tokio::test]
async fn what_a_command_left_behind_writes_comes_after_its_exit() {
    let guest = Guest::new();
    let (agent, mut stream) = guest.greeted().await;
    let serving = async {
        let id = started(&mut stream).await;
        exited(&mut stream, id).await;
        id
    };
    let (command, id) = tokio::join!(agent.exec(exec()), serving);
    let mut command = command.unwrap();
    let stdout = command.streams.stdout.take();
    assert_eq!(command.wait().await.unwrap(), ExitStatus::Code(3));
    output(&mut stream, id, Stream::Stdout, "late", Follows::End).await;
    assert_eq!(read(stdout).await.unwrap(), "late");
}

#[tokio::test]
async fn rest_of_a_long_output_comes_over_a_connection() {
    let guest = Guest::new();
    let (agent, mut stream) = guest.greeted().await;
    let serving = async {
        let id = started(&mut stream).await;
        output(&mut stream, id, Stream::Stderr, "", Follows::End).await;
        output(&mut stream, id, Stream::Stdout, "first, ", Follows::Connection).await;
        let mut rest = guest.accept().await;
        let attach = next(&rest).await.request;
        assert!(matches!(attach, Some(Request::Attach(a)) if a.session == 9
            && a.stream() == Stream::Stdout));
        rest.write_all(b"second").await.unwrap();
    };
    let running = async {
        let mut command = agent.exec(exec()).await.unwrap();
        assert_eq!(read(command.streams.stdout.take()).await.unwrap(), "first, second");
    };
    tokio::join!(serving, running);
}

#[tokio::test]
async fn output_that_nobody_reads_any_more_is_closed() {
    let guest = Guest::new();
    let (agent, mut stream) = guest.greeted().await;
    let (command, id) = tokio::join!(agent.exec(exec()), started(&mut stream));
    let mut command = command.unwrap();
    output(&mut stream, id, Stream::Stdout, "first", Follows::Connection).await;
    output(&mut stream, id, Stream::Stderr, "", Follows::End).await;
    assert_eq!(read(command.streams.stderr.take()).await.unwrap(), "");
    drop(command);
    // Of the errors nothing is to be said.
    let close = next(&stream).await.request;
    assert!(matches!(close, Some(Request::CloseOutput(c)) if c.session == 9
        && c.stream() == Stream::Stdout));
}

#[tokio::test]
async fn agent_that_floods_with_output_is_cut_off() {
    let guest = Guest::new();
    let (agent, mut stream) = guest.greeted().await;
    let (command, id) = tokio::join!(agent.exec(exec()), started(&mut stream));
    let stdout = command.unwrap().streams.stdout.take();
    for _ in 0..=INLINE_FRAMES {
        output(&mut stream, id, Stream::Stdout, "x", Follows::Output).await;
    }
    // It has all arrived once this is answered.
    let metrics = async {
        let request = next(&stream).await;
        reply(&mut stream, request.id, super::metrics(1)).await;
    };
    let (answer, ()) = tokio::join!(agent.request(Request::Metrics(GetMetrics {})), metrics);
    answer.unwrap();
    let mut kept = vec![0; INLINE_FRAMES];
    let mut stdout = stdout.unwrap();
    stdout.read_exact(&mut kept).await.unwrap();
    assert_eq!(stdout.read(&mut kept).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}
