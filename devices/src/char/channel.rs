//! What joins a device with the host's side of its stream.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::host::HostEnd;
use super::panic_watch::PanicWatch;
use super::ring::Ring;
use crate::legacy::GuestRequests;
use crate::metrics::Counter;

/// Bytes of input that wait for the guest at most; then the host's end stops reading.
pub(super) const INPUT: usize = 4096;

/// What is counted for a stream.
#[derive(Debug, Default)]
pub struct ChannelMetrics {
    /// Bytes that the guest wrote.
    pub output: Counter,
    /// Bytes that the guest was given.
    pub input: Counter,
    /// Bytes of output that the backend was too slow for.
    pub dropped: Counter,
}

pub(super) struct State {
    pub(super) ring: Ring,
    pub(super) input: VecDeque<u8>,
    /// How far the backend got, where there is one that holds the guest back.
    pub(super) backend_at: Option<u64>,
    /// The guest waits until the backend has taken more.
    pub(super) guest_waits: bool,
    /// The host's end stopped reading, as `input` was full.
    pub(super) host_waits: bool,
    /// The host's end was told of output that it has not looked at yet.
    pub(super) host_told: bool,
    /// Looks for a kernel's panic in the output.
    watch: Option<PanicWatch>,
}

impl State {
    /// Bytes that the guest can write before the backend loses any.
    pub(super) fn room(&self) -> usize {
        self.backend_at.map_or(usize::MAX, |at| {
            let waiting = usize::try_from(self.ring.end() - at).unwrap_or(usize::MAX);
            self.ring.capacity().saturating_sub(waiting)
        })
    }
}

pub(super) struct Shared {
    state: Mutex<State>,
    pub(super) wake_guest: EventFd,
    pub(super) wake_host: EventFd,
    pub(super) metrics: ChannelMetrics,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Each holder leaves it consistent at every step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sets an eventfd. It can fail only when it is set already, and more than 2^64 - 2 times.
pub(super) fn set(event: &EventFd) {
    let _ = event.write(1);
}

/// Clears an eventfd. It fails only when it is clear already.
pub(super) fn clear(event: &EventFd) {
    let _ = event.read();
}

/// Makes a stream of which the last `capacity` bytes of output are kept.
pub(super) fn channel(capacity: usize) -> io::Result<(GuestEnd, HostEnd)> {
    let state = State {
        ring: Ring::new(capacity),
        input: VecDeque::new(),
        backend_at: None,
        guest_waits: false,
        host_waits: false,
        host_told: false,
        watch: None,
    };
    let shared = Arc::new(Shared {
        state: Mutex::new(state),
        wake_guest: EventFd::new(EFD_NONBLOCK)?,
        wake_host: EventFd::new(EFD_NONBLOCK)?,
        metrics: ChannelMetrics::default(),
    });
    let host = HostEnd::new(Arc::clone(&shared))?;
    Ok((GuestEnd { shared }, host))
}

/// The device's end of a stream. Nothing here blocks.
#[derive(Clone)]
pub struct GuestEnd {
    shared: Arc<Shared>,
}

impl GuestEnd {
    /// From now on a kernel's panic in the output is passed on to `requests`.
    pub fn report_panics(&self, requests: Arc<dyn GuestRequests>) {
        self.shared.lock().watch = Some(PanicWatch::new(requests));
    }

    /// Writes output. What the backend is too slow for is lost, oldest first.
    pub fn write(&self, data: &[u8]) {
        let mut state = self.shared.lock();
        self.append(&mut state, data);
    }

    /// Writes output as far as the backend keeps up, and returns how much that is. Where it is
    /// less than all, [`event`](Self::event) is set as soon as there is room.
    pub fn try_write(&self, data: &[u8]) -> usize {
        let mut state = self.shared.lock();
        let len = data.len().min(state.room());
        self.append(&mut state, &data[..len]);
        if len < data.len() && !state.guest_waits {
            state.guest_waits = true;
            // The host's end is to watch over the time that this takes.
            set(&self.shared.wake_host);
        }
        len
    }

    fn append(&self, state: &mut State, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        state.ring.append(data);
        if let Some(watch) = &mut state.watch {
            watch.see(data);
        }
        self.shared.metrics.output.add(data.len() as u64);
        // Serial ports write bytes one by one; a system call for each would cost more than they.
        if !std::mem::replace(&mut state.host_told, true) {
            set(&self.shared.wake_host);
        }
    }

    /// Takes input; returns how many bytes there were.
    pub fn read(&self, data: &mut [u8]) -> usize {
        let mut state = self.shared.lock();
        let len = data.len().min(state.input.len());
        for (to, from) in data.iter_mut().zip(state.input.drain(..len)) {
            *to = from;
        }
        self.shared.metrics.input.add(len as u64);
        if len > 0 && state.host_waits {
            state.host_waits = false;
            set(&self.shared.wake_host);
        }
        len
    }

    /// Bytes of input that wait.
    pub fn input_waiting(&self) -> usize {
        self.shared.lock().input.len()
    }

    /// Set when there is new input, or room again after a short [`try_write`](Self::try_write).
    /// To be cleared with [`clear_event`](Self::clear_event) before looking.
    pub fn event(&self) -> &EventFd {
        &self.shared.wake_guest
    }

    /// Clears [`event`](Self::event).
    pub fn clear_event(&self) {
        clear(&self.shared.wake_guest);
    }

    /// What was counted.
    pub fn metrics(&self) -> &ChannelMetrics {
        &self.shared.metrics
    }

    /// Access to the last output.
    pub fn log(&self) -> ConsoleLog {
        ConsoleLog(Arc::clone(&self.shared))
    }
}

impl io::Write for GuestEnd {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        GuestEnd::write(self, data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The last output of a stream, for whoever has to explain what happened.
#[derive(Clone)]
pub struct ConsoleLog(Arc<Shared>);

impl ConsoleLog {
    /// The last `len` bytes, or what is kept of them.
    pub fn tail(&self, len: usize) -> Vec<u8> {
        self.0.lock().ring.tail(len)
    }
}
