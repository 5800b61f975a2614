//! TCP/IP with one guest, for the metadata service.
//!
//! There is no network between the two: frames wait here until the guest has buffers for them, so
//! none is ever lost and memory is bounded by the connections' buffers.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{Socket, State};
use smoltcp::time::Instant as TcpInstant;
use smoltcp::wire::{HardwareAddress, IpCidr, Ipv4Cidr};

use super::SharedMmds;
use super::connection::{Connection, socket};
use super::frame::{self, Frame};
use super::metrics::MmdsMetrics;

/// The service's TCP port.
const PORT: u16 = 80;
/// Connections at a time; further ones are refused.
const MAX_CONNECTIONS: usize = 30;
/// Frames that wait for the guest to take them. Further frames from it are dropped meanwhile.
const MAX_WAITING: usize = 64;
/// The longest IP packet sent.
const MTU: usize = 1500;

/// The endpoint's TCP/IP.
pub(super) struct Stack {
    interface: Interface,
    wire: Wire,
    sockets: SocketSet<'static>,
    /// All of them; one is listening unless there are too many.
    connections: Vec<Connection>,
    /// Where the guest's latest packet came from.
    guest: [u8; 6],
    /// Answers to address requests.
    answers: VecDeque<Vec<u8>>,
    mmds: SharedMmds,
    metrics: Arc<MmdsMetrics>,
    began: Instant,
}

impl Stack {
    pub(super) fn new(
        address: Ipv4Addr,
        mmds: SharedMmds,
        metrics: Arc<MmdsMetrics>,
        seed: u64,
    ) -> Self {
        let mut wire = Wire::default();
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut wire, TcpInstant::ZERO);
        // The guest's address may be any: all are on this link.
        interface.update_ip_addrs(|addresses| {
            let _ = addresses.push(IpCidr::Ipv4(Ipv4Cidr::new(address, 0)));
        });
        let mut stack = Self {
            interface,
            wire,
            sockets: SocketSet::new(Vec::new()),
            connections: Vec::new(),
            guest: [0xff; 6],
            answers: VecDeque::new(),
            mmds,
            metrics,
            began: Instant::now(),
        };
        stack.listen();
        stack
    }

    /// Takes a frame from the guest.
    pub(super) fn take(&mut self, frame: &[u8], now: Instant) {
        self.metrics.rx_frames.increment();
        match frame::parse(frame) {
            Frame::ArpRequest(answer) if self.answers.len() < MAX_WAITING => {
                self.answers.push_back(answer);
            }
            Frame::Ipv4(guest, packet) if self.wire.sent.len() < MAX_WAITING => {
                self.guest = guest;
                self.wire.received = Some(packet.to_vec());
                let at = self.time(now);
                self.interface.poll_ingress_single(at, &mut self.wire, &mut self.sockets);
                self.serve(now);
            }
            _ => self.metrics.rx_bad_frames.increment(),
        }
    }

    /// The next frame for the guest.
    pub(super) fn next_frame(&mut self, now: Instant) -> Option<Vec<u8>> {
        let frame = self.answers.pop_front().or_else(|| self.next_packet(now))?;
        self.metrics.tx_frames.increment();
        self.metrics.tx_bytes.add(frame.len() as u64);
        Some(frame)
    }

    fn next_packet(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.wire.sent.is_empty() {
            let at = self.time(now);
            self.interface.poll_maintenance(at);
            self.interface.poll_egress(at, &mut self.wire, &mut self.sockets);
            self.serve(now);
            if self.wire.sent.is_empty() {
                self.sweep(true);
            }
        }
        let packet = self.wire.sent.pop_front()?;
        Some(frame::wrap_ipv4(self.guest, &packet))
    }

    /// After what time there may be a frame without one from the guest.
    pub(super) fn wake_after(&mut self, now: Instant) -> Option<Duration> {
        let at = self.time(now);
        self.interface.poll_delay(at, &self.sockets).map(Duration::from)
    }

    /// Moves all connections on, and keeps one listening.
    fn serve(&mut self, now: Instant) {
        let mmds = self.mmds.read().unwrap_or_else(PoisonError::into_inner);
        for connection in &mut self.connections {
            let socket = self.sockets.get_mut::<Socket<'_>>(connection.handle);
            if socket.is_active() {
                connection.serve(socket, &mmds, &self.metrics, now);
            }
        }
        drop(mmds);
        self.sweep(false);
    }

    /// Forgets connections that have ended, and keeps one listening. With `lingering`, also those
    /// that only wait for stray packets: there are none.
    fn sweep(&mut self, lingering: bool) {
        let (sockets, metrics) = (&mut self.sockets, &self.metrics);
        self.connections.retain(|connection| {
            let state = sockets.get::<Socket<'_>>(connection.handle).state();
            let ended = state == State::Closed || lingering && state == State::TimeWait;
            if ended {
                metrics.connections_destroyed.increment();
                sockets.remove(connection.handle);
            }
            !ended
        });
        let listening = |c: &Connection| sockets.get::<Socket<'_>>(c.handle).is_listening();
        if !self.connections.iter().any(listening) {
            self.listen();
        }
    }

    fn listen(&mut self) {
        if self.connections.len() >= MAX_CONNECTIONS {
            return;
        }
        let mut socket = socket();
        // Fails only for port 0 and for a socket in use.
        if socket.listen(PORT).is_ok() {
            let handle = self.sockets.add(socket);
            self.connections.push(Connection::new(handle));
        }
    }

    fn time(&self, now: Instant) -> TcpInstant {
        let elapsed = now.saturating_duration_since(self.began).as_micros();
        TcpInstant::from_micros(i64::try_from(elapsed).unwrap_or(i64::MAX))
    }
}

/// What lies between the guest and the stack: IP packets, without their Ethernet headers.
#[derive(Default)]
struct Wire {
    received: Option<Vec<u8>>,
    sent: VecDeque<Vec<u8>>,
}

impl Device for Wire {
    type RxToken<'a> = Received;
    type TxToken<'a> = ToSend<'a>;

    fn receive(&mut self, _at: TcpInstant) -> Option<(Received, ToSend<'_>)> {
        let packet = self.received.take()?;
        Some((Received(packet), ToSend(&mut self.sent)))
    }

    /// One packet at a time: the guest takes it before the next is made.
    fn transmit(&mut self, _at: TcpInstant) -> Option<ToSend<'_>> {
        self.sent.is_empty().then_some(ToSend(&mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = MTU;
        // The guest leaves its checksums to the card, and nothing can damage a packet on its way.
        capabilities.checksum.ipv4 = Checksum::Tx;
        capabilities.checksum.tcp = Checksum::Tx;
        capabilities
    }
}

struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

struct ToSend<'a>(&'a mut VecDeque<Vec<u8>>);

impl TxToken for ToSend<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut packet = vec![0; len];
        let result = f(&mut packet);
        self.0.push_back(packet);
        result
    }
}

#[cfg(test)]
mod tests;
