//! How much each side of a connection may send (VIRTIO 1.3, 5.10.6.3): plain arithmetic on
//! counters that wrap.

use std::num::Wrapping;

use super::packet::Header;

/// The guest sent more than it had been granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the guest sent {excess} bytes more than it was granted")]
pub(super) struct Overrun {
    excess: u32,
}

/// The credit of one connection, in both directions.
#[derive(Debug, Clone)]
pub(super) struct Credit {
    /// Bytes that we buffer for what the guest sends.
    window: u32,
    /// Bytes that the guest sent.
    received: Wrapping<u32>,
    /// Bytes of these that the host program's socket took.
    forwarded: Wrapping<u32>,
    /// What the guest last heard of `forwarded`.
    announced: Wrapping<u32>,
    /// Bytes that the guest buffers for what we send.
    guest_window: u32,
    /// Bytes that left the guest's buffer.
    guest_forwarded: Wrapping<u32>,
    /// Bytes that we sent.
    sent: Wrapping<u32>,
}

impl Credit {
    /// A connection that grants `window` bytes and may send nothing until it hears from the guest.
    pub(super) fn new(window: u32) -> Self {
        Self {
            window,
            received: Wrapping(0),
            forwarded: Wrapping(0),
            announced: Wrapping(0),
            guest_window: 0,
            guest_forwarded: Wrapping(0),
            sent: Wrapping(0),
        }
    }

    /// Bytes granted.
    pub(super) fn window(&self) -> u32 {
        self.window
    }

    /// Takes the guest's credit from any packet of its.
    pub(super) fn hear(&mut self, header: &Header) {
        self.guest_window = header.buf_alloc.get();
        self.guest_forwarded = Wrapping(header.fwd_cnt.get());
    }

    /// Bytes that may be sent now. A guest that claims to have forwarded more than it was sent, or
    /// shrinks its buffer below what is in it, gets nothing until it is reasonable again.
    pub(super) fn sendable(&self) -> u32 {
        self.guest_window.saturating_sub((self.sent - self.guest_forwarded).0)
    }

    /// Counts `len` bytes sent.
    pub(super) fn send(&mut self, len: u32) {
        self.sent += len;
    }

    /// Counts `len` bytes that the guest sent.
    pub(super) fn receive(&mut self, len: u32) -> Result<(), Overrun> {
        let room = self.window.saturating_sub((self.received - self.forwarded).0);
        match len.checked_sub(room) {
            None | Some(0) => {
                self.received += len;
                Ok(())
            }
            Some(excess) => Err(Overrun { excess }),
        }
    }

    /// Counts `len` bytes that left our buffer.
    pub(super) fn forward(&mut self, len: usize) {
        // No more than `window` bytes can be in the buffer.
        self.forwarded += len as u32;
    }

    /// Writes our credit into a packet.
    pub(super) fn announce(&mut self, header: &mut Header) {
        header.buf_alloc = self.window.into();
        header.fwd_cnt = self.forwarded.0.into();
        self.announced = self.forwarded;
    }

    /// Whether so much of the window was freed since the guest last heard that a packet should
    /// tell it. With half a window the guest always has the other half to go on with.
    pub(super) fn update_due(&self) -> bool {
        (self.forwarded - self.announced).0 >= self.window / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(window: u32, forwarded: u32) -> Header {
        Header { buf_alloc: window.into(), fwd_cnt: forwarded.into(), ..Header::default() }
    }

    #[test]
    fn nothing_may_be_sent_before_the_guest_was_heard() {
        assert_eq!(Credit::new(10).sendable(), 0);
    }

    #[test]
    fn counters_wrap_at_four_gigabytes() {
        let mut credit = Credit::new(1 << 20);
        for step in 1..=5000u32 {
            credit.hear(&heard(1 << 20, (step - 1).wrapping_mul(1 << 20)));
            assert_eq!(credit.sendable(), 1 << 20);
            credit.send(1 << 20);
            assert_eq!(credit.sendable(), 0);
            credit.receive(1 << 20).unwrap();
            assert_eq!(credit.receive(1), Err(Overrun { excess: 1 }));
            credit.forward(1 << 20);
        }
    }

    #[test]
    fn claims_beyond_reason_give_no_credit() {
        let mut credit = Credit::new(10);
        credit.hear(&heard(100, 0));
        credit.send(60);
        credit.hear(&heard(100, 61));
        assert_eq!(credit.sendable(), 0);
        credit.hear(&heard(50, 0));
        assert_eq!(credit.sendable(), 0);
        credit.hear(&heard(100, 60));
        assert_eq!(credit.sendable(), 100);
    }

    #[test]
    fn update_is_due_at_half_a_window_until_it_is_announced() {
        let mut credit = Credit::new(10);
        credit.receive(9).unwrap();
        credit.forward(4);
        assert!(!credit.update_due());
        credit.forward(1);
        assert!(credit.update_due());
        let mut header = Header::default();
        credit.announce(&mut header);
        assert_eq!((header.buf_alloc.get(), header.fwd_cnt.get()), (10, 5));
        assert!(!credit.update_due());
    }
}
