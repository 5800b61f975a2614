//! The network stack of a guest behind a card: smoltcp's.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::{tcp, udp};
use smoltcp::time::Instant as TcpInstant;
use smoltcp::wire::{HardwareAddress, IpCidr};

use super::{Card, GATEWAY_MAC, PATIENCE};

pub struct Guest {
    pub wire: Wire,
    interface: Interface,
    pub sockets: SocketSet<'static>,
    began: Instant,
    next_port: u16,
}

pub struct Wire {
    pub card: Card,
    pub peer: [u8; 6],
    /// IP packets that came from the switch, and that went to it.
    pub packets: (usize, usize),
    received: VecDeque<Vec<u8>>,
}

impl Guest {
    pub fn new(card: Card, addresses: &[IpAddr]) -> Self {
        let mut wire = Wire { card, peer: GATEWAY_MAC, packets: (0, 0), received: VecDeque::new() };
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = 42;
        let mut interface = Interface::new(config, &mut wire, TcpInstant::ZERO);
        interface.update_ip_addrs(|own| {
            for address in addresses {
                let _ = own.push(IpCidr::new((*address).into(), 0));
            }
        });
        let sockets = SocketSet::new(vec![]);
        Self { wire, interface, sockets, began: Instant::now(), next_port: 40_000 }
    }

    pub fn tcp(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    pub fn udp(&mut self, handle: SocketHandle) -> &mut udp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    fn new_tcp(size: usize) -> tcp::Socket<'static> {
        let buffer = || tcp::SocketBuffer::new(vec![0; size]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        socket.set_nagle_enabled(false);
        socket.set_ack_delay(None);
        socket
    }

    pub fn connect(&mut self, far: SocketAddr) -> SocketHandle {
        self.connect_with(far, 256 << 10)
    }

    /// One of many connections.
    pub fn connect_small(&mut self, far: SocketAddr) -> SocketHandle {
        self.connect_with(far, 1024)
    }

    fn connect_with(&mut self, far: SocketAddr, size: usize) -> SocketHandle {
        self.next_port += 1;
        let mut socket = Self::new_tcp(size);
        let own = self.next_port;
        socket.connect(self.interface.context(), far, own).unwrap();
        self.sockets.add(socket)
    }

    pub fn listen(&mut self, port: u16) -> SocketHandle {
        let mut socket = Self::new_tcp(256 << 10);
        socket.listen(port).unwrap();
        self.sockets.add(socket)
    }

    pub fn bind(&mut self, port: u16) -> SocketHandle {
        let buffer =
            || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 16], vec![0; 128 << 10]);
        let mut socket = udp::Socket::new(buffer(), buffer());
        socket.bind(port).unwrap();
        self.sockets.add(socket)
    }

    /// Takes what has come and sends what there is; waits for something at most so long.
    pub fn step(&mut self, longest: Duration) {
        let now = TcpInstant::from_micros(self.began.elapsed().as_micros() as i64);
        self.interface.poll(now, &mut self.wire, &mut self.sockets);
        let due = self.interface.poll_delay(now, &self.sockets).map(Duration::from);
        let patience = due.map_or(longest, |due| due.min(longest));
        if let Some(frame) = self.wire.card.receive(patience) {
            self.wire.take(&frame);
            while let Some(frame) = self.wire.card.receive(Duration::ZERO) {
                self.wire.take(&frame);
            }
            let now = TcpInstant::from_micros(self.began.elapsed().as_micros() as i64);
            self.interface.poll(now, &mut self.wire, &mut self.sockets);
        }
    }

    /// Steps until something comes of it.
    pub fn until<T>(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE * 3;
        loop {
            if let Some(result) = done(self) {
                return result;
            }
            assert!(Instant::now() < deadline, "no {what}");
            self.step(Duration::from_millis(20));
        }
    }

    /// Connects, and waits until that is refused.
    pub fn is_refused(&mut self, far: SocketAddr) {
        let handle = self.connect(far);
        self.until(&format!("reset from {far}"), |guest| {
            (guest.tcp(handle).state() == tcp::State::Closed).then_some(())
        });
    }

    /// Sends a datagram and waits for the answer.
    pub fn ask(&mut self, handle: SocketHandle, far: SocketAddr, question: &[u8]) -> Vec<u8> {
        self.udp(handle).send_slice(question, far).unwrap();
        self.until("answer", |guest| {
            let (answer, from) = guest.udp(handle).recv().ok()?;
            assert_eq!(SocketAddr::new(from.endpoint.addr.into(), from.endpoint.port), far);
            Some(answer.to_vec())
        })
    }
}

impl Wire {
    fn take(&mut self, frame: &[u8]) {
        if matches!(frame[12..14], [8, 0] | [0x86, 0xdd]) {
            self.packets.0 += 1;
            self.received.push_back(frame[14..].to_vec());
        }
    }
}

impl Device for Wire {
    type RxToken<'t> = Received;
    type TxToken<'t> = ToSend<'t>;

    fn receive(&mut self, _: TcpInstant) -> Option<(Received, ToSend<'_>)> {
        Some((Received(self.received.pop_front()?), ToSend(self)))
    }

    fn transmit(&mut self, _: TcpInstant) -> Option<ToSend<'_>> {
        Some(ToSend(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = 65_520;
        // What the switch leaves to the card is not checked; all that is sent is whole.
        capabilities.checksum.tcp = Checksum::Tx;
        capabilities.checksum.udp = Checksum::Tx;
        capabilities
    }
}

pub struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

pub struct ToSend<'a>(&'a mut Wire);

impl TxToken for ToSend<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut packet = vec![0; len];
        let result = f(&mut packet);
        let kind = if packet[0] >> 4 == 4 { 0x0800 } else { 0x86dd };
        self.0.packets.1 += 1;
        self.0.card.send(self.0.peer, kind, &packet);
        result
    }
}

pub fn gateway(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, n, 0, 1)
}

pub fn gateway_v6(n: u8) -> Ipv6Addr {
    format!("fd00:{n}::1").parse().unwrap()
}
