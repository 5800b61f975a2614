//! The virtio-mmio register window (VIRTIO 1.3, section 4.2.2).

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use log::error;
use virtio_bindings::virtio_mmio::{
    VIRTIO_MMIO_CONFIG, VIRTIO_MMIO_CONFIG_GENERATION, VIRTIO_MMIO_DEVICE_FEATURES,
    VIRTIO_MMIO_DEVICE_FEATURES_SEL, VIRTIO_MMIO_DEVICE_ID, VIRTIO_MMIO_DRIVER_FEATURES,
    VIRTIO_MMIO_DRIVER_FEATURES_SEL, VIRTIO_MMIO_INT_CONFIG, VIRTIO_MMIO_INT_VRING,
    VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INTERRUPT_STATUS, VIRTIO_MMIO_MAGIC_VALUE,
    VIRTIO_MMIO_QUEUE_AVAIL_HIGH, VIRTIO_MMIO_QUEUE_AVAIL_LOW, VIRTIO_MMIO_QUEUE_DESC_HIGH,
    VIRTIO_MMIO_QUEUE_DESC_LOW, VIRTIO_MMIO_QUEUE_NOTIFY, VIRTIO_MMIO_QUEUE_NUM,
    VIRTIO_MMIO_QUEUE_NUM_MAX, VIRTIO_MMIO_QUEUE_READY, VIRTIO_MMIO_QUEUE_SEL,
    VIRTIO_MMIO_QUEUE_USED_HIGH, VIRTIO_MMIO_QUEUE_USED_LOW, VIRTIO_MMIO_SHM_BASE_HIGH,
    VIRTIO_MMIO_SHM_LEN_LOW, VIRTIO_MMIO_STATUS, VIRTIO_MMIO_VENDOR_ID, VIRTIO_MMIO_VERSION,
};
use vmm_sys_util::eventfd::EventFd;

use super::core::{Core, DoorbellPlan, lock};
use super::shared::Shared;
use crate::bus::BusDevice;
use crate::doorbell::Doorbells;
use crate::interrupt::IrqLine;
use crate::memory::Memory;
use crate::virtio::device::{Interrupt, VirtioDevice};

/// Bytes of the register window of one device.
pub const WINDOW_SIZE: u64 = 0x1000;
/// "virt", little-endian.
const MAGIC: u32 = 0x7472_6976;
/// QueueReset, which the bindings do not have (VIRTIO 1.3, table 4.2).
const QUEUE_RESET: u32 = 0x0c0;

struct MmioInterrupt {
    line: Arc<dyn IrqLine>,
    status: AtomicU32,
    shared: Arc<Shared>,
}

impl MmioInterrupt {
    fn raise(&self, bit: u32) {
        self.status.fetch_or(bit, Ordering::AcqRel);
        if let Err(e) = self.line.trigger() {
            error!("failed to raise the interrupt of a virtio-mmio device: {e}");
        }
    }
}

impl Interrupt for MmioInterrupt {
    fn queue_used(&self, _index: u16) {
        self.raise(VIRTIO_MMIO_INT_VRING);
    }
    fn config_changed(&self) {
        self.shared.next_generation();
        self.raise(VIRTIO_MMIO_INT_CONFIG);
    }
    fn needs_reset(&self, reason: &str) {
        if self.shared.need_reset(reason) {
            self.config_changed();
        }
    }
}

/// A virtio device behind memory-mapped registers.
pub struct MmioTransport {
    core: Mutex<Core>,
    interrupt: Arc<MmioInterrupt>,
    kicks: Vec<Arc<EventFd>>,
}

impl MmioTransport {
    /// Presents `device` in the window at guest address `base`, interrupting through `line`.
    pub fn new(
        device: Arc<Mutex<dyn VirtioDevice>>,
        memory: Memory,
        doorbells: Arc<dyn Doorbells>,
        base: u64,
        line: Arc<dyn IrqLine>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let interrupt = Arc::new(MmioInterrupt {
            line,
            status: AtomicU32::new(0),
            shared: Arc::clone(&shared),
        });
        let base = base + u64::from(VIRTIO_MMIO_QUEUE_NOTIFY);
        let plan = DoorbellPlan { doorbells, base, stride: 0 };
        let core = Core::new(device, memory, plan, interrupt.clone(), shared)?;
        let kicks = core.kicks();
        Ok(Self { core: Mutex::new(core), interrupt, kicks })
    }

    /// The device's negotiation and queues, to pause or reset it.
    pub fn core(&self) -> &Mutex<Core> {
        &self.core
    }

