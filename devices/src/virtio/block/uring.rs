//! The io_uring engine: many requests for one system call, straight between the file and guest
//! memory.
//!
//! The ring is made disabled when the device is configured, and may then only do what is listed
//! in [`ALLOWED`] to its one registered file. It is enabled on the thread that first serves a
//! queue with it; from then on only that thread uses it. The kernel does its part of a completion
//! when that thread next enters it (COOP_TASKRUN), and interrupts its sleep for that.
//!
//! Completions that are there when a submission returns are taken at once and cost no event: the
//! eventfd is silenced but while the thread may sleep.
//!
//! Completions are not deferred further (DEFER_TASKRUN): the flag by which the kernel then says
//! that some wait can stay set when none do, so that whoever trusts it may spin for ever.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{Ordering, fence};

use io_uring::register::Restriction;
use io_uring::squeue::{Entry, Flags};
use io_uring::types::{Fixed, FsyncFlags};
use io_uring::{Builder, IoUring, opcode};
use log::error;
use rustix::fs::FallocateFlags;
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::engine::Flight;
use super::request::{Work, Zeroing};
use crate::disk::{BackingFile, Extent};
use crate::virtio::Buffers;
use crate::virtio::buffers::MAX_IOVECS;

/// The operations that a ring may do.
const ALLOWED: [u8; 6] = [
    opcode::Read::CODE,
    opcode::Readv::CODE,
    opcode::Write::CODE,
    opcode::Writev::CODE,
    opcode::Fsync::CODE,
    opcode::Fallocate::CODE,
];
/// `IORING_REGISTER_FILES_UPDATE` of linux/io_uring.h, by which the file is exchanged.
const REGISTER_FILES_UPDATE: u8 = 6;
/// The only registered file.
const FILE: Fixed = Fixed(0);
/// The kernel moves at most this many bytes for one request (MAX_RW_COUNT).
const MAX_TRANSFER: usize = 0x7fff_f000;

/// A ring and the requests that are in it.
pub(super) struct Uring {
    ring: IoUring,
    /// In the kernel, or about to be; the index is the entry's user data. Never reallocated, so
    /// that I/O vectors stay where they are.
    flights: Vec<Option<Flight>>,
    free: Vec<u16>,
    event: EventFd,
    enabled: bool,
    armed: bool,
    has_holes: bool,
}

impl Uring {
    /// A ring for `in_flight` requests to `file`, not yet enabled. Fails where io_uring is not
    /// permitted or too old.
    pub(super) fn new(file: BackingFile<'_>, in_flight: u16) -> io::Result<Self> {
        let entries = u32::from(in_flight);
        let ring = builder()
            .setup_single_issuer()
            .setup_coop_taskrun()
            .build(entries)
            // Linux before 6.0 knows neither.
            .or_else(|e| match e.raw_os_error() {
                Some(libc::EINVAL) => builder().build(entries),
                _ => Err(e),
            })?;
        let submitter = ring.submitter();
        submitter.register_files(&[file.fd.as_raw_fd()])?;
        let event = EventFd::new(EFD_NONBLOCK)?;
        submitter.register_eventfd(event.as_raw_fd())?;
        let mut rules: Vec<_> = ALLOWED.into_iter().map(Restriction::sqe_op).collect();
        rules.push(Restriction::sqe_flags_required(Flags::FIXED_FILE.bits()));
        rules.push(Restriction::register_op(REGISTER_FILES_UPDATE));
        submitter.register_restrictions(&mut rules)?;
        Ok(Self {
            ring,
            flights: (0..in_flight).map(|_| None).collect(),
            free: (0..in_flight).rev().collect(),
            event,
            enabled: false,
            armed: true,
            has_holes: file.has_holes,
        })
    }

    /// Makes the ring usable on this thread.
    pub(super) fn enable(&mut self) -> io::Result<()> {
        if !self.enabled {
            self.ring.submitter().register_enable_rings()?;
            self.enabled = true;
        }
        Ok(())
    }

    /// Puts `file` in the place of the old one. Nothing may be in flight.
    pub(super) fn replace_file(&mut self, file: BackingFile<'_>) -> io::Result<()> {
        self.ring.submitter().register_files_update(FILE.0, &[file.fd.as_raw_fd()])?;
        self.has_holes = file.has_holes;
        Ok(())
    }

