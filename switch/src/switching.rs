//! What becomes of a frame from a card.
//!
//! ```text
//!  frame ─► header ─► source ─┬─► gateway ─► name server, TCP, UDP, echo
//!           cleansed  its own ├─► the one port that it is for
//!                             └─► all ports of the network, if they are not too many
//! ```

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::address::Mac;
use crate::core::Core;
use crate::core::network::Network;
use crate::core::port::PortId;
use crate::frame::arp::Arp;
use crate::frame::ip::{self, Packet};
use crate::frame::neighbor::{self, Message, Owner};
use crate::frame::{
    ETHERNET, Ethernet, GATEWAY_MAC, LONGEST, Malformed, PACKET, TYPE_ARP, TYPE_IPV4, TYPE_IPV6,
    VIRTIO, header,
};

/// What is wrong with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Malformed,
    Spoofed,
    Unroutable,
    Flooded,
}

impl From<Malformed> for Fault {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// What is left to do for a frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing.
    Done,
    /// Its packet is for the gateway, or for the world behind it.
    Gateway(Packet),
}

/// Where a frame goes.
#[derive(Debug, PartialEq, Eq)]
enum Destination {
    /// The switch has said what there is to say.
    Answered,
    /// One port.
    Port(PortId),
    /// All others of the network.
    All,
    /// The gateway.
    Gateway(Packet),
}

/// Takes a frame, behind its virtio header, from a port.
pub(crate) fn take(core: &mut Core, port: PortId, frame: &mut [u8]) -> Outcome {
    if let Some(port) = core.ports.get_mut(&port) {
        port.counters.rx_frames += 1;
        port.counters.rx_bytes += (frame.len() - VIRTIO.min(frame.len())) as u64;
    }
    match judge(core, port, frame) {
        Ok(Destination::Answered) => Outcome::Done,
        Ok(Destination::Gateway(packet)) => Outcome::Gateway(packet),
        Ok(Destination::Port(to)) => {
            core.send(to, frame);
            Outcome::Done
        }
        Ok(Destination::All) => {
            if flood(core, port, frame).is_err() {
                count(core, port, Fault::Flooded);
            }
            Outcome::Done
        }
        Err(fault) => {
            count(core, port, fault);
            Outcome::Done
        }
    }
}

/// Counts a frame of a port that the gateway could make nothing of.
pub(crate) fn count_malformed(core: &mut Core, port: PortId) {
    count(core, port, Fault::Malformed);
}

/// Counts a frame of a port that the gateway has no way for.
pub(crate) fn count_unroutable(core: &mut Core, port: PortId) {
    count(core, port, Fault::Unroutable);
}

fn count(core: &mut Core, port: PortId, fault: Fault) {
    let Some(port) = core.ports.get_mut(&port) else { return };
    let counters = &mut port.counters;
    match fault {
        Fault::Malformed => counters.malformed += 1,
        Fault::Spoofed => counters.spoofed += 1,
        Fault::Unroutable => counters.unroutable += 1,
        Fault::Flooded => counters.flooded += 1,
    }
}

fn judge(core: &mut Core, port: PortId, frame: &mut [u8]) -> Result<Destination, Fault> {
    if frame.len() < PACKET || frame.len() > LONGEST {
        return Err(Fault::Malformed);
    }
    header::cleanse(frame)?;
    let ethernet = Ethernet::parse(frame.get(VIRTIO..).unwrap_or_default())?;
    let own = core.ports.get(&port).ok_or(Fault::Unroutable)?;
    if ethernet.source != own.spec.mac {
        return Err(Fault::Spoofed);
    }
    let network = core.network_of(port).ok_or(Fault::Unroutable)?;
    let packet = frame.get(PACKET..).unwrap_or_default();
    if packet.len() > usize::from(network.spec.mtu) + MAX_PADDING {
        return Err(Fault::Malformed);
    }
    match ethernet.kind {
        TYPE_ARP => resolve(core, port, packet),
        TYPE_IPV4 => {
            let packet = Packet::parse_v4(packet)?;
            if !own.owns(packet.source) {
                return Err(Fault::Spoofed);
            }
            by_address(network, ethernet.destination, packet)
        }
        TYPE_IPV6 => {
            let parsed = Packet::parse_v6(packet)?;
            judge_v6(core, port, ethernet.destination, packet, parsed)
        }
        _ => Err(Fault::Unroutable),
    }
}

/// Frames are padded to 60 bytes.
const MAX_PADDING: usize = 60 - ETHERNET;

