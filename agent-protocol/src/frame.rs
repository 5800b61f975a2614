//! Frames on a control connection: a little-endian `u32` length, then a protobuf message.

use std::io::{self, ErrorKind, Read};

use prost::Message;

/// The longest message that either side accepts, in bytes.
pub const MAX_FRAME: usize = 1 << 20;

/// The length that precedes each message.
const HEADER: usize = size_of::<u32>();

/// The most that is read at once, so that a claimed length costs memory only as bytes arrive.
const CHUNK: usize = 64 << 10;

/// A message is longer than [`MAX_FRAME`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("message of {length} bytes exceeds the limit of {MAX_FRAME}")]
pub struct FrameTooLong {
    /// The message's length.
    pub length: usize,
}

/// A frame could not be read. The connection is of no use afterwards.
#[derive(Debug, thiserror::Error)]
pub enum ReadFrameError {
    /// The peer claims more than [`MAX_FRAME`].
    #[error("peer sent an oversized frame")]
    TooLong(#[source] FrameTooLong),
    /// The bytes are no message of the expected type.
    #[error("peer sent a malformed frame")]
    Malformed(#[source] prost::DecodeError),
    /// The connection ended in the middle of a frame.
    #[error("connection ended inside a frame")]
    Truncated,
    /// Reading failed.
    #[error("connection failed")]
    Io(#[source] io::Error),
}

/// Appends `message` as one frame to `out`.
pub fn encode(message: &impl Message, out: &mut Vec<u8>) -> Result<(), FrameTooLong> {
    let length = message.encoded_len();
    let header = u32::try_from(length).ok().filter(|_| length <= MAX_FRAME);
    let header = header.ok_or(FrameTooLong { length })?;
    out.reserve(HEADER + length);
    out.extend_from_slice(&header.to_le_bytes());
    message.encode_raw(out);
    Ok(())
}

/// What [`Decoder::read`] found.
#[derive(Debug, PartialEq)]
pub enum Next<M> {
    /// A whole message.
    Message(M),
    /// The stream would block (or timed out) before a message was complete.
    Pending,
    /// The stream ended between two messages.
    End,
}

/// Puts frames together from a stream, blocking or not.
///
/// It never reads past the end of a frame, so a connection can turn into a plain byte stream after
/// any message.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The bytes so far of the header, or once `body` is known, of the body.
    buffer: Vec<u8>,
    body: Option<usize>,
}

impl Decoder {
    /// How many bytes are missing from the header or from the body being read.
    #[must_use]
    pub fn wanted(&self) -> usize {
        self.body.unwrap_or(HEADER).saturating_sub(self.buffer.len())
    }

    /// Reads until a message is complete or `stream` has nothing more for now.
    pub fn read<M: Message + Default>(
        &mut self,
        stream: &mut impl Read,
    ) -> Result<Next<M>, ReadFrameError> {
        loop {
            if self.wanted() == 0
                && let Some(message) = self.finish_piece()?
            {
                return Ok(Next::Message(message));
            }
            if self.wanted() == 0 {
                continue;
            }
            match self.read_piece(stream) {
                Ok(0) if self.body.is_none() && self.buffer.is_empty() => return Ok(Next::End),
                Ok(0) => return Err(ReadFrameError::Truncated),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_pending(&error) => return Ok(Next::Pending),
                Err(error) => return Err(ReadFrameError::Io(error)),
            }
        }
    }

    fn read_piece(&mut self, stream: &mut impl Read) -> io::Result<usize> {
        let filled = self.buffer.len();
        self.buffer.resize(filled + self.wanted().min(CHUNK), 0);
        let result = stream.read(&mut self.buffer[filled..]);
        self.buffer.truncate(filled + result.as_ref().copied().unwrap_or(0));
        result
    }

    /// Turns a complete header into an expected body, or a complete body into its message.
    fn finish_piece<M: Message + Default>(&mut self) -> Result<Option<M>, ReadFrameError> {
        let piece = std::mem::take(&mut self.buffer);
        if self.body.take().is_some() {
            return M::decode(piece.as_slice()).map(Some).map_err(ReadFrameError::Malformed);
        }
        let header = piece.first_chunk().ok_or(ReadFrameError::Truncated)?;
        let length = usize::try_from(u32::from_le_bytes(*header)).unwrap_or(usize::MAX);
        if length > MAX_FRAME {
            return Err(ReadFrameError::TooLong(FrameTooLong { length }));
        }
        self.body = Some(length);
        Ok(None)
    }
}

/// A non-blocking stream has nothing, or a blocking one's time limit has passed.
fn is_pending(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests;