    /// Whether as many requests are in flight as there can be.
    pub(super) fn is_full(&self) -> bool {
        self.free.is_empty()
    }

    /// Whether nothing is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.free.len() == self.flights.len()
    }

    /// Whether the ring can do `work`; what it cannot is done synchronously.
    pub(super) fn accepts(&self, work: &Work, durable: bool) -> bool {
        match work {
            Work::Read { .. } | Work::Write { .. } | Work::Flush => true,
            Work::Discard(extents) => self.has_holes && !extents.is_empty(),
            Work::WriteZeroes(zeroings) => self.has_holes && !zeroings.is_empty() && !durable,
            Work::GetId(_) => false,
        }
    }

    /// Adds a request to the next submission; returns it if there is no room or the ring cannot
    /// do it. A write is made durable before it completes if `durable`.
    #[must_use]
    pub(super) fn push(&mut self, flight: Flight, durable: bool) -> Option<Flight> {
        let Some(index) = self.free.pop() else { return Some(flight) };
        let Some(slot) = self.flights.get_mut(usize::from(index)) else { return Some(flight) };
        let placed = slot.insert(flight);
        let pushed = entry(&placed.request.work, durable).is_some_and(|entry| {
            let entry = entry.user_data(u64::from(index));
            // SAFETY: the entry's buffers are guest memory, which `flights` keeps mapped until
            // the completion, and vectors, which stay in place there. There is one file, open.
            unsafe { self.ring.submission().push(&entry).is_ok() }
        });
        if pushed {
            return None;
        }
        self.free.push(index);
        slot.take()
    }

    /// Hands what was pushed to the kernel. An error leaves it pushed, to be tried again.
    pub(super) fn submit(&mut self) -> io::Result<()> {
        if self.armed {
            self.armed = false;
            self.ring.completion().disable_eventfd();
        }
        let queue = self.ring.submission();
        if queue.is_empty() && !queue.cq_overflow() {
            return Ok(());
        }
        drop(queue);
        retried(|| self.ring.submit())
    }

    /// Asks for the event at the next completion. Returns false, and does not, if there are
    /// completions already.
    pub(super) fn arm(&mut self) -> bool {
        self.ring.completion().enable_eventfd();
        self.armed = true;
        // Whatever the kernel announces from here on it announces by the event as well: it looks
        // at the flag after that.
        fence(Ordering::SeqCst);
        self.ring.completion().is_empty()
    }

    /// Signalled, when asked for, by completions; to be watched for edges.
    pub(super) fn event(&self) -> &EventFd {
        &self.event
    }

    /// Takes the completions that are there. A transfer that was cut short goes on by itself with
    /// the next [`submit`](Self::submit), which is due if this returns true.
    pub(super) fn reap(&mut self, durable: bool, done: impl FnMut(Flight, io::Result<()>)) -> bool {
        let mut done = done;
        let mut resumed = false;
        while let Some((index, result)) = self.next_completion() {
            let Some(mut flight) = self.flights.get_mut(usize::from(index)).and_then(Option::take)
            else {
                error!("io_uring completed request {index}, which is not in flight");
                continue;
            };
            self.free.push(index);
            match progress(&mut flight.request.work, result) {
                Progress::Done(result) => done(flight, result),
                Progress::Partial => match self.push(flight, durable) {
                    None => resumed = true,
                    Some(flight) => done(flight, Err(io::ErrorKind::ResourceBusy.into())),
                },
            }
        }
        resumed
    }

    fn next_completion(&mut self) -> Option<(u16, i32)> {
        self.ring.completion().next().map(|c| (c.user_data() as u16, c.result()))
    }

    /// Submits an operation that is not allowed and returns its result.
    #[cfg(test)]
    pub(super) fn try_no_op(&mut self) -> i32 {
        // SAFETY: the operation has no buffers.
        unsafe { self.ring.submission().push(&opcode::Nop::new().build()).unwrap() };
        self.ring.submit_and_wait(1).unwrap();
        self.next_completion().unwrap().1
    }

    /// Waits until nothing is in flight.
    pub(super) fn drain(&mut self, durable: bool, mut done: impl FnMut(Flight, io::Result<()>)) {
        while !self.is_idle() {
            if let Err(e) = retried(|| self.ring.submit_and_wait(1)) {
                error!("failed to wait for io_uring: {e}");
                return;
            }
            self.reap(durable, &mut done);
        }
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        self.drain(false, |_, _| ());
        if !self.is_idle() {
            // The kernel may still write to the buffers: they stay mapped for ever.
            std::mem::forget(std::mem::take(&mut self.flights));
        }
    }
}

