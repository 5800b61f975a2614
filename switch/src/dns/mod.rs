//! The name server at each gateway's address: what the zone does not know is asked of the host's
//! name servers, or of those that the port prefers, by the transport that the guest chose.

mod counter;
mod on_host;
mod question;
mod resolv_conf;
mod stream;
mod zone;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use self::counter::Counter;
use self::question::{Asker, Question, Step};
use self::resolv_conf::ResolvConf;
use self::stream::Stream;
use self::zone::Verdict;
use crate::core::Core;
use crate::core::poller::{EventFlags, Source, Token};
use crate::core::port::PortId;
use crate::frame::datagram;

/// The name server's port.
pub(crate) const PORT: u16 = 53;
/// The longest answer in a datagram to those who do not say what they take (RFC 1035, 4.2.1).
const PLAIN_ANSWER: usize = 512;
/// The longest message in a stream.
const LONGEST: usize = 65_535;
/// A name server that does not answer for so long is given up for the next.
const PATIENCE: Duration = Duration::from_secs(3);

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Dns {
    questions: HashMap<u64, Question>,
    streams: HashMap<u64, Stream>,
    counters: HashMap<u64, Counter>,
    resolv_conf: ResolvConf,
    /// The port of all other name servers.
    server_port: u16,
}

impl Dns {
    pub(crate) fn new(resolv_conf: PathBuf, server_port: u16) -> Self {
        let resolv_conf = ResolvConf::new(resolv_conf);
        let (questions, streams, counters) = Default::default();
        Self { questions, streams, counters, resolv_conf, server_port }
    }

    /// How many questions wait for an answer.
    pub(crate) fn len(&self) -> usize {
        self.questions.len()
    }

    /// Takes a datagram from `guest` to the name server at `gateway`.
    pub(crate) fn take(
        &mut self,
        core: &mut Core,
        port: PortId,
        (guest, gateway): (SocketAddr, SocketAddr),
        message: &[u8],
    ) {
        match zone::judge(core, port, message, PLAIN_ANSWER) {
            Verdict::Answer(answer) => give(core, port, guest, gateway, &answer),
            Verdict::Forward => {
                self.forward(core, port, Asker::Datagram { guest, gateway }, message);
            }
            Verdict::Drop => {}
        }
    }

    /// Opens a stream for a port; what is returned is the guest's end.
    pub(crate) fn open_stream(&mut self, core: &mut Core, port: PortId) -> Option<OwnedFd> {
        let id = core.next_id();
        let (stream, guests_end) = Stream::pair(port).ok()?;
        self.begin_stream(core, id, stream).ok()?;
        Some(guests_end)
    }

    fn begin_stream(&mut self, core: &mut Core, id: u64, mut stream: Stream) -> io::Result<()> {
        let token = Token::new(Source::DnsStream, id);
        core.poller.watch(stream.fd(), token, EventFlags::IN)?;
        core.timers.set(token, &mut stream.timer, Some(core.now + stream::IDLE));
        self.streams.insert(id, stream);
        Ok(())
    }

