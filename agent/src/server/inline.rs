//! The beginning of commands' outputs, in frames.

use std::os::fd::OwnedFd;

use agent_protocol::message::{CloseOutput, Follows, Output, Reply, Stream};

use super::Server;
use crate::{
    container::Asked,
    reactor::{Side, Token},
    session::{inline::Inline, streams::Streams},
};

/// Output and errors, where they are pipes.
type Outputs = [(Stream, Option<OwnedFd>); 2];

impl Server {
    /// Sends the beginning of these outputs of a command as it writes them.
    pub(super) fn begin_inline(
        &mut self,
        session: u64,
        streams: Outputs,
        asked: Asked,
        bytes: u32,
    ) {
        for (stream, source) in streams {
            let Some(source) = source else { continue };
            let token = self.reactor.token();
            let inline = Inline::new(source, (session, stream), asked, bytes);
            if let Err(error) = self.reactor.watch(inline.source(), token, Side::Source) {
                crate::say!("failed to watch a stream: {error}");
                let follows = Follows::End.into();
                let end = Output { stream: stream.into(), data: Vec::new(), follows };
                self.reply(asked.0, asked.1, Reply::Output(end));
                continue;
            }
            self.sessions.lend(session);
            self.inlines.insert(token, inline);
            self.send_output(token);
        }
    }

    /// Sends what a command has written.
    pub(super) fn send_output(&mut self, token: Token) {
        let Some(inline) = self.inlines.get_mut(&token) else { return };
        let (connection, id) = inline.asked;
        if self.connections.get(&connection).is_some_and(super::Connection::is_behind) {
            inline.stop();
        }
        let Some(output) = inline.read() else { return };
        let follows = output.follows();
        if follows != Follows::Output {
            self.end_inline(token, follows == Follows::Connection);
        }
        self.reply(connection, id, Reply::Output(output));
    }

    /// Closes an output that nobody wants.
    pub(super) fn close_output(&mut self, close: CloseOutput) {
        let of =
            |inline: &Inline| (inline.session, inline.stream) == (close.session, close.stream());
        let token = self.inlines.iter().find(|(_, inline)| of(inline)).map(|(token, _)| *token);
        match token {
            Some(token) => self.end_inline(token, false),
            None => self.sessions.close_output(close.session, close.stream()),
        }
    }

    /// Closes the outputs whose frames went over a connection that has ended.
    pub(super) fn abandon_inlines(&mut self, connection: Token) {
        let of = |inline: &Inline| inline.asked.0 == connection;
        let tokens: Vec<Token> =
            self.inlines.iter().filter(|(_, inline)| of(inline)).map(|(token, _)| *token).collect();
        for token in tokens {
            self.end_inline(token, false);
        }
    }

    fn end_inline(&mut self, token: Token, keep: bool) {
        let Some(inline) = self.inlines.remove(&token) else { return };
        // A pipe whose other ends are all closed is forgotten with its own.
        let _ = self.reactor.unwatch(inline.source());
        let (session, stream) = (inline.session, inline.stream);
        self.sessions.give_back(session, stream, keep.then(|| inline.into_source()));
    }
}

/// Takes the outputs out of a command's streams.
pub(super) fn outputs_of(streams: &mut Streams) -> Outputs {
    [(Stream::Stdout, streams.stdout.take()), (Stream::Stderr, streams.stderr.take())]
}
