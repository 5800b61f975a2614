//! The switch as a whole: one thread that waits for everything and never for one thing.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::net::SocketType;

use crate::apply::apply;
use crate::control::{Request, Response};
use crate::core::Core;
use crate::core::card::{Card, FromCard, Hello, accept, parse_hello};
use crate::core::poller::{EventFlags, Source, Token};
use crate::core::port::PortId;
use crate::dns::Dns;
use crate::echo::Echo;
use crate::engine_line::EngineLine;
use crate::frame::{LONGEST, PACKET};
use crate::listener::{ListenError, Listener};
use crate::publish::{Arrival, Publications};
use crate::switching::{self, Outcome};
use crate::tcp::Tcp;
use crate::udp::Udp;

/// Frames taken from a card before others have their turn.
const BURST: usize = 64;
/// Cards that may be connected.
const MAX_CARDS: usize = 16_384;
/// How long a socket that cannot be accepted from is left alone: descriptors are short then.
const PAUSE: Duration = Duration::from_millis(100);
/// Connections of engines.
const MAX_LINES: usize = 256;

/// Where a switch finds what it needs of the host.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The list of the host's name servers.
    pub resolv_conf: PathBuf,
    /// The port of those name servers.
    pub name_server_port: u16,
    /// What the gateways' addresses lead to, one of each family. Where there is none, it is the
    /// host's outward address.
    pub host_addresses: Vec<IpAddr>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            resolv_conf: "/etc/resolv.conf".into(),
            name_server_port: 53,
            host_addresses: Vec::new(),
        }
    }
}

/// See the [module](self).
pub struct Switch {
    pub(crate) core: Core,
    pub(crate) tcp: Tcp,
    pub(crate) udp: Udp,
    pub(crate) echo: Echo,
    pub(crate) dns: Dns,
    pub(crate) publications: Publications,
    pub(crate) ends: bool,
    lines: HashMap<u64, EngineLine>,
    listeners: HashMap<Source, Listener>,
    /// Listening sockets that are left alone for a moment.
    paused: HashMap<Token, Option<Instant>>,
    events: Vec<(Token, EventFlags)>,
    /// Where a frame is while it is looked at.
    frame: Vec<u8>,
}

