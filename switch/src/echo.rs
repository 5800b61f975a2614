//! Echo requests of guests to the world, by the kernel's ping sockets: they need no privilege where
//! `net.ipv4.ping_group_range` has the switch's group. Elsewhere requests are not answered.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, ipproto, recv, send,
    socket_with,
};

use crate::core::Core;
use crate::core::poller::{EventFlags, Source, Token};
use crate::core::port::PortId;
use crate::frame::LONGEST;
use crate::frame::echo;

/// An association that is not used is forgotten (RFC 5508, 3.2).
const IDLE: Duration = Duration::from_secs(60);
/// Replies taken before others have their turn.
const BURST: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    port: PortId,
    guest: IpAddr,
    far: IpAddr,
    identifier: u16,
}

#[derive(Debug)]
struct Association {
    key: Key,
    fd: OwnedFd,
    used: Instant,
    timer: Option<Instant>,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Echo {
    associations: HashMap<u64, Association>,
    by_key: HashMap<Key, u64>,
}

impl Echo {
    /// How many associations there are.
    pub(crate) fn len(&self) -> usize {
        self.associations.len()
    }

    /// Takes an echo request, whole. False: there is no way for it.
    pub(crate) fn take(
        &mut self,
        core: &mut Core,
        (port, guest, far): (PortId, IpAddr, IpAddr),
        identifier: u16,
        message: &[u8],
    ) -> bool {
        let key = Key { port, guest, far, identifier };
        let known = self.by_key.get(&key).copied();
        let Some(id) = known.or_else(|| self.open(core, key)) else { return false };
        let Some(association) = self.associations.get_mut(&id) else { return false };
        association.used = core.now;
        // The kernel puts its own identifier and checksum in.
        send(&association.fd, message, SendFlags::DONTWAIT | SendFlags::NOSIGNAL).is_ok()
    }

    fn open(&mut self, core: &mut Core, key: Key) -> Option<u64> {
        if !core.begin_flow(key.port) {
            return None;
        }
        let id = core.next_id();
        let token = Token::new(Source::Echo, id);
        let opened = call(key.far).map_err(std::io::Error::from).and_then(|fd| {
            let watched = core.poller.watch(&fd, token, EventFlags::IN);
            watched.map(|()| fd)
        });
        let Ok(fd) = opened else {
            core.end_flow(key.port);
            return None;
        };
        let mut association = Association { key, fd, used: core.now, timer: None };
        core.timers.set(token, &mut association.timer, Some(core.now + IDLE));
        self.by_key.insert(key, id);
        self.associations.insert(id, association);
        Some(id)
    }

    /// Gives the guest the replies that have come.
    pub(crate) fn host_is_ready(&mut self, core: &mut Core, id: u64) {
        let Some(association) = self.associations.get(&id) else { return };
        let Key { port, guest, far, identifier } = association.key;
        let at = echo::message_at(far);
        for _ in 0..BURST {
            let room = core.draft.get_mut(at..LONGEST).unwrap_or_default();
            let len = match recv(&association.fd, room, RecvFlags::DONTWAIT) {
                Ok((len, _)) => len,
                Err(Errno::INTR) => continue,
                Err(_) => return,
            };
            let message = core.draft.get(at..at + len).unwrap_or_default();
            if echo::identifier(message, echo::reply_type(far)).is_some() {
                give(core, port, (far, guest), identifier, at + len);
            }
        }
    }

    /// An association's moment has come.
    pub(crate) fn timer(&mut self, core: &mut Core, id: u64) {
        let Some(association) = self.associations.get_mut(&id) else { return };
        association.timer = None;
        let due = association.used + IDLE;
        if due > core.now {
            core.timers.set(Token::new(Source::Echo, id), &mut association.timer, Some(due));
        } else {
            self.end(core, id);
        }
    }

    fn end(&mut self, core: &mut Core, id: u64) {
        let Some(mut association) = self.associations.remove(&id) else { return };
        core.timers.set(Token::new(Source::Echo, id), &mut association.timer, None);
        self.by_key.remove(&association.key);
        core.end_flow(association.key.port);
    }

    /// Ends all associations of a port.
    pub(crate) fn end_port(&mut self, core: &mut Core, port: PortId) {
        let all = self.associations.iter().filter(|(_, a)| a.key.port == port);
        let ended: Vec<u64> = all.map(|(id, _)| *id).collect();
        ended.into_iter().for_each(|id| self.end(core, id));
    }
}

/// Answers a request to the gateway itself.
pub(crate) fn answer(
    core: &mut Core,
    port: PortId,
    (gateway, guest): (IpAddr, IpAddr),
    identifier: u16,
    message: &[u8],
) {
    let at = echo::message_at(gateway);
    let end = at + message.len();
    if let Some(place) = core.draft.get_mut(at..end) {
        place.copy_from_slice(message);
        give(core, port, (gateway, guest), identifier, end);
    }
}

/// Sends the draft, whose message is in its place and ends at `end`.
fn give(
    core: &mut Core,
    port: PortId,
    (source, guest): (IpAddr, IpAddr),
    identifier: u16,
    end: usize,
) {
    let Some(mac) = core.mac_of(port) else { return };
    let Some(frame) = core.draft.get_mut(..end) else { return };
    echo::reply(frame, mac, source, guest, identifier);
    core.send_draft(port, end);
}

/// A ping socket that speaks with `target` only.
fn call(target: IpAddr) -> Result<OwnedFd, Errno> {
    let (family, protocol) = match target {
        IpAddr::V4(_) => (AddressFamily::INET, ipproto::ICMP),
        IpAddr::V6(_) => (AddressFamily::INET6, ipproto::ICMPV6),
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = socket_with(family, SocketType::DGRAM, flags, Some(protocol))?;
    connect(&fd, &SocketAddr::new(target, 0))?;
    Ok(fd)
}
