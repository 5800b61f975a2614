//! TCP towards the cards, for one connection at a time.
//!
//! The library has one interface for all, which owns every address; each connection brings its own
//! set of sockets, which holds only its own, so that nothing is searched. Checksums are left to
//! the cards: nothing can damage a packet between here and there.

use std::net::IpAddr;
use std::time::Instant;

use smoltcp::iface::{Config, Context, Interface, PollResult, SocketSet};
use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant as TcpInstant;
use smoltcp::wire::{HardwareAddress, IpCidr, Ipv4Address, Ipv6Address};

use crate::control::MAX_MTU;
use crate::core::Core;
use crate::core::port::PortId;
use crate::frame::header::{self, Partial};
use crate::frame::ip::{self, Packet};
use crate::frame::{self, ETHERNET, PACKET, TYPE_IPV4, TYPE_IPV6, checksum};

/// Where the checksum is in a TCP header.
const CHECKSUM: u16 = 16;
/// The longest headers: what is made must not begin with what was there before.
const MAX_HEADERS: usize = 128;

/// See the [module](self).
pub(crate) struct Stack {
    interface: Interface,
    began: Instant,
}

impl Stack {
    pub(crate) fn new(core: &mut Core, seed: u64) -> Self {
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let mut wire = Wire { core, port: PortId(0), received: None };
        let mut interface = Interface::new(config, &mut wire, TcpInstant::ZERO);
        interface.set_any_ip(true);
        // Every address is next door.
        interface.update_ip_addrs(|addresses| {
            let _ = addresses.push(IpCidr::new(Ipv4Address::new(169, 254, 0, 1).into(), 0));
            let next = Ipv6Address::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
            let _ = addresses.push(IpCidr::new(next.into(), 0));
        });
        Self { interface, began: Instant::now() }
    }

    fn time(&self, now: Instant) -> TcpInstant {
        let elapsed = now.saturating_duration_since(self.began).as_micros();
        TcpInstant::from_micros(i64::try_from(elapsed).unwrap_or(i64::MAX))
    }

    /// What sockets need to connect.
    pub(crate) fn context(&mut self) -> &mut Context {
        self.interface.context()
    }

    /// Gives a packet of `port` to the socket among `sockets`. Without one, the answer is a reset.
    pub(crate) fn feed(
        &mut self,
        core: &mut Core,
        port: PortId,
        packet: &[u8],
        sockets: &mut SocketSet<'_>,
    ) {
        let now = self.time(core.now);
        let mut wire = Wire { core, port, received: Some(packet) };
        self.interface.poll_ingress_single(now, &mut wire, sockets);
    }

    /// Sends a packet, if there is one to send and the card takes it.
    pub(crate) fn send(
        &mut self,
        core: &mut Core,
        port: PortId,
        sockets: &mut SocketSet<'_>,
    ) -> bool {
        let now = self.time(core.now);
        let mut wire = Wire { core, port, received: None };
        self.interface.poll_egress(now, &mut wire, sockets) == PollResult::SocketStateChanged
    }

    /// When there may be something to send without an event.
    pub(crate) fn next(&mut self, now: Instant, sockets: &SocketSet<'_>) -> Option<Instant> {
        let time = self.time(now);
        self.interface.poll_delay(time, sockets).map(|delay| now + delay.into())
    }
}

/// What lies between a port's card and the stack: IP packets.
struct Wire<'a> {
    core: &'a mut Core,
    port: PortId,
    received: Option<&'a [u8]>,
}

impl Device for Wire<'_> {
    type RxToken<'t>
        = Received<'t>
    where
        Self: 't;
    type TxToken<'t>
        = ToSend<'t>
    where
        Self: 't;

    fn receive(&mut self, _at: TcpInstant) -> Option<(Received<'_>, ToSend<'_>)> {
        let packet = self.received.take()?;
        Some((Received(packet), ToSend { core: self.core, port: self.port }))
    }

    /// Nothing is made for a card that does not take it: the sockets keep it better.
    fn transmit(&mut self, _at: TcpInstant) -> Option<ToSend<'_>> {
        let busy = self.core.is_busy(self.port);
        (!busy).then_some(ToSend { core: self.core, port: self.port })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = MAX_MTU.into();
        capabilities.checksum.ipv4 = Checksum::Tx;
        capabilities.checksum.tcp = Checksum::None;
        capabilities
    }
}

struct Received<'a>(&'a [u8]);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

struct ToSend<'a> {
    core: &'a mut Core,
    port: PortId,
}

impl TxToken for ToSend<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut draft = std::mem::take(&mut self.core.draft);
        let Some(frame) = draft.get_mut(..PACKET + len) else {
            self.core.draft = draft;
            return f(&mut vec![0; len]);
        };
        let (head, packet) = frame.split_at_mut(PACKET);
        packet.iter_mut().take(MAX_HEADERS).for_each(|byte| *byte = 0);
        let result = f(packet);
        head.fill(0);
        if let Some(mac) = self.core.mac_of(self.port) {
            let is_v4 = packet.first().is_some_and(|first| first >> 4 == 4);
            frame::address(frame, mac, if is_v4 { TYPE_IPV4 } else { TYPE_IPV6 });
            leave_checksum(frame, is_v4);
            self.core.send(self.port, frame);
        }
        self.core.draft = draft;
        result
    }
}

/// Leaves the checksum of the TCP segment in `frame` to its receiver.
fn leave_checksum(frame: &mut [u8], is_v4: bool) {
    let Some(packet) = frame.get_mut(PACKET..) else { return };
    let parsed = if is_v4 { Packet::parse_v4(packet) } else { Packet::parse_v6(packet) };
    let Ok(parsed) = parsed else { return };
    if parsed.protocol != ip::TCP {
        return;
    }
    let (start, len) = (parsed.payload.start, parsed.payload.len());
    let (source, destination): (IpAddr, IpAddr) = (parsed.source, parsed.destination);
    let pseudo = checksum::pseudo_header(source, destination, ip::TCP, len) as u16;
    let at = start + usize::from(CHECKSUM);
    if let Some(place) = packet.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = pseudo.to_be_bytes();
        let start = (ETHERNET + start) as u16;
        header::ask(frame, Partial { start, offset: CHECKSUM });
    }
}