    /// A stream has messages, or room for answers.
    pub(crate) fn stream_is_ready(&mut self, core: &mut Core, id: u64, flags: EventFlags) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let port = stream.port();
        if flags.intersects(EventFlags::HUP | EventFlags::ERR) || !stream.receive() {
            return self.end_stream(core, id);
        }
        while let Some(message) = self.streams.get_mut(&id).and_then(Stream::next_message) {
            match zone::judge(core, port, &message, LONGEST) {
                Verdict::Answer(answer) => self.answer_stream(core, id, &answer),
                Verdict::Forward => {
                    if let Some(stream) = self.streams.get_mut(&id) {
                        stream.waiting += 1;
                    }
                    self.forward(core, port, Asker::Stream(id), &message);
                }
                Verdict::Drop => return self.end_stream(core, id),
            }
        }
        self.look_after_stream(core, id);
    }

    fn answer_stream(&mut self, core: &mut Core, id: u64, answer: &[u8]) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.queue(answer);
            self.look_after_stream(core, id);
        }
    }

    /// Sends what there is, and ends the stream when its time has come.
    fn look_after_stream(&mut self, core: &mut Core, id: u64) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let token = Token::new(Source::DnsStream, id);
        let alive = stream.flush();
        let watched = core.poller.rewatch(stream.fd(), token, stream.wanted());
        core.timers.set(token, &mut stream.timer, Some(core.now + stream::IDLE));
        if !alive || watched.is_err() {
            self.end_stream(core, id);
        }
    }

    /// A stream's moment has come: nobody has said anything for long.
    pub(crate) fn stream_timer(&mut self, core: &mut Core, id: u64) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.timer = None;
            self.end_stream(core, id);
        }
    }

    fn end_stream(&mut self, core: &mut Core, id: u64) {
        if let Some(mut stream) = self.streams.remove(&id) {
            core.timers.set(Token::new(Source::DnsStream, id), &mut stream.timer, None);
            if stream.counted {
                core.end_flow(stream.port());
            }
        }
    }

    fn forward(&mut self, core: &mut Core, port: PortId, asker: Asker, message: &[u8]) {
        let preferred = core.ports.get(&port).map(|port| port.spec.dns.as_slice());
        let servers = match preferred {
            Some(servers) if !servers.is_empty() => servers,
            _ => self.resolv_conf.servers(),
        };
        let server = |address: &_| SocketAddr::new(*address, self.server_port);
        let servers: Vec<SocketAddr> = servers.iter().map(server).collect();
        let question = Question::new(port, asker, message, servers);
        if !core.begin_flow(port) {
            return self.close(core, question, None);
        }
        let id = core.next_id();
        self.ask(core, id, question);
    }

    /// Asks the next name server.
    fn ask(&mut self, core: &mut Core, id: u64, mut question: Question) {
        let token = Token::new(Source::Question, id);
        while question.ask_next() {
            let flags = question.wanted();
            let watched = question.fd().map(|fd| core.poller.watch(fd, token, flags));
            if matches!(watched, Some(Ok(()))) {
                core.timers.set(token, &mut question.timer, Some(core.now + PATIENCE));
                self.questions.insert(id, question);
                return;
            }
        }
        core.end_flow(question.port);
        self.close(core, question, None);
    }

    /// A name server has answered, or takes the question now.
    pub(crate) fn question_is_ready(&mut self, core: &mut Core, id: u64) {
        let Some(mut question) = self.questions.remove(&id) else { return };
        let token = Token::new(Source::Question, id);
        match question.advance() {
            Step::Wait => {
                let flags = question.wanted();
                if let Some(fd) = question.fd()
                    && let Err(error) = core.poller.rewatch(fd, token, flags)
                {
                    log::warn!("failed to watch a question to a name server: {error}");
                }
                self.questions.insert(id, question);
            }
            Step::Answered(answer) => {
                core.timers.set(token, &mut question.timer, None);
                core.end_flow(question.port);
                let asker = question.asker;
                self.close(core, question, Some(answer));
                self.go_on(core, asker);
            }
            Step::Failed => {
                core.timers.set(token, &mut question.timer, None);
                let asker = question.asker;
                self.ask(core, id, question);
                self.go_on(core, asker);
            }
        }
    }

    /// A name server's time is over.
    pub(crate) fn question_timer(&mut self, core: &mut Core, id: u64) {
        if let Some(mut question) = self.questions.remove(&id) {
            question.timer = None;
            let asker = question.asker;
            self.ask(core, id, question);
            self.go_on(core, asker);
        }
    }

    /// A stream may have questions that waited for others to be answered.
    fn go_on(&mut self, core: &mut Core, asker: Asker) {
        if let Asker::Stream(id) = asker {
            self.stream_is_ready(core, id, EventFlags::empty());
        }
    }

    /// Gives the asker the answer, or the news that there is none.
    fn close(&mut self, core: &mut Core, question: Question, answer: Option<Vec<u8>>) {
        let answer = answer.or_else(|| zone::no_answer(&question.original()));
        match question.asker {
            Asker::Datagram { guest, gateway } => {
                if let Some(answer) = answer {
                    give(core, question.port, guest, gateway, &answer);
                }
            }
            Asker::Caller { counter, caller } => {
                if let Some((counter, answer)) = self.counters.get(&counter).zip(answer) {
                    counter.answer(caller, &answer);
                }
            }
            Asker::Stream(id) => {
                if let Some(stream) = self.streams.get_mut(&id) {
                    stream.waiting = stream.waiting.saturating_sub(1);
                }
                match answer {
                    Some(answer) => self.answer_stream(core, id, &answer),
                    None => self.end_stream(core, id),
                }
            }
        }
    }

    /// Forgets a port's questions and streams.
    pub(crate) fn end_port(&mut self, core: &mut Core, port: PortId) {
        let questions = self.questions.iter().filter(|(_, question)| question.port == port);
        for id in questions.map(|(id, _)| *id).collect::<Vec<_>>() {
            if let Some(mut question) = self.questions.remove(&id) {
                core.timers.set(Token::new(Source::Question, id), &mut question.timer, None);
                core.end_flow(port);
            }
        }
        let streams = self.streams.iter().filter(|(_, stream)| stream.port() == port);
        for id in streams.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.end_stream(core, id);
        }
    }
}

/// Sends an answer to a guest.
fn give(core: &mut Core, port: PortId, guest: SocketAddr, gateway: SocketAddr, answer: &[u8]) {
    let Some(mac) = core.mac_of(port) else { return };
    let at = datagram::payload_at(gateway);
    let end = at + answer.len();
    let Some(frame) = core.draft.get_mut(..end) else { return };
    if let Some(place) = frame.get_mut(at..) {
        place.copy_from_slice(answer);
    }
    datagram::wrap(frame, mac, gateway, guest);
    core.send_draft(port, end);
}
