//! What a connection sends to the guest.

use std::os::fd::AsFd;
use std::time::Instant;

use smallvec::SmallVec;

use super::{Connection, Env, Pending, Phase, is_not_now};
use crate::virtio::Buffers;
use crate::virtio::vsock::delivery::{Delivery, Place};
use crate::virtio::vsock::packet::{Header, Key, MAX_DATA, Op, Shutdown};

/// Guest buffers offered to the first read of a socket.
pub(super) const FIRST_BATCH: usize = 2;
/// Guest buffers offered to one read at most.
const MAX_BATCH: usize = 32;
/// Bytes that one read takes at most; then other connections have their turn.
const MAX_READ: usize = 128 << 10;

/// How service ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Served {
    /// All that could be sent for now was, or another connection's turn has come.
    Done,
    /// The guest has given no more buffers.
    NoRoom,
}

impl Connection {
    pub(super) fn has_data_to_send(&self) -> bool {
        self.readable
            && matches!(self.phase, Phase::Established)
            && !self.host_shut.contains(Shutdown::SEND)
            && !self.guest_shut.contains(Shutdown::RECEIVE)
            && (self.credit.sendable() > 0 || !self.asked_for_credit)
    }

    /// Sends what there is to send, at most one read of the socket.
    pub(in super::super) fn serve(&mut self, out: &mut Delivery<'_>, env: &Env) -> Served {
        // Ends and beginnings come before data, the rest after it: a packet with data tells of
        // credit, too.
        let first = [
            (Pending::RESET, Op::Reset),
            (Pending::REQUEST, Op::Request),
            (Pending::RESPONSE, Op::Response),
        ];
        let last = [
            (Pending::SHUTDOWN, Op::Shutdown),
            (Pending::CREDIT_UPDATE, Op::CreditUpdate),
            (Pending::CREDIT_REQUEST, Op::CreditRequest),
        ];
        let served = self.send_pending(&first, out, env);
        if served == Served::NoRoom || self.is_closed() {
            return served;
        }
        if self.has_data_to_send() && self.send_data(out, env) == Served::NoRoom {
            return Served::NoRoom;
        }
        self.send_pending(&last, out, env)
    }

    fn send_pending(
        &mut self,
        kinds: &[(Pending, Op)],
        out: &mut Delivery<'_>,
        env: &Env,
    ) -> Served {
        for (flag, op) in kinds {
            if !self.pending.contains(*flag) {
                continue;
            }
            let Some(key) = self.key else { return Served::Done };
            let Some(place) = out.take(0) else { return Served::NoRoom };
            let mut header = Header::to_guest(env.cid, key, *op);
            if *op == Op::Shutdown {
                header.flags = self.host_shut.bits().into();
            }
            self.credit.announce(&mut header);
            // A packet of any kind tells of credit.
            self.pending.remove(*flag | Pending::CREDIT_UPDATE);
            out.finish(place, &header);
            self.delivered(*op, env);
        }
        Served::Done
    }

    fn delivered(&mut self, op: Op, env: &Env) {
        match op {
            Op::Reset => {
                env.metrics.resets.increment();
                self.close(env);
            }
            Op::Request => self.deadline = Some(Instant::now() + env.timeouts.request),
            Op::Shutdown if self.host_shut.is_all() => {
                self.deadline = Some(Instant::now() + env.timeouts.close);
            }
            _ => {}
        }
    }

    /// Reads the socket straight into the guest's buffers, one call for several of them.
    fn send_data(&mut self, out: &mut Delivery<'_>, env: &Env) -> Served {
        let (Some(socket), Some(key)) = (&self.socket, self.key) else { return Served::Done };
        let limit = MAX_READ.min(self.credit.sendable() as usize);
        if limit == 0 {
            self.asked_for_credit = true;
            self.pending |= Pending::CREDIT_REQUEST;
            env.metrics.credit_stalls.increment();
            return Served::Done;
        }
        let mut room = Buffers::new(out.ram());
        let mut places: SmallVec<[(Place, usize); MAX_BATCH]> = SmallVec::new();
        while places.len() < self.batch && room.len() < limit {
            let next = if places.is_empty() { out.take(1) } else { out.take_another(1) };
            let Some(mut place) = next else { break };
            drop(place.data.split_off(MAX_DATA.min(limit - room.len())));
            let len = place.data.len();
            room.append(std::mem::replace(&mut place.data, Buffers::new(out.ram())));
            places.push((place, len));
        }
        if places.is_empty() {
            return Served::NoRoom;
        }
        let count = match room.read_from(socket.as_fd()) {
            Ok(count) => count,
            Err(e) => {
                out.put_back(places.into_iter().map(|(place, _)| place));
                self.read_failed(&e, env);
                return Served::Done;
            }
        };
        self.spread(count, places, key, out, env);
        if count == 0 {
            self.readable = false;
            self.host_shuts(Shutdown::SEND);
        } else if count == room.len() {
            self.batch = (self.batch * 2).min(MAX_BATCH);
        }
        Served::Done
    }

    /// Completes as many of `places` as `count` bytes fill and gives the rest back.
    fn spread(
        &mut self,
        count: usize,
        places: SmallVec<[(Place, usize); MAX_BATCH]>,
        key: Key,
        out: &mut Delivery<'_>,
        env: &Env,
    ) {
        let mut header = Header::to_guest(env.cid, key, Op::Data);
        self.credit.announce(&mut header);
        self.credit.send(count as u32);
        let (mut rest, mut used) = (count, 0);
        let mut places = places.into_iter();
        while rest > 0
            && let Some((place, room)) = places.next()
        {
            let len = rest.min(room);
            header.len = (len as u32).into();
            out.finish(place, &header);
            rest -= len;
            used += 1;
        }
        out.put_back(places.map(|(place, _)| place));
        if used > 0 {
            self.pending.remove(Pending::CREDIT_UPDATE);
            self.batch = used;
        }
    }

    fn read_failed(&mut self, error: &std::io::Error, env: &Env) {
        self.readable = false;
        if !is_not_now(error) {
            self.host_shuts(Shutdown::SEND);
            self.host_takes_no_more(env);
        }
    }
}
