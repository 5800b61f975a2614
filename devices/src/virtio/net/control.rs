//! The control queue (VIRTIO 1.3, 5.1.6.5).

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use log::warn;
use virtio_bindings::virtio_net::{VIRTIO_NET_ERR, VIRTIO_NET_OK, VIRTIO_NET_S_ANNOUNCE};

use self::command::{Command, Refused};
use super::config::{guest_offload_bits, guest_offloads, largest_frame};
use super::filter::{MacAddress, RxFilter};
use super::handler::PairHandler;
use super::metrics::NetMetrics;
use super::rx::RxMode;
use crate::occurrences::Occurrences;
use crate::virtio::buffers::Buffers;
use crate::virtio::device::StartQueueError;
use crate::virtio::event_loop::{Context, Handler, Remote};
use crate::virtio::queue::{Queue, QueueState};

mod command;

/// Commands taken in one go.
const BURST: usize = 64;

/// What the driver changes through the control queue and reads in the configuration space.
#[derive(Debug, Default)]
pub(super) struct Visible {
    mac: Mutex<Option<MacAddress>>,
    status: AtomicU16,
}

impl Visible {
    pub(super) fn mac(&self) -> Option<MacAddress> {
        *self.lock()
    }

    pub(super) fn set_mac(&self, mac: Option<MacAddress>) {
        *self.lock() = mac;
    }

    fn lock(&self) -> MutexGuard<'_, Option<MacAddress>> {
        // Plain bytes: there is no state that a panic could leave half-made.
        self.mac.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn status(&self) -> u16 {
        self.status.load(Ordering::Relaxed)
    }

    /// Sets or clears status bits.
    pub(super) fn set_status(&self, bits: u32, on: bool) {
        let bits = bits as u16;
        if on {
            self.status.fetch_or(bits, Ordering::Relaxed);
        } else {
            self.status.fetch_and(!bits, Ordering::Relaxed);
        }
    }
}

/// A command whose effect other event loops have yet to confirm.
struct Pending {
    /// Tells its confirmations from those of a command that was cut off by a reset.
    number: u64,
    head: u16,
    status: Buffers,
    missing: usize,
    refused: bool,
}

/// The back of the control queue.
pub(super) struct ControlHandler {
    visible: Arc<Visible>,
    metrics: Arc<NetMetrics>,
    pairs: Vec<Remote<PairHandler>>,
    mtu: Option<u16>,
    /// For the pairs to answer.
    this: Option<Remote<Self>>,
    queue: Option<Queue>,
    features: u64,
    filter: RxFilter,
    mode: RxMode,
    pending: Option<Pending>,
    /// How many commands needed confirmation so far.
    count: u64,
    refusals: Occurrences,
}

impl ControlHandler {
    pub(super) fn new(
        visible: Arc<Visible>,
        metrics: Arc<NetMetrics>,
        pairs: Vec<Remote<PairHandler>>,
        mtu: Option<u16>,
    ) -> Self {
        Self {
            visible,
            metrics,
            pairs,
            mtu,
            this: None,
            queue: None,
            features: 0,
            filter: RxFilter::open(None),
            mode: RxMode::default(),
            pending: None,
            count: 0,
            refusals: Occurrences::new(),
        }
    }

    pub(super) fn set_this(&mut self, this: Remote<Self>) {
        self.this = Some(this);
    }

    /// The driver begins anew, with these features.
    pub(super) fn begin(&mut self, features: u64, mode: RxMode) {
        self.features = features;
        self.mode = mode;
        self.filter = RxFilter::open(self.visible.mac());
        self.spread_filter();
    }

    fn run(&mut self, cx: &mut Context<'_>) {
        for _ in 0..BURST {
            if self.pending.is_some() {
                return;
            }
            let Some(queue) = &mut self.queue else { return };
            let Some(mut chain) = queue.next() else { return };
            queue.metrics().bytes_from_guest.add(chain.readable.len() as u64);
            // A chain without room for the answer is dropped unread.
            if chain.writable.is_empty() {
                queue.metrics().malformed.increment();
                self.finish(chain.head, None);
                continue;
            }
            let result = Command::take(&mut chain.readable, self.features)
                .and_then(|command| self.obey(command));
            match result {
                Ok(0) => self.finish(chain.head, Some((&chain.writable, false))),
                Ok(missing) => {
                    let (number, head, status) = (self.count, chain.head, chain.writable);
                    let refused = false;
                    self.pending = Some(Pending { number, head, status, missing, refused });
                }
                Err(Refused) => self.finish(chain.head, Some((&chain.writable, true))),
            }
        }
        if let Some(queue) = &self.queue {
            cx.kick_again(queue.index());
        }
    }