fn builder() -> Builder {
    let mut builder = IoUring::builder();
    builder.dontfork().setup_r_disabled();
    builder
}

/// Runs `call` until it is neither interrupted nor short of resources that completions free.
fn retried(call: impl Fn() -> io::Result<usize>) -> io::Result<()> {
    loop {
        match call() {
            Ok(_) => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// The entry for `work`; `None` if the ring cannot do it.
fn entry(work: &Work, durable: bool) -> Option<Entry> {
    let flags = if durable { libc::RWF_DSYNC } else { 0 };
    let entry = match work {
        Work::Read { data, offset } => match vectors(data)? {
            [one] => opcode::Read::new(FILE, one.iov_base.cast(), transfer_len(one))
                .offset(*offset)
                .build(),
            many => {
                opcode::Readv::new(FILE, many.as_ptr(), many.len() as u32).offset(*offset).build()
            }
        },
        Work::Write { data, offset } => match vectors(data)? {
            [one] => opcode::Write::new(FILE, one.iov_base.cast(), transfer_len(one))
                .offset(*offset)
                .rw_flags(flags)
                .build(),
            many => opcode::Writev::new(FILE, many.as_ptr(), many.len() as u32)
                .offset(*offset)
                .rw_flags(flags)
                .build(),
        },
        Work::Flush => opcode::Fsync::new(FILE).flags(FsyncFlags::DATASYNC).build(),
        Work::Discard(extents) => fallocate(*extents.last()?, FallocateFlags::PUNCH_HOLE),
        Work::WriteZeroes(zeroings) => match zeroings.last()? {
            Zeroing { extent, unmap: true } => fallocate(*extent, FallocateFlags::PUNCH_HOLE),
            Zeroing { extent, unmap: false } => fallocate(*extent, FallocateFlags::ZERO_RANGE),
        },
        Work::GetId(_) => return None,
    };
    Some(entry)
}

fn fallocate(extent: Extent, mode: FallocateFlags) -> Entry {
    let mode = (mode | FallocateFlags::KEEP_SIZE).bits() as i32;
    opcode::Fallocate::new(FILE, extent.len).offset(extent.offset).mode(mode).build()
}

/// The first vectors of `data`, as many as one call takes.
fn vectors(data: &Buffers) -> Option<&[libc::iovec]> {
    let all = data.iovecs()?;
    all.get(..all.len().min(MAX_IOVECS))
}

fn transfer_len(vector: &libc::iovec) -> u32 {
    vector.iov_len.min(MAX_TRANSFER) as u32
}

enum Progress {
    Done(io::Result<()>),
    Partial,
}

/// Judges the kernel's `result` for `work`; of a partial transfer `work` becomes the rest.
fn progress(work: &mut Work, result: i32) -> Progress {
    let Ok(moved) = usize::try_from(result) else {
        return match -result {
            libc::EINTR => Progress::Partial,
            errno => Progress::Done(Err(io::Error::from_raw_os_error(errno))),
        };
    };
    let (data, offset, at_end) = match work {
        Work::Read { data, offset } => (data, offset, io::ErrorKind::UnexpectedEof),
        Work::Write { data, offset } => (data, offset, io::ErrorKind::WriteZero),
        // The parts of one request are done one after the other, from the last.
        Work::Discard(extents) => {
            extents.pop();
            return if extents.is_empty() { Progress::Done(Ok(())) } else { Progress::Partial };
        }
        Work::WriteZeroes(zeroings) => {
            zeroings.pop();
            return if zeroings.is_empty() { Progress::Done(Ok(())) } else { Progress::Partial };
        }
        Work::Flush | Work::GetId(_) => return Progress::Done(Ok(())),
    };
    if moved >= data.len() {
        Progress::Done(Ok(()))
    } else if moved == 0 {
        Progress::Done(Err(at_end.into()))
    } else {
        data.advance(moved);
        *offset = offset.saturating_add(moved as u64);
        Progress::Partial
    }
}
