//! Packets for the gateway, or for the world behind it, by what they carry.

use std::net::SocketAddr;

use crate::core::port::PortId;
use crate::echo;
use crate::frame::datagram::Datagram;
use crate::frame::echo::{identifier, request_type};
use crate::frame::ip::{self, Packet};
use crate::route::{self, Route};
use crate::switch::Switch;
use crate::switching::{count_malformed, count_unroutable, ends};
use crate::tcp::Way;

impl Switch {
    /// Takes a packet for the gateway, or for the world.
    pub(crate) fn take_packet(&mut self, port: PortId, packet: &Packet, bytes: &[u8]) {
        if packet.fragment {
            // Nobody is asked to put together what need not be taken apart at this MTU.
            return count_unroutable(&mut self.core, port);
        }
        let taken = match packet.protocol {
            ip::TCP => self.take_segment(port, packet, bytes),
            ip::UDP => self.take_datagram(port, packet, bytes),
            ip::ICMP | ip::ICMPV6 => self.take_message(port, packet, bytes),
            _ => None,
        };
        match taken {
            Some(true) => {}
            Some(false) => count_malformed(&mut self.core, port),
            None => count_unroutable(&mut self.core, port),
        }
    }

    /// `None`: there is no way for it; false: it is malformed.
    fn take_segment(&mut self, port: PortId, packet: &Packet, bytes: &[u8]) -> Option<bool> {
        const FLAGS: usize = 13;
        const SYN: u8 = 2;
        const SYN_ACK: u8 = 0x12;
        let Ok((guest, far)) = ends(packet, bytes) else { return Some(false) };
        let core = &mut self.core;
        if self.tcp.knows(port, guest, far) {
            self.tcp.take(core, port, guest, far, bytes);
            return Some(true);
        }
        let Some(flags) = bytes.get(packet.payload.start + FLAGS) else { return Some(false) };
        if flags & SYN_ACK != SYN {
            self.tcp.refuse(core, port, bytes);
            return Some(true);
        }
        let way = match route::find(core, port, far) {
            Route::Host(address) => Way::Host(address),
            Route::Dns => self.dns.open_stream(core, port).map_or(Way::Nowhere, Way::Socket),
            Route::Gateway | Route::Nowhere => Way::Nowhere,
        };
        let routed = !matches!(way, Way::Nowhere);
        self.tcp.begin(core, port, (guest, far), way, bytes);
        routed.then_some(true)
    }

    fn take_datagram(&mut self, port: PortId, packet: &Packet, bytes: &[u8]) -> Option<bool> {
        let Ok((guest, far)) = ends(packet, bytes) else { return Some(false) };
        let carried = bytes.get(packet.payload.clone()).unwrap_or_default();
        let Ok(datagram) = Datagram::parse(carried) else { return Some(false) };
        let payload = carried.get(datagram.payload).unwrap_or_default();
        let core = &mut self.core;
        let socket = |id| self.publications.fd(id);
        if self.udp.reply(core, (port, guest, far), payload, socket) {
            return Some(true);
        }
        match route::find(core, port, far) {
            Route::Dns => self.dns.take(core, port, (guest, far), payload),
            Route::Host(target) => self.udp.take(core, (port, guest, far), target, payload),
            Route::Gateway | Route::Nowhere => return None,
        }
        Some(true)
    }

    fn take_message(&mut self, port: PortId, packet: &Packet, bytes: &[u8]) -> Option<bool> {
        let message = bytes.get(packet.payload.clone()).unwrap_or_default();
        let (guest, far) = (packet.source, packet.destination);
        let identifier = identifier(message, request_type(far))?;
        let core = &mut self.core;
        match route::find(core, port, SocketAddr::new(far, 0)) {
            Route::Gateway => echo::answer(core, port, (far, guest), identifier, message),
            Route::Host(_) => {
                return self
                    .echo
                    .take(core, (port, guest, far), identifier, message)
                    .then_some(true);
            }
            Route::Dns | Route::Nowhere => return None,
        }
        Some(true)
    }
}