    /// Answers a command.
    fn finish(&mut self, head: u16, answer: Option<(&Buffers, bool)>) {
        let Some(queue) = &mut self.queue else { return };
        let mut written = 0;
        if let Some((status, refused)) = answer {
            let code = if refused { VIRTIO_NET_ERR } else { VIRTIO_NET_OK };
            if refused {
                self.metrics.control_errors.increment();
                queue.metrics().errors.increment();
            }
            written = status.copy_from(&[code as u8]).unwrap_or(0);
        }
        queue.complete(head, written as u32);
        queue.signal();
    }

    /// Does what the driver wants. Returns how many pairs have yet to confirm.
    fn obey(&mut self, command: Command) -> Result<usize, Refused> {
        match command {
            Command::Filter(change) => {
                change.apply(&mut self.filter);
                self.spread_filter();
            }
            Command::Address(mac) => {
                self.visible.set_mac(Some(mac));
                self.filter.address = Some(mac);
                self.spread_filter();
            }
            Command::Announced => self.visible.set_status(VIRTIO_NET_S_ANNOUNCE, false),
            Command::Pairs(count) => return self.set_pairs(count),
            Command::GuestOffloads(bits) => return self.set_offloads(bits),
        }
        Ok(0)
    }

    fn spread_filter(&self) {
        let filter = Arc::new(self.filter.clone());
        for pair in &self.pairs {
            let filter = Arc::clone(&filter);
            // A loop that has ended receives nothing.
            let _ = pair.cast(move |handler, _| handler.set_filter(filter));
        }
    }

    fn set_pairs(&mut self, count: u16) -> Result<usize, Refused> {
        let count = usize::from(count);
        if count == 0 || count > self.pairs.len() {
            return Err(Refused);
        }
        let this = self.this.clone().ok_or(Refused)?;
        let number = self.next_number();
        for (index, pair) in self.pairs.iter().enumerate() {
            let this = this.clone();
            let set = pair.cast(move |handler, cx| {
                let failed = handler.set_enabled(index < count, cx).is_err();
                let _ = this.cast(move |control, cx| control.confirm(number, failed, cx));
            });
            set.map_err(|_| Refused)?;
        }
        Ok(self.pairs.len())
    }

    fn set_offloads(&mut self, bits: u64) -> Result<usize, Refused> {
        if bits & !guest_offload_bits(self.features) != 0 {
            return Err(Refused);
        }
        let offloads = guest_offloads(bits);
        self.mode.largest = largest_frame(self.mtu, offloads);
        let (this, mode) = (self.this.clone().ok_or(Refused)?, self.mode);
        let number = self.next_number();
        for (index, pair) in self.pairs.iter().enumerate() {
            let this = this.clone();
            let set = pair.cast(move |handler, _| {
                handler.set_mode(mode);
                // One queue of the backend stands for all.
                let failed = index == 0 && handler.set_offloads(offloads).is_err();
                let _ = this.cast(move |control, cx| control.confirm(number, failed, cx));
            });
            set.map_err(|_| Refused)?;
        }
        Ok(self.pairs.len())
    }

    fn next_number(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// A pair did, or failed to do, what the pending command wants.
    fn confirm(&mut self, number: u64, failed: bool, cx: &mut Context<'_>) {
        let Some(pending) = self.pending.as_mut().filter(|p| p.number == number) else { return };
        pending.refused |= failed;
        pending.missing = pending.missing.saturating_sub(1);
        if pending.missing == 0
            && let Some(Pending { head, status, refused, .. }) = self.pending.take()
        {
            if refused && let Some(seen) = self.refusals.next() {
                warn!(
                    "the host's network interface refused a command of the guest ({seen} so far)"
                );
            }
            self.finish(head, Some((&status, refused)));
            self.run(cx);
        }
    }
}

impl Handler for ControlHandler {
    fn start_queue(&mut self, queue: Queue, _cx: &mut Context<'_>) -> Result<(), StartQueueError> {
        self.queue = Some(queue);
        Ok(())
    }

    fn stop_queue(&mut self, _index: u16, _cx: &mut Context<'_>) -> Option<QueueState> {
        // The messages are on their way and will be obeyed before any later ones.
        if let Some(Pending { head, status, refused, .. }) = self.pending.take() {
            self.finish(head, Some((&status, refused)));
        }
        self.queue.take().map(|queue| queue.state())
    }

    fn kicked(&mut self, _index: u16, cx: &mut Context<'_>) {
        self.run(cx);
    }
}
