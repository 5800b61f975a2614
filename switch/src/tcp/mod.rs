//! TCP connections of guests with the host and the world beyond.

mod flow;
mod held;
mod stack;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, ipproto, socket_with, sockopt};
use smoltcp::iface::SocketSet;

use self::flow::{Flow, Key, Next};
use self::stack::Stack;
use crate::core::Core;
use crate::core::poller::{EventFlags, Source, Token};
use crate::core::port::PortId;

/// Packets that a connection may send before others have their turn.
const BURST: usize = 32;

/// The shortest time that a connection waits for a moment of its own.
const TICK: Duration = Duration::from_millis(1);

/// The ports from which the gateway calls guests (RFC 6335, 6).
const CALLING_PORTS: std::ops::RangeInclusive<u16> = 49_152..=65_535;

/// Where a guest's call leads.
pub(crate) enum Way {
    /// To an address, as the host sees it.
    Host(SocketAddr),
    /// To this socket, which is connected.
    Socket(OwnedFd),
    /// It is refused.
    Nowhere,
}

/// See the [module](self).
pub(crate) struct Tcp {
    stack: Stack,
    flows: HashMap<u64, Flow>,
    by_key: HashMap<Key, u64>,
    /// Those that wait for a card to take more.
    stalled: HashMap<PortId, Vec<u64>>,
    /// Those that had more to do when their turn ended.
    again: VecDeque<u64>,
    last_calling_port: u16,
}

impl Tcp {
    pub(crate) fn new(core: &mut Core, seed: u64) -> Self {
        Self {
            stack: Stack::new(core, seed),
            flows: HashMap::new(),
            by_key: HashMap::new(),
            stalled: HashMap::new(),
            again: VecDeque::new(),
            last_calling_port: *CALLING_PORTS.start(),
        }
    }

    /// How many connections there are.
    pub(crate) fn len(&self) -> usize {
        self.flows.len()
    }

    /// Whether this connection exists, so that its packets lead somewhere.
    pub(crate) fn knows(&self, port: PortId, guest: SocketAddr, far: SocketAddr) -> bool {
        self.by_key.contains_key(&Key { port, guest, far })
    }

    /// Takes a packet from a guest for a connection that exists.
    pub(crate) fn take(
        &mut self,
        core: &mut Core,
        port: PortId,
        guest: SocketAddr,
        far: SocketAddr,
        packet: &[u8],
    ) {
        let Some(id) = self.by_key.get(&Key { port, guest, far }).copied() else { return };
        if let Some(flow) = self.flows.get_mut(&id) {
            let before = flow.received();
            self.stack.feed(core, port, packet, &mut flow.sockets);
            let len = flow.received().saturating_sub(before);
            flow.held.take(len, core.now);
            self.advance(core, id);
        }
    }

    /// Refuses what a packet asks for.
    pub(crate) fn refuse(&mut self, core: &mut Core, port: PortId, packet: &[u8]) {
        let mut nobody = SocketSet::new([]);
        self.stack.feed(core, port, packet, &mut nobody);
    }

    /// Begins the connection that a guest asks for by `packet`.
    pub(crate) fn begin(
        &mut self,
        core: &mut Core,
        port: PortId,
        (guest, far): (SocketAddr, SocketAddr),
        way: Way,
        packet: &[u8],
    ) {
        let key = Key { port, guest, far };
        let (host, connecting) = match way {
            Way::Host(address) => (call_host(address).ok(), true),
            Way::Socket(fd) => (Some(fd), false),
            Way::Nowhere => (None, false),
        };
        let roomy = core.has_few_flows(port);
        let flow = host.and_then(|host| Flow::called_by_guest(key, host, connecting, roomy));
        match flow {
            Some(flow) if core.begin_flow(port) => {
                let Some(id) = self.enter(core, flow) else { return };
                if let Some(flow) = self.flows.get_mut(&id) {
                    self.stack.feed(core, port, packet, &mut flow.sockets);
                    self.advance(core, id);
                }
            }
            _ => self.refuse(core, port, packet),
        }
    }

    /// Calls `guest` for a connection that the host has accepted through a publication. Without an
    /// answer, or without room for more connections, that is reset.
    pub(crate) fn call(
        &mut self,
        core: &mut Core,
        port: PortId,
        guest: SocketAddr,
        host: OwnedFd,
        publication: u64,
    ) {
        let _ = sockopt::set_tcp_nodelay(&host, true);
        let far = core
            .gateway_of(port, guest.ip())
            .and_then(|gateway| self.free_calling_port(port, guest, gateway));
        let flow = far.and_then(|far| {
            let host = host.try_clone().ok()?;
            let key = Key { port, guest, far };
            let roomy = core.has_few_flows(port);
            Flow::calls_guest(key, host, publication, roomy, self.stack.context())
        });
        match flow {
            Some(flow) if core.begin_published(port) => {
                if let Some(id) = self.enter(core, flow) {
                    self.advance(core, id);
                }
            }
            _ => {
                let _ = sockopt::set_socket_linger(&host, Some(Duration::ZERO));
            }
        }
    }

    fn free_calling_port(
        &mut self,
        port: PortId,
        guest: SocketAddr,
        gateway: std::net::IpAddr,
    ) -> Option<SocketAddr> {
        for _ in CALLING_PORTS {
            self.last_calling_port = match self.last_calling_port.checked_add(1) {
                Some(next) => next,
                None => *CALLING_PORTS.start(),
            };
            let far = SocketAddr::new(gateway, self.last_calling_port);
            if !self.by_key.contains_key(&Key { port, guest, far }) {
                return Some(far);
            }
        }
        None
    }

