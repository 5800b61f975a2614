//! Device status, feature negotiation and the life of queues, for every transport (VIRTIO 1.3,
//! sections 2.1, 2.2, 2.6 and 3.1).
//!
//! ```text
//!          ACKNOWLEDGE, DRIVER       FEATURES_OK            DRIVER_OK
//!  reset ──────────────────► known ─────────────► agreed ──────────────► running ◄──► paused
//!    ▲                                                                      │
//!    └────────────────────────────── status 0 ◄─────────────────────────────┘
//! ```
//!
//! The lock around a core may be held while its device's event loop stops a queue: event loops
//! never take it.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use log::error;
use virtio_bindings::virtio_config::{
    VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_FEATURES_OK, VIRTIO_CONFIG_S_NEEDS_RESET,
    VIRTIO_F_RING_RESET, VIRTIO_F_VERSION_1,
};
use virtio_bindings::virtio_ring::{VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::shared::Shared;
use crate::doorbell::Doorbells;
use crate::memory::Memory;
use crate::metrics::QueueMetrics;
use crate::virtio::device::{Activation, Interrupt, VirtioDevice};
use crate::virtio::queue::{Queue, QueueLayout, QueueLinks, QueueState};

/// Feature bits that transport and ring implement for every device.
const COMMON_FEATURES: u64 = 1 << VIRTIO_F_VERSION_1
    | 1 << VIRTIO_F_RING_RESET
    | 1 << VIRTIO_RING_F_EVENT_IDX
    | 1 << VIRTIO_RING_F_INDIRECT_DESC;

/// Where the driver rings for each queue.
#[derive(Clone)]
pub struct DoorbellPlan {
    /// Binds addresses to eventfds.
    pub doorbells: Arc<dyn Doorbells>,
    /// Address of queue 0's doorbell.
    pub base: u64,
    /// Bytes between the doorbells of two queues; 0 if all share one address and the driver writes
    /// the queue's index there.
    pub stride: u64,
}

impl DoorbellPlan {
    fn target(&self, index: u16) -> (u64, Option<u32>) {
        let datamatch = (self.stride == 0).then_some(u32::from(index));
        (self.base + self.stride * u64::from(index), datamatch)
    }
}

struct Slot {
    max_size: u16,
    layout: QueueLayout,
    enabled: bool,
    running: bool,
    /// Where the queue goes on when it is started next.
    state: QueueState,
    kick: Arc<EventFd>,
    metrics: Arc<QueueMetrics>,
    rung_in_kernel: bool,
}

/// A device with what the driver negotiated for it.
pub struct Core {
    device: Arc<Mutex<dyn VirtioDevice>>,
    memory: Memory,
    plan: DoorbellPlan,
    interrupt: Arc<dyn Interrupt>,
    pub(super) shared: Arc<Shared>,
    /// Which half of the device's features is shown (0 or 1).
    pub(super) device_features_select: u32,
    /// Which half of the driver's features is written.
    pub(super) driver_features_select: u32,
    driver_features: u64,
    /// The queue that queue registers refer to.
    pub(super) queue_select: u16,
    slots: Vec<Slot>,
    paused: bool,
}

impl Core {
    /// A device in reset. `shared` is what `interrupt` works on.
    pub(super) fn new(
        device: Arc<Mutex<dyn VirtioDevice>>,
        memory: Memory,
        plan: DoorbellPlan,
        interrupt: Arc<dyn Interrupt>,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        let sizes = lock(&device).queue_sizes().to_vec();
        let slots = sizes
            .into_iter()
            .map(|max_size| -> io::Result<Slot> {
                Ok(Slot {
                    max_size,
                    layout: QueueLayout { size: max_size, ..QueueLayout::default() },
                    enabled: false,
                    running: false,
                    state: QueueState::default(),
                    kick: Arc::new(EventFd::new(EFD_NONBLOCK)?),
                    metrics: Arc::default(),
                    rung_in_kernel: false,
                })
            })
            .collect::<io::Result<_>>()?;
        Ok(Self {
            device,
            memory,
            plan,
            interrupt,
            shared,
            device_features_select: 0,
            driver_features_select: 0,
            driver_features: 0,
            queue_select: 0,
            slots,
            paused: false,
        })
    }

    /// The device's type, as its number in VIRTIO 1.3, section 5.
    pub fn device_type(&self) -> u32 {
        lock(&self.device).device_type() as u32
    }

    /// Number of queues.
    pub fn queue_count(&self) -> u16 {
        self.slots.len() as u16
    }

    /// The driver's doorbells, in the order of queues.
    pub fn kicks(&self) -> Vec<Arc<EventFd>> {
        self.slots.iter().map(|s| Arc::clone(&s.kick)).collect()
    }

    /// What is counted, in the order of queues.
    pub fn metrics(&self) -> Vec<Arc<QueueMetrics>> {
        self.slots.iter().map(|s| Arc::clone(&s.metrics)).collect()
    }

    fn offered(&self) -> u64 {
        lock(&self.device).features() | COMMON_FEATURES
    }

    /// The selected half of the features on offer.
    pub(super) fn device_features(&self) -> u32 {
        half(self.offered(), self.device_features_select)
    }

    /// The selected half of the features that the driver took.
    pub(super) fn driver_features(&self) -> u32 {
        half(self.driver_features, self.driver_features_select)
    }

    /// The driver writes the selected half of the features it takes; too late after FEATURES_OK.
    pub(super) fn set_driver_features(&mut self, value: u32) {
        if self.has(VIRTIO_CONFIG_S_FEATURES_OK) {
            return;
        }
        let value = u64::from(value);
        match self.driver_features_select {
            0 => self.driver_features = self.driver_features & !0xffff_ffff | value,
            1 => self.driver_features = self.driver_features & 0xffff_ffff | value << 32,
            _ => {}
        }
    }

    fn has(&self, bit: u32) -> bool {
        u32::from(self.shared.status()) & bit != 0
    }

    /// The driver writes the device status. Bits cannot be cleared but all at once, by 0.
    pub(super) fn set_status(&mut self, value: u8) {
        if value == 0 {
            self.reset();
            return;
        }
        let old = self.shared.status();
        let kept = old & !(VIRTIO_CONFIG_S_NEEDS_RESET as u8);
        if value & kept != kept {
            return;
        }
        // DEVICE_NEEDS_RESET is the device's to set.
        let mut new = u32::from(value | old) & !VIRTIO_CONFIG_S_NEEDS_RESET;
        let rising = new & !u32::from(old);
        if rising & VIRTIO_CONFIG_S_FEATURES_OK != 0 {
            let foreign = self.driver_features & !self.offered() != 0;
            if foreign || self.driver_features & 1 << VIRTIO_F_VERSION_1 == 0 {
                new &= !VIRTIO_CONFIG_S_FEATURES_OK;
            }
        }
        if new & VIRTIO_CONFIG_S_FEATURES_OK == 0 {
            new &= !VIRTIO_CONFIG_S_DRIVER_OK;
        }
        self.shared.add_status(new as u8);
        if rising & new & VIRTIO_CONFIG_S_DRIVER_OK != 0 {
            self.activate();
        }
    }

    fn activate(&mut self) {
        let activation =
            Activation { features: self.driver_features, interrupt: Arc::clone(&self.interrupt) };
        lock(&self.device).activate(activation);
        for index in 0..self.queue_count() {
            self.start(index);
        }
    }

    /// Starts queue `index` if the driver enabled it, the device is running and it is not already.
    fn start(&mut self, index: u16) {
        if self.paused || !self.has(VIRTIO_CONFIG_S_DRIVER_OK) {
            return;
        }
        let event_idx = self.driver_features & 1 << VIRTIO_RING_F_EVENT_IDX != 0;
        let (memory, interrupt) = (self.memory.clone(), Arc::clone(&self.interrupt));
        let Some(slot) = self.slots.get_mut(usize::from(index)) else { return };
        if !slot.enabled || slot.running {
            return;
        }
        ring_in_kernel(&self.plan, index, slot);
        let (kick, metrics) = (Arc::clone(&slot.kick), Arc::clone(&slot.metrics));
        let links = QueueLinks { memory, kick, interrupt, metrics };
        let queue = match Queue::new(index, slot.layout, event_idx, slot.state, links) {
            Ok(queue) => queue,
            Err(invalid) => return self.interrupt.needs_reset(&invalid.to_string()),
        };
        match lock(&self.device).start_queue(queue) {
            Ok(()) => slot.running = true,
            Err(e) => {
                error!("failed to start queue {index}: {e}");
                self.interrupt.needs_reset(&e.to_string());
            }
        }
    }

    fn stop(&mut self, index: u16) {
        let Some(slot) = self.slots.get_mut(usize::from(index)) else { return };
        if std::mem::take(&mut slot.running)
            && let Some(state) = lock(&self.device).stop_queue(index)
        {
            slot.state = state;
        }
    }

    /// Device reset (VIRTIO 1.3, 2.4): when it returns, nothing is in flight.
    pub fn reset(&mut self) {
        for index in 0..self.queue_count() {
            self.reset_queue(index);
        }
        lock(&self.device).reset();
        self.driver_features = 0;
        self.device_features_select = 0;
        self.driver_features_select = 0;
        self.queue_select = 0;
        self.shared.clear_status();
    }

    fn reset_queue(&mut self, index: u16) {
        self.stop(index);
        let Some(slot) = self.slots.get_mut(usize::from(index)) else { return };
        if std::mem::take(&mut slot.rung_in_kernel) {
            let (address, datamatch) = self.plan.target(index);
            if let Err(e) = self.plan.doorbells.unbind(address, datamatch, &slot.kick) {
                error!("failed to unbind the doorbell of queue {index}: {e}");
            }
        }
        slot.enabled = false;
        slot.state = QueueState::default();
        slot.layout = QueueLayout { size: slot.max_size, ..QueueLayout::default() };
    }

    /// Takes all queues out of service, with what is in flight completed; they keep their place.
    pub fn pause(&mut self) {
        self.paused = true;
        for index in 0..self.queue_count() {
            self.stop(index);
        }
    }

    /// Undoes [`pause`](Self::pause).
    pub fn resume(&mut self) {
        self.paused = false;
        for index in 0..self.queue_count() {
            self.start(index);
        }
    }

    fn selected(&self) -> Option<&Slot> {
        self.slots.get(usize::from(self.queue_select))
    }

    /// The selected queue's registers, as long as the driver may change them: before the queue is
    /// enabled.
    fn selected_for_setup(&mut self) -> Option<&mut Slot> {
        self.slots.get_mut(usize::from(self.queue_select)).filter(|s| !s.enabled)
    }

    /// The selected queue's largest size; 0 if there is no such queue.
    pub(super) fn queue_max_size(&self) -> u16 {
        self.selected().map_or(0, |s| s.max_size)
    }

    /// The selected queue's layout; zeroes if there is no such queue.
    pub(super) fn queue_layout(&self) -> QueueLayout {
        self.selected().map_or_else(QueueLayout::default, |s| s.layout)
    }

    /// Whether the selected queue is enabled.
    pub(super) fn queue_enabled(&self) -> bool {
        self.selected().is_some_and(|s| s.enabled)
    }

    /// The driver chooses the selected queue's size: a power of two, at most the largest; others
    /// are ignored.
    pub(super) fn set_queue_size(&mut self, size: u16) {
        if let Some(slot) = self.selected_for_setup()
            && size.is_power_of_two()
            && size <= slot.max_size
        {
            slot.layout.size = size;
        }
    }

    /// The driver places a part of the selected queue.
    pub(super) fn set_queue_layout(&mut self, change: impl FnOnce(&mut QueueLayout)) {
        if let Some(slot) = self.selected_for_setup() {
            let size = slot.layout.size;
            change(&mut slot.layout);
            slot.layout.size = size;
        }
    }

    /// The driver enables the selected queue.
    pub(super) fn enable_queue(&mut self) {
        if self.has(VIRTIO_CONFIG_S_FEATURES_OK)
            && let Some(slot) = self.selected_for_setup()
        {
            slot.enabled = true;
            self.start(self.queue_select);
        }
    }

    /// The driver takes the selected queue out of use, as virtio-mmio's QueueReady allows.
    pub(super) fn disable_selected_queue(&mut self) {
        self.reset_queue(self.queue_select);
    }

    /// The driver resets the selected queue (VIRTIO 1.3, 2.6.1).
    pub(super) fn reset_selected_queue(&mut self) {
        if self.driver_features & 1 << VIRTIO_F_RING_RESET != 0 {
            self.reset_queue(self.queue_select);
        }
    }

    /// Reads the device's configuration space.
    pub(super) fn read_config(&self, offset: u64, data: &mut [u8]) {
        data.fill(0);
        lock(&self.device).read_config(offset, data);
    }

    /// Writes the device's configuration space.
    pub(super) fn write_config(&self, offset: u64, data: &[u8]) {
        lock(&self.device).write_config(offset, data);
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.reset();
    }
}

/// Has the hypervisor signal the queue's eventfd by itself. Where it cannot, the driver's writes
/// arrive as exits and the transport signals it.
fn ring_in_kernel(plan: &DoorbellPlan, index: u16, slot: &mut Slot) {
    if slot.rung_in_kernel {
        return;
    }
    let (address, datamatch) = plan.target(index);
    match plan.doorbells.bind(address, datamatch, &slot.kick) {
        Ok(()) => slot.rung_in_kernel = true,
        Err(e) => error!("failed to bind the doorbell of queue {index} at {address:#x}: {e}"),
    }
}

pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere leaves the device's own state whole enough to stop it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn half(features: u64, select: u32) -> u32 {
    match select {
        0 => features as u32,
        1 => (features >> 32) as u32,
        _ => 0,
    }
}
