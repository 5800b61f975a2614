//! Networks whose name server is asked over the host's own sockets.

use std::io;
use std::os::fd::BorrowedFd;

use super::counter::Counter;
use super::question::Asker;
use super::stream::Stream;
use super::zone::{self, Verdict};
use super::{Dns, LONGEST, PLAIN_ANSWER};
use crate::control::Network;
use crate::core::Core;
use crate::core::poller::{EventFlags, Source, Token};

/// Questions taken from a socket before others have their turn.
const BURST: usize = 64;

impl Dns {
    /// Opens the sockets of a network, in place of those that it had.
    pub(crate) fn open_counters(&mut self, core: &mut Core, network: &Network) -> io::Result<()> {
        self.close_counters(&network.id);
        let gateways = network.subnets.iter().filter(|_| network.on_host);
        for subnet in gateways {
            for counter in Counter::open(&network.id, subnet.gateway)? {
                let id = core.next_id();
                let token = Token::new(Source::DnsCounter, id);
                core.poller.watch(counter.fd(), token, EventFlags::IN)?;
                self.counters.insert(id, counter);
            }
        }
        Ok(())
    }

    /// Closes the sockets of a network.
    pub(crate) fn close_counters(&mut self, network: &str) {
        self.counters.retain(|_, counter| counter.network != network);
    }

    pub(crate) fn counter_fd(&self, id: u64) -> Option<BorrowedFd<'_>> {
        self.counters.get(&id).map(Counter::fd)
    }

    /// Questions have come in, or connections for some.
    ///
    /// # Errors
    ///
    /// No connection can be accepted now.
    pub(crate) fn counter_is_ready(&mut self, core: &mut Core, id: u64) -> io::Result<()> {
        let Some(counter) = self.counters.get(&id) else { return Ok(()) };
        if counter.takes_connections() {
            return self.take_connections(core, id);
        }
        let mut message = vec![0; LONGEST];
        for _ in 0..BURST {
            let Some(counter) = self.counters.get(&id) else { break };
            let Some((port, caller, len)) = counter.receive(core, &mut message) else { break };
            let question = message.get(..len).unwrap_or_default();
            match zone::judge(core, port, question, PLAIN_ANSWER) {
                Verdict::Answer(answer) => counter.answer(caller, &answer),
                Verdict::Forward => {
                    self.forward(core, port, Asker::Caller { counter: id, caller }, question);
                }
                Verdict::Drop => {}
            }
        }
        Ok(())
    }

    fn take_connections(&mut self, core: &mut Core, id: u64) -> io::Result<()> {
        for _ in 0..BURST {
            let Some(counter) = self.counters.get(&id) else { break };
            let Some((port, fd)) = counter.connection(core)? else { break };
            // One too many is closed.
            if !core.begin_flow(port) {
                continue;
            }
            let stream = core.next_id();
            if let Err(error) = self.begin_stream(core, stream, Stream::new(fd, port, true)) {
                core.end_flow(port);
                return Err(error);
            }
        }
        Ok(())
    }
}
