//! Bytes that a host program's socket did not take yet.

use std::io;
use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::net::{SendFlags, send};

use crate::virtio::Buffers;

/// A queue of bytes. What bounds it is the credit that the guest was granted.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    bytes: Vec<u8>,
    /// How many of `bytes` are gone.
    start: usize,
}

impl Backlog {
    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Whether none wait.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a copy of `data`.
    pub(super) fn push(&mut self, data: &Buffers) -> io::Result<()> {
        if self.start >= self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        let before = self.bytes.len();
        self.bytes.resize(before + data.len(), 0);
        let room = self.bytes.get_mut(before..).unwrap_or_default();
        if let Err(e) = data.copy_to(room) {
            self.bytes.truncate(before);
            return Err(e);
        }
        Ok(())
    }

    /// Sends what `socket` takes now; returns how many bytes that was.
    pub(super) fn flush(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let before = self.len();
        while !self.is_empty() {
            let waiting = self.bytes.get(self.start..).unwrap_or_default();
            match send(&socket, waiting, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(sent) => self.start += sent,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(before - self.len()),
                Err(e) => return Err(e.into()),
            }
        }
        self.clear();
        Ok(before)
    }

    /// Drops all bytes and gives their memory back; returns how many there were.
    pub(super) fn clear(&mut self) -> usize {
        let len = self.len();
        *self = Self::default();
        len
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;

    use vm_memory::GuestAddress;

    use super::*;
    use crate::memory::GuestRam;

    fn filled(data: &[u8]) -> Buffers {
        let ram = GuestRam::from_ranges(&[(GuestAddress(0), 1 << 20)]).unwrap();
        let mut buffers = Buffers::new(Arc::new(ram));
        buffers.push(GuestAddress(0), data.len());
        buffers.copy_from(data).unwrap();
        buffers
    }

    #[test]
    fn bytes_leave_in_order_through_a_socket_that_fills_up() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let data: Vec<u8> = (0..600_000u32).map(|i| (i % 251) as u8).collect();
        let mut backlog = Backlog::default();
        backlog.push(&filled(&data[..400_000])).unwrap();
        let first = backlog.flush(&ours).unwrap();
        assert!(first > 0 && first < 400_000, "the socket takes a part: {first}");
        backlog.push(&filled(&data[400_000..])).unwrap();
        let mut seen = vec![0; data.len()];
        let mut done = 0;
        while done < seen.len() {
            done += theirs.read(&mut seen[done..]).unwrap();
            backlog.flush(&ours).unwrap();
        }
        assert!(backlog.is_empty());
        assert!(seen == data);
    }

    #[test]
    fn peer_that_left_is_an_error() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let mut backlog = Backlog::default();
        backlog.push(&filled(b"abc")).unwrap();
        assert_eq!(backlog.flush(&ours).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(backlog.clear(), 3);
    }
}
