//! Bytes between a client, which may take its time, and a guest, which may not.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::{ContainerError, TRANSFER};

/// A guest that is to give or take something and moves no byte for so long is given up.
const SILENCE: Duration = Duration::from_secs(30);

/// Bytes at a time.
const CHUNK: usize = 64 << 10;

/// Carries all that a guest gives.
pub(super) async fn from_guest(
    container: &str,
    mut guest: impl AsyncRead + Unpin,
    mut client: impl AsyncWrite + Unpin,
) -> Result<(), ContainerError> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = in_time(container, guest.read(&mut buffer)).await?;
        let Some(chunk) = buffer.get(..read).filter(|chunk| !chunk.is_empty()) else {
            return Ok(());
        };
        client.write_all(chunk).await.map_err(ContainerError::io(TRANSFER))?;
    }
}

/// Carries all that a client gives, and then the end of it.
pub(super) async fn to_guest(
    container: &str,
    mut client: impl AsyncRead + Unpin,
    mut guest: impl AsyncWrite + Unpin,
) -> Result<(), ContainerError> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = client.read(&mut buffer).await.map_err(ContainerError::io(TRANSFER))?;
        let mut rest = buffer.get(..read).unwrap_or_default();
        if rest.is_empty() {
            return in_time(container, guest.shutdown()).await;
        }
        while !rest.is_empty() {
            let taken = in_time(container, guest.write(rest)).await?;
            if taken == 0 {
                return Err(ContainerError::io(TRANSFER)(io::ErrorKind::WriteZero.into()));
            }
            rest = rest.get(taken..).unwrap_or_default();
        }
    }
}

/// What comes of one step of the guest of `container`.
pub(in crate::container) async fn in_time<T>(
    container: &str,
    step: impl Future<Output = io::Result<T>>,
) -> Result<T, ContainerError> {
    match timeout(SILENCE, step).await {
        Ok(done) => done.map_err(ContainerError::io(TRANSFER)),
        Err(_) => Err(ContainerError::Silent { container: container.to_owned(), limit: SILENCE }),
    }
}
