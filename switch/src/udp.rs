//! UDP associations: what goes out from one address of a guest to one of the world and comes back,
//! and what comes in through published ports.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, ipproto, recv, recvfrom,
    send, sendto, socket_with,
};

use crate::core::Core;
use crate::core::poller::{EventFlags, Source, Token};
use crate::core::port::{MAX_PUBLISHED, PortId};
use crate::frame::datagram::{self, MAX_PAYLOAD};

/// An association that is not used is forgotten (RFC 4787, 4.3, asks for two minutes).
const IDLE: Duration = Duration::from_secs(120);
/// Datagrams taken from a socket before others have their turn.
const BURST: usize = 64;
/// Turns beyond which those of associations that have ended are taken out.
const MAX_TURNS: usize = 2 * MAX_PUBLISHED;
/// The ports from which the gateway sends what came through a publication.
const PORTS: std::ops::RangeInclusive<u16> = 49_152..=65_535;

/// Names an association.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    port: PortId,
    guest: SocketAddr,
    far: SocketAddr,
}

/// How an association reaches its far end.
#[derive(Debug)]
enum Via {
    /// By a socket of its own.
    Socket(OwnedFd),
    /// By that of a publication, to this peer.
    Publication(u64, SocketAddr),
}

#[derive(Debug)]
struct Association {
    key: Key,
    via: Via,
    used: Instant,
    /// Whether it was used since its turn to make room for another.
    used_again: bool,
    timer: Option<Instant>,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Udp {
    associations: HashMap<u64, Association>,
    by_key: HashMap<Key, u64>,
    by_peer: HashMap<(u64, SocketAddr), u64>,
    /// Those by publications, whose turn it is to make room first. Some may have ended.
    turns: HashMap<PortId, VecDeque<u64>>,
    last_port: u16,
}

impl Udp {
    /// How many associations there are.
    pub(crate) fn len(&self) -> usize {
        self.associations.len()
    }

    /// Takes a datagram of a guest for an association with a publication's peer. False: there is
    /// no such association.
    pub(crate) fn reply<'p>(
        &mut self,
        core: &Core,
        (port, guest, far): (PortId, SocketAddr, SocketAddr),
        payload: &[u8],
        publication: impl Fn(u64) -> Option<BorrowedFd<'p>>,
    ) -> bool {
        let Some(id) = self.by_key.get(&Key { port, guest, far }) else { return false };
        let Some(association) = self.associations.get_mut(id) else { return false };
        let Via::Publication(by, peer) = association.via else { return false };
        association.used = core.now;
        association.used_again = true;
        if let Some(fd) = publication(by) {
            // A datagram may be lost.
            let _ = sendto(fd, payload, SendFlags::DONTWAIT, &peer);
        }
        true
    }