    fn read_register(&self, register: u32) -> u32 {
        let core = lock(&self.core);
        match register {
            VIRTIO_MMIO_MAGIC_VALUE => MAGIC,
            VIRTIO_MMIO_VERSION => 2,
            VIRTIO_MMIO_DEVICE_ID => core.device_type(),
            // "BLKH": a vendor of virtual hardware has no PCI-SIG number.
            VIRTIO_MMIO_VENDOR_ID => 0x484b_4c42,
            VIRTIO_MMIO_DEVICE_FEATURES => core.device_features(),
            VIRTIO_MMIO_QUEUE_NUM_MAX => u32::from(core.queue_max_size()),
            VIRTIO_MMIO_QUEUE_READY => u32::from(core.queue_enabled()),
            VIRTIO_MMIO_INTERRUPT_STATUS => self.interrupt.status.load(Ordering::Acquire),
            VIRTIO_MMIO_STATUS => u32::from(core.shared.status()),
            VIRTIO_MMIO_CONFIG_GENERATION => core.shared.generation(),
            // A shared memory region that does not exist has length and base of all ones.
            VIRTIO_MMIO_SHM_LEN_LOW..=VIRTIO_MMIO_SHM_BASE_HIGH => u32::MAX,
            _ => 0,
        }
    }

    fn write_register(&self, register: u32, value: u32) {
        if register == VIRTIO_MMIO_QUEUE_NOTIFY {
            // Where the hypervisor does not do it. The count cannot be full and unsignalled.
            if let Some(kick) = self.kicks.get(value as usize) {
                let _ = kick.write(1);
            }
            return;
        }
        let mut core = lock(&self.core);
        match register {
            VIRTIO_MMIO_DEVICE_FEATURES_SEL => core.device_features_select = value,
            VIRTIO_MMIO_DRIVER_FEATURES => core.set_driver_features(value),
            VIRTIO_MMIO_DRIVER_FEATURES_SEL => core.driver_features_select = value,
            VIRTIO_MMIO_QUEUE_SEL => core.queue_select = value.try_into().unwrap_or(u16::MAX),
            VIRTIO_MMIO_QUEUE_NUM => core.set_queue_size(value.try_into().unwrap_or(0)),
            VIRTIO_MMIO_QUEUE_READY if value == 1 => core.enable_queue(),
            VIRTIO_MMIO_QUEUE_READY => core.disable_selected_queue(),
            QUEUE_RESET if value == 1 => core.reset_selected_queue(),
            VIRTIO_MMIO_INTERRUPT_ACK => {
                self.interrupt.status.fetch_and(!value, Ordering::AcqRel);
            }
            // Other bits are reserved.
            VIRTIO_MMIO_STATUS if value <= 0xff => {
                core.set_status(value as u8);
                if value == 0 {
                    self.interrupt.status.store(0, Ordering::Release);
                }
            }
            _ => write_layout(&mut core, register, value),
        }
    }
}

fn write_layout(core: &mut Core, register: u32, value: u32) {
    core.set_queue_layout(|layout| match register {
        VIRTIO_MMIO_QUEUE_DESC_LOW => set_low(&mut layout.descriptors, value),
        VIRTIO_MMIO_QUEUE_DESC_HIGH => set_high(&mut layout.descriptors, value),
        VIRTIO_MMIO_QUEUE_AVAIL_LOW => set_low(&mut layout.available, value),
        VIRTIO_MMIO_QUEUE_AVAIL_HIGH => set_high(&mut layout.available, value),
        VIRTIO_MMIO_QUEUE_USED_LOW => set_low(&mut layout.used, value),
        VIRTIO_MMIO_QUEUE_USED_HIGH => set_high(&mut layout.used, value),
        _ => {}
    });
}

/// Replaces the lower half of an address.
pub(super) fn set_low(address: &mut u64, value: u32) {
    *address = *address & !0xffff_ffff | u64::from(value);
}

/// Replaces the upper half of an address.
pub(super) fn set_high(address: &mut u64, value: u32) {
    *address = *address & 0xffff_ffff | u64::from(value) << 32;
}

impl BusDevice for MmioTransport {
    fn read(&self, offset: u64, data: &mut [u8]) {
        if let Some(offset) = offset.checked_sub(u64::from(VIRTIO_MMIO_CONFIG)) {
            lock(&self.core).read_config(offset, data);
        } else if let [a, b, c, d] = data
            && offset.is_multiple_of(4)
        {
            [*a, *b, *c, *d] = self.read_register(offset as u32).to_le_bytes();
        } else {
            data.fill(0);
        }
    }

    fn write(&self, offset: u64, data: &[u8]) {
        if let Some(offset) = offset.checked_sub(u64::from(VIRTIO_MMIO_CONFIG)) {
            lock(&self.core).write_config(offset, data);
        } else if let Ok(raw) = data.try_into()
            && offset.is_multiple_of(4)
        {
            self.write_register(offset as u32, u32::from_le_bytes(raw));
        }
    }
}

#[cfg(test)]
mod tests;
