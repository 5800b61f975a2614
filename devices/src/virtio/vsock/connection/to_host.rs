//! What the guest's packets do to a connection.

use std::os::fd::AsFd;
use std::time::Instant;

use rustix::net::Shutdown as How;

use super::{Connection, Env, Pending, Phase, is_not_now};
use crate::virtio::Buffers;
use crate::virtio::vsock::packet::{Header, Op, Shutdown};

impl Connection {
    /// Deals with a packet of the guest. `data` is what follows the header in its chain; what of
    /// it is for the host program is returned, for [`write`](Self::write).
    pub(in super::super) fn packet(
        &mut self,
        op: Op,
        header: &Header,
        data: Buffers,
        env: &Env,
    ) -> Option<Buffers> {
        let established = match self.phase {
            Phase::Established => true,
            Phase::Requested => false,
            // It crossed our reset on its way.
            Phase::Resetting if op == Op::Reset => {
                self.close(env);
                return None;
            }
            Phase::Resetting | Phase::Greeting(_) | Phase::Draining | Phase::Closed => return None,
        };
        self.credit.hear(header);
        self.asked_for_credit &= self.credit.sendable() == 0;
        match op {
            Op::Reset => self.reset_by_guest(env),
            Op::Response if !established => self.establish(env),
            Op::Data if established => return self.admit(header, data, env),
            Op::Shutdown if established => {
                self.shutdown(Shutdown::from_bits_truncate(header.flags.get()), env);
            }
            Op::CreditUpdate => {}
            Op::CreditRequest => self.pending |= Pending::CREDIT_UPDATE,
            Op::Request | Op::Response | Op::Data | Op::Shutdown => self.violated(env),
        }
        None
    }

    /// The data of a packet, if the host program is to have them.
    fn admit(&mut self, header: &Header, mut data: Buffers, env: &Env) -> Option<Buffers> {
        let len = header.len.get();
        // What the chain holds beyond the packet is not part of it.
        drop(data.split_off(len as usize));
        let complete = data.len() == len as usize && data.is_valid();
        let allowed = !self.guest_shut.contains(Shutdown::SEND);
        if !complete || !allowed || self.credit.receive(len).is_err() {
            self.violated(env);
            return None;
        }
        (!data.is_empty()).then_some(data)
    }

    /// Writes admitted data, of one or more packets: what the socket takes goes there straight
    /// from the guest's memory, the rest into the backlog.
    pub(in super::super) fn write(&mut self, mut data: Buffers, env: &Env) {
        let Some(socket) = &self.socket else { return };
        if self.host_shut.contains(Shutdown::RECEIVE) {
            return self.forwarded(data.len());
        }
        if self.backlog.is_empty() {
            let written = match data.write_to(socket.as_fd()) {
                Ok(written) => written,
                Err(e) if is_not_now(&e) => 0,
                Err(_) => {
                    self.forwarded(data.len());
                    return self.host_takes_no_more(env);
                }
            };
            self.forwarded(written);
            if written == data.len() {
                return;
            }
            env.metrics.socket_full.increment();
            data.advance(written);
        }
        if self.backlog.push(&data).is_err() {
            self.violated(env);
        }
    }

    fn shutdown(&mut self, what: Shutdown, env: &Env) {
        self.guest_shut |= what;
        if what.contains(Shutdown::RECEIVE) {
            self.shut(How::Read);
            self.readable = false;
        }
        if self.backlog.is_empty() {
            self.all_sent(env);
        } else if self.guest_shut.is_all() {
            // The host program is given time as long as it reads.
            self.deadline = Some(Instant::now() + env.timeouts.linger);
        }
    }

    fn reset_by_guest(&mut self, env: &Env) {
        if matches!(self.phase, Phase::Requested) {
            env.metrics.refused.increment();
        }
        if self.backlog.is_empty() {
            return self.close(env);
        }
        // The guest is done with it, but what it sent before is still delivered.
        self.phase = Phase::Draining;
        self.pending = Pending::empty();
        self.deadline = Some(Instant::now() + env.timeouts.linger);
    }
}
