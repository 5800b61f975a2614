//! A file within an archive, read on another thread: the reader of the archive cannot be sent
//! there itself.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// What is handed over at once.
const PIECE: usize = 256 << 10;

/// Pieces on their way: enough that neither thread waits for the other for each.
const QUEUE: usize = 4;

/// Lets `consume` read `source` on a thread of its own.
///
/// # Errors
///
/// `source` failed; whatever `consume` made of what it got is dropped.
pub(super) fn pump<T: Send>(
    mut source: impl Read,
    consume: impl FnOnce(Pieces) -> T + Send,
) -> io::Result<T> {
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(QUEUE);
        let consumer =
            scope.spawn(|| consume(Pieces { receiver, piece: Vec::new(), read: 0, ended: false }));
        let sent = send_all(&mut source, &sender);
        drop(sender);
        match consumer.join() {
            Ok(result) => sent.map(|()| result),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Sends all, and an empty piece as the end.
fn send_all(source: &mut impl Read, sender: &SyncSender<Vec<u8>>) -> io::Result<()> {
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        let count = source.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
        // A consumer that wants no more says why in its result.
        if sender.send(piece).is_err() || count == 0 {
            return Ok(());
        }
    }
}

/// The other thread's end.
pub(super) struct Pieces {
    receiver: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    read: usize,
    ended: bool,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read == self.piece.len() && !self.ended {
            // A sender that goes away without the end has failed.
            self.piece = self.receiver.recv().map_err(|_| io::ErrorKind::UnexpectedEof)?;
            self.ended = self.piece.is_empty();
            self.read = 0;
        }
        let count = self.piece.get(self.read..).unwrap_or_default().read(buffer)?;
        self.read += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_thread_reads_what_there_is() {
        let bytes: Vec<u8> = (0..1_000_000u32).map(|number| number as u8).collect();
        let read = pump(bytes.as_slice(), |mut pieces| {
            let mut all = Vec::new();
            pieces.read_to_end(&mut all).map(|_| all)
        });
        assert!(read.unwrap().unwrap() == bytes);
    }

    #[test]
    fn reader_that_stops_early_does_not_block_the_sender() {
        let endless = io::repeat(1).take(100 << 20);
        assert_eq!(pump(endless, |_| 7).unwrap(), 7);
    }

    #[test]
    fn failure_of_the_source_is_no_end() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::ConnectionReset.into())
            }
        }
        let seen = std::sync::Mutex::new(None);
        let result = pump(b"head".chain(Broken), |mut pieces| {
            *seen.lock().unwrap() = Some(pieces.read_to_end(&mut Vec::new()).unwrap_err().kind());
        });
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(seen.into_inner().unwrap(), Some(io::ErrorKind::UnexpectedEof));
    }
}
