//! Bytes between a command and a client.

use api::detach_keys::Watcher;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::http::multiplex::{Multiplexer, Output};

/// Bytes carried at once.
const CHUNK: usize = 32 * 1024;

/// Carries input until one side ends, or keys come that `watcher` looks for. Gives the sink back,
/// and tells whether it was the keys.
pub(super) async fn feed<S: AsyncWrite + Unpin>(
    mut input: impl AsyncRead + Unpin,
    mut sink: S,
    mut watcher: Option<Watcher>,
) -> (S, bool) {
    let mut buffer = vec![0; CHUNK];
    while let Ok(length @ 1..) = input.read(&mut buffer).await {
        let chunk = buffer.get(..length).unwrap_or_default();
        let watched = watcher.as_mut().map(|watcher| watcher.feed(chunk));
        let (chunk, left) =
            watched.as_ref().map_or((chunk, false), |(typed, left)| (typed.as_slice(), *left));
        if sink.write_all(chunk).await.is_err() {
            break;
        }
        if left {
            return (sink, true);
        }
    }
    (sink, false)
}

/// Carries one stream. A client that has gone does not hold the command up.
pub(super) async fn copy_out<W: AsyncWrite + Unpin>(
    output: Output,
    stream: &mut (impl AsyncRead + Unpin),
    client: &mut Multiplexer<W>,
) {
    let mut buffer = vec![0; CHUNK];
    let mut listens = true;
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        if listens {
            let chunk = buffer.get(..length).unwrap_or_default();
            listens = client.write(output, chunk).await.is_ok();
        }
    }
}

/// Carries both streams as they come.
pub(super) async fn copy_both<W: AsyncWrite + Unpin>(
    mut stdout: Option<impl AsyncRead + Unpin>,
    mut stderr: Option<impl AsyncRead + Unpin>,
    client: &mut Multiplexer<W>,
) {
    let (mut one, mut other) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut listens = true;
    while stdout.is_some() || stderr.is_some() {
        let (output, read, buffer) = tokio::select! {
            read = read_some(&mut stdout, &mut one) => (Output::Stdout, read, &one),
            read = read_some(&mut stderr, &mut other) => (Output::Stderr, read, &other),
        };
        match (read, output) {
            (Ok(length @ 1..), _) => {
                let chunk = buffer.get(..length).unwrap_or_default();
                listens = listens && client.write(output, chunk).await.is_ok();
            }
            (_, Output::Stdout) => stdout = None,
            _ => stderr = None,
        }
    }
}

/// Reads from a stream that is there; one that is not never has anything.
async fn read_some(
    stream: &mut Option<impl AsyncRead + Unpin>,
    buffer: &mut [u8],
) -> std::io::Result<usize> {
    match stream {
        Some(stream) => stream.read(buffer).await,
        None => std::future::pending().await,
    }
}
