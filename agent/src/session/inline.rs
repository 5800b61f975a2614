//! The beginning of a command's output, in frames of the control connection.

use std::{
    fs::File,
    io::{ErrorKind, Read},
    os::fd::OwnedFd,
};

use agent_protocol::{
    INLINE_FRAMES,
    message::{Follows, Output, Stream},
};

use crate::container::Asked;

/// The most bytes of a stream that come in frames, whatever the host asks for: they are copied, and
/// share a connection with everything else.
const MOST: u32 = 16 << 10;

/// An output of a command that has no connection, or not yet.
pub(crate) struct Inline {
    source: File,
    pub(crate) session: u64,
    pub(crate) stream: Stream,
    /// Whose request the command was.
    pub(crate) asked: Asked,
    bytes: usize,
    frames: usize,
}

impl Inline {
    /// Of a non-blocking pipe, at most `bytes`.
    pub(crate) fn new(
        source: OwnedFd,
        (session, stream): (u64, Stream),
        asked: Asked,
        bytes: u32,
    ) -> Self {
        let bytes = usize::try_from(bytes.min(MOST)).unwrap_or(0);
        Self { source: source.into(), session, stream, asked, bytes, frames: INLINE_FRAMES }
    }

    pub(crate) fn source(&self) -> &File {
        &self.source
    }

    /// Gives the pipe back, for a connection.
    pub(crate) fn into_source(self) -> OwnedFd {
        self.source.into()
    }

    /// Lets nothing more into frames.
    pub(crate) fn stop(&mut self) {
        self.bytes = 0;
    }

    /// What there is to tell now.
    pub(crate) fn read(&mut self) -> Option<Output> {
        let mut data = Vec::new();
        let mut follows = loop {
            if self.bytes == 0 {
                break Follows::Connection;
            }
            let filled = data.len();
            data.resize(filled + self.bytes, 0);
            let result = self.source.read(data.get_mut(filled..).unwrap_or_default());
            let length = result.as_ref().copied().unwrap_or(0);
            data.truncate(filled + length);
            self.bytes -= length;
            match result {
                Ok(1..) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Follows::Output,
                Ok(0) | Err(_) => break Follows::End,
            }
        };
        if data.is_empty() && follows == Follows::Output {
            return None;
        }
        self.frames -= 1;
        if self.frames == 0 && follows == Follows::Output {
            follows = Follows::Connection;
        }
        Some(Output { stream: self.stream.into(), data, follows: follows.into() })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use rustix::pipe::{PipeFlags, pipe_with};

    use super::*;
    use crate::reactor::Token;

    fn inline(bytes: u32) -> (Inline, File) {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
        let inline = Inline::new(read, (7, Stream::Stdout), (Token::NOBODY, 0), bytes);
        (inline, write.into())
    }

    fn told(inline: &mut Inline) -> Option<(Vec<u8>, Follows)> {
        inline.read().map(|output| (output.data.clone(), output.follows()))
    }

    #[test]
    fn bytes_come_as_they_are_written_and_then_the_end() {
        let (mut inline, mut pipe) = inline(100);
        assert_eq!(told(&mut inline), None);
        pipe.write_all(b"hi").unwrap();
        assert_eq!(told(&mut inline), Some((b"hi".to_vec(), Follows::Output)));
        pipe.write_all(b"ho").unwrap();
        drop(pipe);
        assert_eq!(told(&mut inline), Some((b"ho".to_vec(), Follows::End)));
    }

    #[test]
    fn what_is_more_is_left_in_the_pipe_for_a_connection() {
        let (mut inline, mut pipe) = inline(4);
        pipe.write_all(b"abcdef").unwrap();
        drop(pipe);
        assert_eq!(told(&mut inline), Some((b"abcd".to_vec(), Follows::Connection)));
        let mut rest = Vec::new();
        File::from(inline.into_source()).read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"ef");
    }

    #[test]
    fn many_small_writes_end_in_a_connection_too() {
        let (mut inline, mut pipe) = inline(1000);
        for count in 1..=INLINE_FRAMES {
            pipe.write_all(b"x").unwrap();
            let last = count == INLINE_FRAMES;
            let follows = if last { Follows::Connection } else { Follows::Output };
            assert_eq!(told(&mut inline), Some((b"x".to_vec(), follows)));
        }
    }

    #[test]
    fn a_host_that_is_behind_gets_a_connection_without_bytes() {
        let (mut inline, mut pipe) = inline(1000);
        pipe.write_all(b"x").unwrap();
        inline.stop();
        assert_eq!(told(&mut inline), Some((Vec::new(), Follows::Connection)));
    }
}