/// Where an IP packet goes by its frame's destination.
fn by_address(network: &Network, to: Mac, packet: Packet) -> Result<Destination, Fault> {
    if to == GATEWAY_MAC {
        return Ok(Destination::Gateway(packet));
    }
    if !to.is_unicast() {
        return Ok(Destination::All);
    }
    network.by_mac.get(&to).copied().map(Destination::Port).ok_or(Fault::Unroutable)
}

/// Address resolution: the switch knows who has which address, and says so itself. The owner could
/// take longer than a guest waits: a busy machine, or one that boots.
fn resolve(core: &mut Core, port: PortId, packet: &[u8]) -> Result<Destination, Fault> {
    let arp = Arp::parse(packet)?;
    let own = core.ports.get(&port).ok_or(Fault::Unroutable)?;
    let known = arp.sender.is_unspecified() || own.owns(arp.sender.into());
    if arp.sender_mac != own.spec.mac || !known {
        return Err(Fault::Spoofed);
    }
    let network = core.network_of(port).ok_or(Fault::Unroutable)?;
    let owner = if network.is_gateway(arp.target.into()) {
        GATEWAY_MAC
    } else {
        match network.by_address.get(&IpAddr::V4(arp.target)) {
            // An announcement: all know already.
            Some(owner) if *owner == port => return Ok(Destination::Answered),
            Some(owner) if !arp.is_request => return Ok(Destination::Port(*owner)),
            Some(owner) => core.mac_of(*owner).ok_or(Fault::Unroutable)?,
            None => return Err(Fault::Unroutable),
        }
    };
    if arp.is_request {
        core.send(port, &mut arp.answer(owner));
    }
    Ok(Destination::Answered)
}

fn judge_v6(
    core: &mut Core,
    port: PortId,
    to: Mac,
    bytes: &[u8],
    packet: Packet,
) -> Result<Destination, Fault> {
    let own = core.ports.get(&port).ok_or(Fault::Unroutable)?;
    let nameless = packet.source == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    if !nameless && !own.owns(packet.source) {
        return Err(Fault::Spoofed);
    }
    let network = core.network_of(port).ok_or(Fault::Unroutable)?;
    if packet.protocol != ip::ICMPV6 {
        return if nameless { Err(Fault::Spoofed) } else { by_address(network, to, packet) };
    }
    if packet.fragment {
        // What a switch must see may not come in parts (RFC 6980).
        return Err(Fault::Malformed);
    }
    match neighbor::parse(bytes.get(packet.payload.clone()).unwrap_or_default())? {
        Message::Router => Err(Fault::Spoofed),
        // Whoever believed it would send to this card what is another's.
        Message::Advertisement(target) if !own.owns(target.into()) => Err(Fault::Spoofed),
        Message::Solicitation(target) => {
            let is_router = network.is_gateway(target.into());
            let mac = match network.by_address.get(&IpAddr::V6(target)) {
                _ if is_router => GATEWAY_MAC,
                Some(owner) if *owner == port => return Ok(Destination::Answered),
                Some(owner) => core.mac_of(*owner).ok_or(Fault::Unroutable)?,
                None => return by_address(network, to, packet),
            };
            let (card, IpAddr::V6(asker)) = (own.spec.mac, packet.source) else {
                return Err(Fault::Malformed);
            };
            let owner = Owner { mac, is_router };
            core.send(port, &mut neighbor::answer(card, asker, target, owner));
            Ok(Destination::Answered)
        }
        Message::Advertisement(_) | Message::Other => by_address(network, to, packet),
    }
}

/// Sends a frame to all other ports of the network.
fn flood(core: &mut Core, port: PortId, frame: &mut [u8]) -> Result<(), Fault> {
    let now = core.now;
    let own = core.ports.get_mut(&port).ok_or(Fault::Unroutable)?;
    if !own.floods.take(now) {
        return Err(Fault::Flooded);
    }
    let network = core.network_of(port).ok_or(Fault::Unroutable)?;
    let others: Vec<PortId> = network.ports.iter().copied().filter(|id| *id != port).collect();
    let mut copy = Vec::new();
    for other in others {
        // A receiver may need its checksum completed, which the next may not.
        copy.clear();
        copy.extend_from_slice(frame);
        core.send(other, &mut copy);
    }
    Ok(())
}

/// The ends of a TCP or UDP packet, from the guest to its far end.
pub(crate) fn ends(packet: &Packet, bytes: &[u8]) -> Result<(SocketAddr, SocketAddr), Malformed> {
    let payload = bytes.get(packet.payload.clone()).ok_or(Malformed)?;
    let [s0, s1, d0, d1] = *payload.first_chunk().ok_or(Malformed)?;
    let guest = SocketAddr::new(packet.source, u16::from_be_bytes([s0, s1]));
    let far = SocketAddr::new(packet.destination, u16::from_be_bytes([d0, d1]));
    Ok((guest, far))
}
