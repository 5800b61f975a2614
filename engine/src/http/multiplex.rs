//! The framing of output without a terminal: which stream, how much, and then the bytes.
//!
//! ```text
//!   0        1..4     4..8                 8..
//! ┌────────┬────────┬────────────────────┬───────────┐
//! │ stream │ 0 0 0  │ length, big endian │ bytes     │
//! └────────┴────────┴────────────────────┴───────────┘
//! ```

use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// Bytes of a frame's head.
pub const HEAD: usize = 8;

/// Where bytes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Output {
    /// Standard output.
    Stdout = 1,
    /// Standard error.
    Stderr = 2,
    /// What the engine itself has to say after the head was answered.
    System = 3,
}

/// How output goes to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// As it is: a terminal has only one stream.
    Raw,
    /// In frames.
    Multiplexed,
}

/// The head of a frame with `length` bytes.
#[must_use]
pub fn head(output: Output, length: u32) -> [u8; HEAD] {
    let [a, b, c, d] = length.to_be_bytes();
    [output as u8, 0, 0, 0, a, b, c, d]
}

/// `bytes` as one frame, for bodies that are put together before they are sent. Raw ones are only
/// copied.
#[must_use]
pub fn frame(framing: Framing, output: Output, bytes: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(HEAD + bytes.len());
    if framing == Framing::Multiplexed {
        frame.put_slice(&head(output, u32::try_from(bytes.len()).unwrap_or(u32::MAX)));
    }
    frame.put_slice(bytes);
    frame.freeze()
}

/// Writes output to a client's connection in its framing. What it is given is passed on at once:
/// it has no buffer of its own.
#[derive(Debug)]
pub struct Multiplexer<W> {
    framing: Framing,
    writer: W,
}

impl<W: AsyncWrite + Unpin> Multiplexer<W> {
    /// Over `writer`.
    pub fn new(framing: Framing, writer: W) -> Self {
        Self { framing, writer }
    }

    /// Writes all of `bytes`; waits as long as the client does not read.
    ///
    /// # Errors
    ///
    /// The connection's.
    pub async fn write(&mut self, output: Output, bytes: &[u8]) -> io::Result<()> {
        if self.framing == Framing::Raw {
            self.writer.write_all(bytes).await?;
            return self.writer.flush().await;
        }
        for chunk in bytes.chunks(u32::MAX as usize) {
            let length = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
            self.write_frame(&head(output, length), chunk).await?;
        }
        self.writer.flush().await
    }

    async fn write_frame(&mut self, head: &[u8], bytes: &[u8]) -> io::Result<()> {
        let parts = [io::IoSlice::new(head), io::IoSlice::new(bytes)];
        let written = self.writer.write_vectored(&parts).await?;
        let head = head.get(written..).unwrap_or_default();
        self.writer.write_all(head).await?;
        let begun = written.saturating_sub(HEAD);
        self.writer.write_all(bytes.get(begun..).unwrap_or_default()).await
    }

    /// The writer again.
    pub fn into_inner(self) -> W {
        self.writer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_has_stream_and_length() {
        let frame = frame(Framing::Multiplexed, Output::Stderr, b"oops");
        assert_eq!(&frame[..], b"\x02\0\0\0\0\0\0\x04oops");
    }

    #[test]
    fn raw_frame_is_the_bytes() {
        assert_eq!(&frame(Framing::Raw, Output::Stdout, b"x")[..], b"x");
    }

    #[tokio::test]
    async fn frames_arrive_whole_through_a_narrow_pipe() {
        let (near, mut far) = tokio::io::duplex(3);
        let writing = tokio::spawn(async move {
            let mut multiplexer = Multiplexer::new(Framing::Multiplexed, near);
            multiplexer.write(Output::Stdout, b"hello").await.unwrap();
            multiplexer.write(Output::Stderr, b"").await.unwrap();
            multiplexer.write(Output::Stderr, b"!").await.unwrap();
        });
        let mut got = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut far, &mut got).await.unwrap();
        writing.await.unwrap();
        assert_eq!(got, b"\x01\0\0\0\0\0\0\x05hello\x02\0\0\0\0\0\0\x01!");
    }
}