    /// Takes a datagram of a guest to `far`, which the host knows as `target`.
    pub(crate) fn take(
        &mut self,
        core: &mut Core,
        (port, guest, far): (PortId, SocketAddr, SocketAddr),
        target: SocketAddr,
        payload: &[u8],
    ) {
        let key = Key { port, guest, far };
        let id = match self.by_key.get(&key) {
            Some(id) => *id,
            None => match self.open(core, key, target) {
                Some(id) => id,
                None => return,
            },
        };
        let Some(association) = self.associations.get_mut(&id) else { return };
        association.used = core.now;
        if let Via::Socket(fd) = &association.via {
            // The second try is the datagram's own: the first had the error of the one before.
            let sent = send(fd, payload, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
            if sent == Err(Errno::CONNREFUSED) {
                let _ = send(fd, payload, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
            }
        }
    }

    fn open(&mut self, core: &mut Core, key: Key, target: SocketAddr) -> Option<u64> {
        if !core.begin_flow(key.port) {
            return None;
        }
        let id = core.next_id();
        let opened = call(target).and_then(|fd| {
            let watched = core.poller.watch(&fd, Token::new(Source::Udp, id), EventFlags::IN);
            watched.map(|()| fd)
        });
        match opened {
            Ok(fd) => {
                self.enter(core, id, key, Via::Socket(fd));
                Some(id)
            }
            Err(error) => {
                log::debug!("no way for datagrams to {target}: {error}");
                core.end_flow(key.port);
                None
            }
        }
    }

    fn enter(&mut self, core: &mut Core, id: u64, key: Key, via: Via) {
        let (used, used_again) = (core.now, false);
        let mut association = Association { key, via, used, used_again, timer: None };
        let due = Some(core.now + IDLE);
        core.timers.set(Token::new(Source::Udp, id), &mut association.timer, due);
        if let Via::Publication(publication, peer) = association.via {
            self.by_peer.insert((publication, peer), id);
            self.turns.entry(key.port).or_default().push_back(id);
        }
        self.by_key.insert(key, id);
        self.associations.insert(id, association);
        if let Some(turns) = self.turns.get_mut(&key.port).filter(|all| all.len() > MAX_TURNS) {
            turns.retain(|id| self.associations.contains_key(id));
        }
    }

    /// Gives the guest what has come for an association.
    pub(crate) fn host_is_ready(&mut self, core: &mut Core, id: u64) {
        let Some(association) = self.associations.get_mut(&id) else { return };
        let Via::Socket(fd) = &association.via else { return };
        association.used = core.now;
        let Key { port, guest, far } = association.key;
        let at = datagram::payload_at(far);
        for _ in 0..BURST {
            let room = core.draft.get_mut(at..at + MAX_PAYLOAD).unwrap_or_default();
            match recv(fd, room, RecvFlags::DONTWAIT) {
                Ok((len, _)) => give(core, port, far, guest, at + len),
                // The guest learns of it as of any datagram that is lost.
                Err(Errno::CONNREFUSED | Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    /// Gives a guest what has come through a publication.
    pub(crate) fn publication_is_ready(
        &mut self,
        core: &mut Core,
        publication: u64,
        fd: BorrowedFd<'_>,
        port: PortId,
        guest: SocketAddr,
    ) {
        let at = datagram::payload_at(guest);
        for _ in 0..BURST {
            let room = core.draft.get_mut(at..at + MAX_PAYLOAD).unwrap_or_default();
            let (len, peer) = match recvfrom(fd, room, RecvFlags::DONTWAIT) {
                Ok((len, _, Some(peer))) => (len, peer),
                Ok(_) | Err(Errno::CONNREFUSED | Errno::INTR) => continue,
                Err(_) => return,
            };
            let Ok(peer) = SocketAddr::try_from(peer) else { continue };
            let Some(far) = self.far_end(core, publication, peer, port, guest) else { continue };
            give(core, port, far, guest, at + len);
        }
    }

    /// What a publication's peer looks like to the guest.
    fn far_end(
        &mut self,
        core: &mut Core,
        publication: u64,
        peer: SocketAddr,
        port: PortId,
        guest: SocketAddr,
    ) -> Option<SocketAddr> {
        let known = self.by_peer.get(&(publication, peer));
        if let Some(association) = known.and_then(|id| self.associations.get_mut(id)) {
            association.used = core.now;
            association.used_again = true;
            return Some(association.key.far);
        }
        let gateway = core.gateway_of(port, guest.ip())?;
        let mut candidates = PORTS.filter_map(|_| {
            let next = self.last_port.wrapping_add(1).max(*PORTS.start());
            self.last_port = next;
            let key = Key { port, guest, far: SocketAddr::new(gateway, next) };
            (!self.by_key.contains_key(&key)).then_some(key)
        });
        let key = candidates.next()?;
        if !core.has_room_for_published(port) {
            self.make_room(core, port);
        }
        if !core.begin_published(port) {
            return None;
        }
        let id = core.next_id();
        self.enter(core, id, key, Via::Publication(publication, peer));
        Some(key.far)
    }

    /// Ends an association by a publication that was not used for long: anybody can send from as
    /// many addresses as there may be associations.
    fn make_room(&mut self, core: &mut Core, port: PortId) {
        let Some(turns) = self.turns.get_mut(&port) else { return };
        let goes = loop {
            let Some(id) = turns.pop_front() else { return };
            match self.associations.get_mut(&id) {
                Some(association) if association.used_again => {
                    association.used_again = false;
                    turns.push_back(id);
                }
                Some(_) => break id,
                None => {}
            }
        };
        self.end(core, goes);
    }

    /// An association's moment has come.
    pub(crate) fn timer(&mut self, core: &mut Core, id: u64) {
        let Some(association) = self.associations.get_mut(&id) else { return };
        association.timer = None;
        let due = association.used + IDLE;
        if due > core.now {
            core.timers.set(Token::new(Source::Udp, id), &mut association.timer, Some(due));
        } else {
            self.end(core, id);
        }
    }

    fn end(&mut self, core: &mut Core, id: u64) {
        let Some(mut association) = self.associations.remove(&id) else { return };
        core.timers.set(Token::new(Source::Udp, id), &mut association.timer, None);
        self.by_key.remove(&association.key);
        if let Via::Publication(publication, peer) = association.via {
            self.by_peer.remove(&(publication, peer));
            return core.end_published(association.key.port);
        }
        core.end_flow(association.key.port);
    }

    fn end_where(&mut self, core: &mut Core, which: impl Fn(&Association) -> bool) {
        let all = self.associations.iter().filter(|(_, association)| which(association));
        let ended: Vec<u64> = all.map(|(id, _)| *id).collect();
        ended.into_iter().for_each(|id| self.end(core, id));
    }

    /// Ends all associations of a port.
    pub(crate) fn end_port(&mut self, core: &mut Core, port: PortId) {
        self.end_where(core, |association| association.key.port == port);
        self.turns.remove(&port);
    }

    /// Ends all associations that came by a publication.
    pub(crate) fn end_publication(&mut self, core: &mut Core, publication: u64) {
        let by = |via: &Via| matches!(via, Via::Publication(id, _) if *id == publication);
        self.end_where(core, |association| by(&association.via));
    }
}

/// Sends the draft, whose payload is in its place and ends at `end`.
fn give(core: &mut Core, port: PortId, far: SocketAddr, guest: SocketAddr, end: usize) {
    let Some(mac) = core.mac_of(port) else { return };
    let Some(frame) = core.draft.get_mut(..end) else { return };
    datagram::wrap(frame, mac, far, guest);
    core.send_draft(port, end);
}

/// A socket that speaks with `target` only.
pub(crate) fn call(target: SocketAddr) -> std::io::Result<OwnedFd> {
    let family = if target.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = socket_with(family, SocketType::DGRAM, flags, Some(ipproto::UDP))?;
    connect(&fd, &target)?;
    Ok(fd)
}