    /// Enters a connection, for which the port has room.
    fn enter(&mut self, core: &mut Core, flow: Flow) -> Option<u64> {
        let id = core.next_id();
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        if let Err(error) = core.poller.watch(&flow.host, Token::new(Source::Tcp, id), flags) {
            log::warn!("failed to watch a connection: {error}");
            give_back(core, &flow);
            return None;
        }
        self.by_key.insert(flow.key, id);
        self.flows.insert(id, flow);
        Some(id)
    }

    /// Something has happened to the host's socket of a connection.
    pub(crate) fn host_is_ready(&mut self, core: &mut Core, id: u64, flags: EventFlags) {
        let Some(flow) = self.flows.get_mut(&id) else { return };
        let ended = flags.intersects(EventFlags::ERR | EventFlags::HUP);
        let readable = ended || flags.intersects(EventFlags::IN | EventFlags::RDHUP);
        flow.host_is_ready(readable, ended || flags.contains(EventFlags::OUT));
        self.advance(core, id);
    }

    /// A connection's moment has come.
    pub(crate) fn timer(&mut self, core: &mut Core, id: u64) {
        if let Some(flow) = self.flows.get_mut(&id) {
            flow.timer = None;
            self.advance(core, id);
        }
    }

    /// A port's card takes frames again.
    pub(crate) fn relieve(&mut self, core: &mut Core, port: PortId) {
        for id in self.stalled.remove(&port).unwrap_or_default() {
            if let Some(flow) = self.flows.get_mut(&id) {
                flow.stalled = false;
                self.advance(core, id);
            }
        }
    }

    /// Whether there are connections that have more to do.
    pub(crate) fn has_more(&self) -> bool {
        !self.again.is_empty()
    }

    /// Gives those that had more to do another turn.
    pub(crate) fn go_on(&mut self, core: &mut Core) {
        for _ in 0..self.again.len() {
            if let Some(id) = self.again.pop_front() {
                self.advance(core, id);
            }
        }
    }

    /// Moves a connection on as far as its turn goes.
    fn advance(&mut self, core: &mut Core, id: u64) {
        let Some(flow) = self.flows.get_mut(&id) else { return };
        let port = flow.key.port;
        let mut ended = false;
        let mut sent = 0;
        loop {
            ended |= flow.splice() == Next::End;
            if let Some(until) = flow.holds_until(core.now) {
                let token = Token::new(Source::Tcp, id);
                return core.timers.set(token, &mut flow.timer, Some(until));
            }
            if !self.stack.send(core, port, &mut flow.sockets) {
                break;
            }
            flow.held.tell();
            sent += 1;
            if sent == BURST && !ended {
                self.again.push_back(id);
                return;
            }
            if sent > 2 * BURST {
                break;
            }
        }
        if ended {
            return self.end(core, id);
        }
        let due = self.stack.next(core.now, &flow.sockets);
        let stalls = core.is_busy(port) && due.is_some_and(|due| due <= core.now);
        if stalls && !flow.stalled {
            flow.stalled = true;
            self.stalled.entry(port).or_default().push(id);
        }
        // While the host's socket connects there is nothing to say, whatever the stack believes; and
        // what it finds due again at once is due a little later, so that time passes.
        let due = due.filter(|_| !stalls && !flow.is_connecting());
        let due = due.map(|due| due.max(core.now + TICK));
        core.timers.set(Token::new(Source::Tcp, id), &mut flow.timer, due);
    }

    fn end(&mut self, core: &mut Core, id: u64) {
        let Some(mut flow) = self.flows.remove(&id) else { return };
        core.timers.set(Token::new(Source::Tcp, id), &mut flow.timer, None);
        self.by_key.remove(&flow.key);
        give_back(core, &flow);
    }

    /// Ends all connections of which `which` is true, without a word to the guest.
    fn end_where(&mut self, core: &mut Core, which: impl Fn(&Flow) -> bool) {
        let all = self.flows.iter().filter(|(_, flow)| which(flow));
        let ended: Vec<u64> = all.map(|(id, _)| *id).collect();
        for id in ended {
            if let Some(flow) = self.flows.get(&id) {
                let _ = sockopt::set_socket_linger(&flow.host, Some(Duration::ZERO));
            }
            self.end(core, id);
        }
    }

    /// Ends all connections of a port.
    pub(crate) fn end_port(&mut self, core: &mut Core, port: PortId) {
        self.stalled.remove(&port);
        self.end_where(core, |flow| flow.key.port == port);
    }

    /// Ends all connections that came by a publication.
    pub(crate) fn end_publication(&mut self, core: &mut Core, publication: u64) {
        self.end_where(core, |flow| flow.publication == Some(publication));
    }
}

/// Gives back the right to a connection.
fn give_back(core: &mut Core, flow: &Flow) {
    match flow.publication {
        Some(_) => core.end_published(flow.key.port),
        None => core.end_flow(flow.key.port),
    }
}

/// Begins a connection of the host.
fn call_host(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    sockopt::set_tcp_nodelay(&fd, true)?;
    match connect(&fd, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(fd),
        Err(error) => Err(error),
    }
}
