//! One connection that carries frames.

use std::{
    fs::File,
    io::{self, ErrorKind, Write},
    os::fd::OwnedFd,
};

use agent_protocol::{
    frame::{self, Decoder, Next},
    message::{FromAgent, Reply, ToAgent},
};

/// How many bytes of replies may wait for a host that does not read before the agent stops reading
/// its requests.
const MAX_BACKLOG: usize = 256 << 10;

/// What a connection is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The agent called, and the host has not accepted yet.
    Calling,
    /// The host called, and has not said what for.
    Fresh,
    /// Requests and replies.
    Control,
}

/// What came in.
pub(crate) enum Input {
    Message(ToAgent),
    /// Nothing for now.
    Blocked,
    /// The connection has ended or broken a rule.
    Ended,
}

/// A non-blocking connection with its unfinished frames.
pub(crate) struct Connection {
    stream: File,
    decoder: Decoder,
    outbox: Vec<u8>,
    pub(crate) stage: Stage,
}

impl Connection {
    pub(crate) fn new(stream: OwnedFd, stage: Stage) -> Self {
        Self { stream: stream.into(), decoder: Decoder::default(), outbox: Vec::new(), stage }
    }

    pub(crate) fn stream(&self) -> &File {
        &self.stream
    }

    /// Gives up the frames and leaves the descriptor.
    pub(crate) fn into_stream(self) -> OwnedFd {
        self.stream.into()
    }

    /// Queues a reply; [`Self::flush`] sends it.
    pub(crate) fn queue(&mut self, id: u64, reply: Reply) {
        let message = FromAgent { id, reply: Some(reply) };
        if frame::encode(&message, &mut self.outbox).is_err() {
            crate::say!("reply to request {id} is too long to send");
        }
    }

    /// Whether the host has let so many replies wait that it gets no more for now.
    pub(crate) fn is_behind(&self) -> bool {
        self.outbox.len() >= MAX_BACKLOG
    }

    /// Sends what waits, as far as the host takes it.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let mut sent = 0;
        let result = loop {
            let rest = self.outbox.get(sent..).unwrap_or_default();
            if rest.is_empty() {
                break Ok(());
            }
            match self.stream.write(rest) {
                Ok(length) => sent += length,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.outbox.drain(..sent);
        result
    }

    /// The next request.
    pub(crate) fn next(&mut self) -> Input {
        match self.decoder.read(&mut self.stream) {
            Ok(Next::Message(message)) => Input::Message(message),
            Ok(Next::Pending) => Input::Blocked,
            Ok(Next::End) => Input::Ended,
            Err(error) => {
                crate::say!("{error}; closing the connection");
                Input::Ended
            }
        }
    }
}