impl Switch {
    /// A switch that listens nowhere.
    ///
    /// # Errors
    ///
    /// Those of epoll.
    pub fn new(settings: Settings) -> io::Result<Self> {
        let mut core = Core::new(settings.host_addresses)?;
        let mut seed = [0; 8];
        rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty())?;
        let tcp = Tcp::new(&mut core, u64::from_ne_bytes(seed));
        Ok(Self {
            core,
            tcp,
            udp: Udp::default(),
            echo: Echo::default(),
            dns: Dns::new(settings.resolv_conf, settings.name_server_port),
            publications: Publications::default(),
            ends: false,
            lines: HashMap::new(),
            listeners: HashMap::new(),
            paused: HashMap::new(),
            events: Vec::new(),
            // One byte more than any frame shows what is too long.
            frame: vec![0; LONGEST + 1],
        })
    }

    /// Listens for the engine.
    ///
    /// # Errors
    ///
    /// Names the path.
    pub fn listen_for_engine(&mut self, path: &Path) -> Result<(), ListenError> {
        self.listen(path, SocketType::STREAM, Source::ControlListener)
    }

    /// Listens for cards.
    ///
    /// # Errors
    ///
    /// Names the path.
    pub fn listen_for_cards(&mut self, path: &Path) -> Result<(), ListenError> {
        self.listen(path, SocketType::SEQPACKET, Source::CardListener)
    }

    fn listen(&mut self, path: &Path, kind: SocketType, source: Source) -> Result<(), ListenError> {
        let listener = Listener::new(path, kind)?;
        let watched = self.core.poller.watch(&listener, Token::new(source, 0), EventFlags::IN);
        watched.map_err(|source| ListenError::Listen { path: path.to_owned(), source })?;
        self.listeners.insert(source, listener);
        Ok(())
    }

    /// Does what the engine asks.
    pub fn apply(&mut self, request: Request) -> Response {
        apply(self, request)
    }

    /// Takes a card that has connected, before it has said anything. The descriptor must not block.
    ///
    /// # Errors
    ///
    /// Those of epoll.
    pub fn connect_card(&mut self, fd: OwnedFd) -> io::Result<()> {
        let id = self.core.next_id();
        self.core.poller.watch(&fd, Token::new(Source::Card, id), EventFlags::IN)?;
        self.core.cards.insert(id, Card::new(fd));
        Ok(())
    }

    /// Works until somebody asks it to end.
    ///
    /// # Errors
    ///
    /// Those of epoll.
    pub fn run(&mut self) -> io::Result<()> {
        while !self.ends {
            self.step(None)?;
        }
        for line in self.lines.values_mut() {
            line.flush();
        }
        Ok(())
    }

    /// Does what there is to do, after waiting for it, at most so long.
    ///
    /// # Errors
    ///
    /// Those of epoll.
    pub fn step(&mut self, longest: Option<Duration>) -> io::Result<()> {
        self.core.now = Instant::now();
        let due = self.core.timers.wait(self.core.now);
        let waits = [longest, due, self.tcp.has_more().then_some(Duration::ZERO)];
        let mut events = std::mem::take(&mut self.events);
        self.core.poller.wait(waits.into_iter().flatten().min(), &mut events)?;
        self.core.now = Instant::now();
        for (token, flags) in events.drain(..) {
            self.handle(token, flags);
            self.relieve();
        }
        self.events = events;
        while let Some(token) = self.core.timers.take(self.core.now) {
            self.timer(token);
        }
        self.tcp.go_on(&mut self.core);
        self.relieve();
        Ok(())
    }

    fn handle(&mut self, token: Token, flags: EventFlags) {
        let (core, id) = (&mut self.core, token.id);
        match token.source {
            Source::ControlListener | Source::CardListener => self.accept(token.source),
            Source::Control => self.talk(id, flags),
            Source::Card => self.serve_card(id, flags),
            Source::Tcp => self.tcp.host_is_ready(core, id, flags),
            Source::Udp => self.udp.host_is_ready(core, id),
            Source::Echo => self.echo.host_is_ready(core, id),
            Source::Question => self.dns.question_is_ready(core, id),
            Source::DnsStream => self.dns.stream_is_ready(core, id, flags),
            Source::Publication => self.arrive(id),
            Source::DnsCounter => {
                if let Err(error) = self.dns.counter_is_ready(core, id) {
                    self.pause(token, &error);
                }
            }
        }
    }

    fn timer(&mut self, token: Token) {
        let (core, id) = (&mut self.core, token.id);
        match token.source {
            Source::Tcp => self.tcp.timer(core, id),
            Source::Udp => self.udp.timer(core, id),
            Source::Echo => self.echo.timer(core, id),
            Source::Question => self.dns.question_timer(core, id),
            Source::DnsStream => self.dns.stream_timer(core, id),
            Source::ControlListener
            | Source::CardListener
            | Source::Publication
            | Source::DnsCounter => {
                self.paused.remove(&token);
                self.watch_listener(token, EventFlags::IN);
            }
            Source::Control | Source::Card => {}
        }
    }

    /// Leaves a listening socket alone for a moment: it would say the same again at once.
    fn pause(&mut self, token: Token, error: &io::Error) {
        log::error!("failed to accept a connection: {error}");
        self.watch_listener(token, EventFlags::empty());
        let timer = self.paused.entry(token).or_default();
        self.core.timers.set(token, timer, Some(self.core.now + PAUSE));
    }

    fn watch_listener(&self, token: Token, flags: EventFlags) {
        let listener = self.listeners.get(&token.source).map(AsFd::as_fd);
        let Some(fd) = listener
            .or_else(|| self.publications.fd(token.id))
            .or_else(|| self.dns.counter_fd(token.id))
        else {
            return;
        };
        if let Err(error) = self.core.poller.rewatch(fd, token, flags) {
            log::error!("failed to watch a listening socket: {error}");
        }
    }

    /// Lets those go on who waited for cards to take more.
    fn relieve(&mut self) {
        for port in std::mem::take(&mut self.core.relieved) {
            self.tcp.relieve(&mut self.core, port);
        }
    }

    fn accept(&mut self, source: Source) {
        let Some(listener) = self.listeners.get(&source) else { return };
        let fd = match accept(listener.as_fd()) {
            Ok(Some(fd)) => fd,
            Ok(None) => return,
            Err(error) => return self.pause(Token::new(source, 0), &error),
        };
        let result = match source {
            Source::CardListener if self.core.cards.len() < MAX_CARDS => self.connect_card(fd),
            Source::ControlListener if self.lines.len() < MAX_LINES => {
                let id = self.core.next_id();
                let line = EngineLine::new(fd);
                let token = Token::new(Source::Control, id);
                let watched = self.core.poller.watch(&line, token, line.wanted());
                watched.map(|()| drop(self.lines.insert(id, line)))
            }
            _ => return log::warn!("too many connections: one is closed"),
        };
        if let Err(error) = result {
            log::error!("failed to watch a connection: {error}");
        }
    }

    /// An engine has requests, or room for answers.
    fn talk(&mut self, id: u64, flags: EventFlags) {
        // It is put back unless it has ended.
        let Some(mut line) = self.lines.remove(&id) else { return };
        if flags.intersects(EventFlags::ERR) || !line.receive() {
            return;
        }
        while let Some(request) = line.next() {
            let response = match request {
                Ok(request) => self.apply(request),
                Err(fault) => Response::Failed(fault),
            };
            line.answer(&response);
        }
        let alive = line.flush();
        let token = Token::new(Source::Control, id);
        if alive && self.core.poller.rewatch(&line, token, line.wanted()).is_ok() {
            self.lines.insert(id, line);
        }
    }

    /// A card has frames, or room for some, or has gone.
    fn serve_card(&mut self, id: u64, flags: EventFlags) {
        if flags.contains(EventFlags::OUT) {
            self.core.relieve(id);
        }
        if !flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            return;
        }
        let mut frame = std::mem::take(&mut self.frame);
        for _ in 0..BURST {
            let Some(card) = self.core.cards.get_mut(&id) else { break };
            match card.receive(&mut frame) {
                FromCard::Word => {}
                FromCard::Nothing => break,
                FromCard::Gone => {
                    self.disconnect_card(id);
                    break;
                }
                FromCard::Frame(len) => {
                    let whole = len.min(frame.len());
                    let Some(frame) = frame.get_mut(..whole) else { break };
                    self.take(id, frame);
                }
            }
        }
        self.frame = frame;
    }

    fn disconnect_card(&mut self, id: u64) {
        let port = self.core.cards.remove(&id).and_then(|card| card.port);
        if let Some(port) = port {
            self.forget_flows(port);
            if let Some(port) = self.core.ports.get_mut(&port) {
                port.card = None;
            }
        }
    }

    /// Takes a message of a card that is no word.
    fn take(&mut self, id: u64, frame: &mut [u8]) {
        let Some(card) = self.core.cards.get(&id) else { return };
        if card.name.is_none() {
            return self.greet(id, frame);
        }
        let Some(port) = card.port else { return };
        if let Outcome::Gateway(packet) = switching::take(&mut self.core, port, frame) {
            let bytes = frame.get(PACKET..PACKET + packet.payload.end).unwrap_or_default();
            self.take_packet(port, &packet, bytes);
        }
    }

    fn greet(&mut self, id: u64, hello: &[u8]) {
        let refused = match parse_hello(hello) {
            Hello::Port(name) => {
                let taken =
                    self.core.cards.values().any(|card| card.name.as_deref() == Some(&*name));
                if !taken {
                    return self.welcome(id, name);
                }
                format!("port {name} has a card already")
            }
            Hello::Version => "the switch speaks another version of the protocol".to_owned(),
            Hello::Wrong => "not a hello".to_owned(),
        };
        log::warn!("refused a card: {refused}");
        if let Some(mut card) = self.core.cards.remove(&id) {
            card.refuse(&refused);
        }
    }

    fn welcome(&mut self, id: u64, name: String) {
        let port = self.core.port_names.get(&name).copied();
        let up = port.is_some_and(|port| self.core.network_of(port).is_some());
        if let Some(card) = self.core.cards.get_mut(&id) {
            card.port = port;
            card.welcome(name, up);
        }
        if let Some(port) = port.and_then(|port| self.core.ports.get_mut(&port)) {
            port.card = Some(id);
        }
    }

    /// Something has come for a published port.
    fn arrive(&mut self, id: u64) {
        let core = &mut self.core;
        let (port, guest, arrival) = match self.publications.arrival(core, id) {
            Ok(Some(arrival)) => arrival,
            Ok(None) => return,
            Err(error) => return self.pause(Token::new(Source::Publication, id), &error),
        };
        match arrival {
            Arrival::Connection(fd) => self.tcp.call(core, port, guest, fd, id),
            Arrival::Datagrams => {
                if let Some(fd) = self.publications.fd(id) {
                    self.udp.publication_is_ready(core, id, fd, port, guest);
                }
            }
        }
    }

    /// Ends a publication and what came by it.
    pub(crate) fn unpublish(&mut self, name: &str) {
        if let Some(id) = self.publications.remove(name) {
            self.tcp.end_publication(&mut self.core, id);
            self.udp.end_publication(&mut self.core, id);
        }
    }

    /// Takes a port off its network: its link goes down and its connections end.
    pub(crate) fn unplug(&mut self, id: PortId) {
        self.forget_flows(id);
        let core = &mut self.core;
        let Some(port) = core.ports.get_mut(&id) else { return };
        let network = port.spec.network.take();
        if let Some(network) = network.and_then(|name| core.networks.get_mut(&name)) {
            network.pull_out(id);
        }
        core.tell_link(id);
    }

    /// Puts a port on its network.
    pub(crate) fn plug(&mut self, id: PortId) {
        let core = &mut self.core;
        let Some(port) = core.ports.get(&id) else { return };
        let network = port.spec.network.as_ref();
        if let Some(network) = network.and_then(|name| core.networks.get_mut(name)) {
            network.plug_in(id, &port.spec);
        }
        core.tell_link(id);
    }

    fn forget_flows(&mut self, port: PortId) {
        self.tcp.end_port(&mut self.core, port);
        self.udp.end_port(&mut self.core, port);
        self.echo.end_port(&mut self.core, port);
        self.dns.end_port(&mut self.core, port);
    }
}
