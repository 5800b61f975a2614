//! The bytes of a layer, unpacked by a thread of their own.
//!
//! That thread reads, hashes what is packed and unpacks it; the one that imports hashes what is
//! unpacked and takes it apart. Buffers go round between them, so that nothing is copied.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Scope, ScopedJoinHandle};

use sha2::{Digest as _, Sha256};

use super::packing::Packing;
use super::{ImportError, Limits};
use crate::Digest;

/// Bytes that one thread gives to the other at once.
const PIECE: usize = 256 << 10;
/// Buffers on their way.
const PIECES: usize = 4;

/// A digest and how many bytes it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Measured {
    pub(super) digest: Digest,
    pub(super) size: u64,
}

/// A buffer of unpacked bytes.
struct Piece {
    bytes: Vec<u8>,
    /// How many of them are filled.
    len: usize,
    /// Packed bytes that were read until then.
    packed: u64,
}

/// The unpacked bytes of a layer.
pub(super) struct Stream<'l> {
    limits: &'l Limits,
    pieces: Receiver<Result<Piece, ImportError>>,
    spent: SyncSender<Vec<u8>>,
    piece: Option<Piece>,
    position: usize,
    hash: Sha256,
    size: u64,
}

/// The thread at the other end.
pub(super) type Unpacker<'scope> = ScopedJoinHandle<'scope, Option<Measured>>;

/// Starts to unpack `reader`.
pub(super) fn unpack<'scope, 'l>(
    scope: &'scope Scope<'scope, '_>,
    reader: impl Read + Send + 'scope,
    limits: &'l Limits,
) -> Result<(Stream<'l>, Unpacker<'scope>), ImportError> {
    let (sender, pieces) = sync_channel(PIECES);
    let (spent, buffers) = sync_channel(PIECES);
    for _ in 0..PIECES {
        // The channel has room for all.
        let _ = spent.try_send(vec![0; PIECE]);
    }
    let unpacker = thread::Builder::new()
        .name("unpack".to_owned())
        .spawn_scoped(scope, move || match send_pieces(reader, &sender, &buffers) {
            Ok(measured) => measured,
            Err(error) => {
                // Nobody may listen any more.
                let _ = sender.send(Err(error));
                None
            }
        })
        .map_err(ImportError::Thread)?;
    let (piece, position, hash, size) = (None, 0, Sha256::new(), 0);
    Ok((Stream { limits, pieces, spent, piece, position, hash, size }, unpacker))
}

impl Stream<'_> {
    /// What comes next and was not consumed: nothing at the end only.
    pub(super) fn fill(&mut self) -> Result<&[u8], ImportError> {
        if self.piece.as_ref().is_none_or(|piece| self.position >= piece.len) {
            if let Some(piece) = self.piece.take() {
                // When the other thread has ended it needs none.
                let _ = self.spent.try_send(piece.bytes);
            }
            self.position = 0;
            if let Ok(next) = self.pieces.recv() {
                self.take(next?)?;
            }
        }
        let piece = self.piece.as_ref();
        Ok(piece.and_then(|piece| piece.bytes.get(self.position..piece.len)).unwrap_or_default())
    }

    /// Marks the first `count` bytes as used.
    pub(super) fn consume(&mut self, count: usize) {
        self.position += count;
    }

    /// Fills `bytes`; `false` if the stream ends before its first byte.
    pub(super) fn read_exact(&mut self, bytes: &mut [u8]) -> Result<bool, ImportError> {
        let mut done = 0;
        while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let next = self.fill()?;
            let len = next.len().min(rest.len());
            if len == 0 {
                return if done == 0 { Ok(false) } else { Err(ImportError::Truncated) };
            }
            rest.iter_mut().zip(next).for_each(|(to, from)| *to = *from);
            self.consume(len);
            done += len;
        }
        Ok(true)
    }

    /// Reads to the end, and says what all of it was.
    pub(super) fn finish(mut self) -> Result<Measured, ImportError> {
        loop {
            let rest = self.fill()?.len();
            if rest == 0 {
                let digest = Digest::from_bytes(self.hash.finalize().into());
                return Ok(Measured { digest, size: self.size });
            }
            self.consume(rest);
        }
    }

    fn take(&mut self, piece: Piece) -> Result<(), ImportError> {
        self.size += piece.len as u64;
        if self.size > self.limits.bytes {
            return Err(ImportError::TooLarge(self.limits.bytes));
        }
        let dense = piece.packed.max(1).saturating_mul(self.limits.ratio);
        if self.size > Limits::RATIO_FROM && self.size > dense {
            return Err(ImportError::TooDense(self.limits.ratio));
        }
        self.hash.update(piece.bytes.get(..piece.len).unwrap_or_default());
        self.piece = Some(piece);
        Ok(())
    }
}

/// Sends all of `reader` unpacked; `None` if nobody wants it any more.
fn send_pieces(
    reader: impl Read,
    pieces: &SyncSender<Result<Piece, ImportError>>,
    buffers: &Receiver<Vec<u8>>,
) -> Result<Option<Measured>, ImportError> {
    let (count, failed) = (Cell::new(0), Cell::new(false));
    let packed = Packed { reader, hash: Sha256::new(), count: &count, failed: &failed };
    let mut packed = BufReader::with_capacity(PIECE, packed);
    let packing = Packing::of(packed.fill_buf().map_err(ImportError::Read)?);
    let error = |source| match failed.get() {
        true => ImportError::Read(source),
        false => ImportError::Unpack { packing, source },
    };
    let mut unpacked = packing.unpack(&mut packed).map_err(error)?;
    loop {
        let Ok(mut bytes) = buffers.recv() else { return Ok(None) };
        let len = fill(&mut unpacked, &mut bytes).map_err(error)?;
        if len == 0 {
            break;
        }
        let piece = Piece { bytes, len, packed: count.get() };
        if pieces.send(Ok(piece)).is_err() {
            return Ok(None);
        }
    }
    drop(unpacked);
    let digest = Digest::from_bytes(packed.into_inner().hash.finalize().into());
    Ok(Some(Measured { digest, size: count.get() }))
}

/// Fills `bytes` as far as the reader goes.
fn fill(reader: &mut impl Read, bytes: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Hashes and counts what is read.
struct Packed<'c, R> {
    reader: R,
    hash: Sha256,
    count: &'c Cell<u64>,
    /// Whether it was the reader that failed.
    failed: &'c Cell<bool>,
}

impl<R: Read> Read for Packed<'_, R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let result = self.reader.read(bytes);
        match &result {
            Ok(n) => {
                self.hash.update(bytes.get(..*n).unwrap_or_default());
                self.count.set(self.count.get() + *n as u64);
            }
            Err(error) => self.failed.set(error.kind() != io::ErrorKind::Interrupted),
        }
        result
    }
}
