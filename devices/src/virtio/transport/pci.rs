//! A virtio device as a modern PCI function with MSI-X (VIRTIO 1.3, section 4.1).
//!
//! One 64-bit BAR holds everything; the virtio capabilities say what is where:
//!
//! ```text
//! 0x0000 common configuration   0x1000 ISR status   0x2000 device configuration
//! 0x4000 doorbells, 4 bytes a queue   0x8000 MSI-X table   0xc000 MSI-X pending bits
//! ```

use std::sync::atomic::{AtomicU8, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use vmm_sys_util::eventfd::EventFd;

use super::core::{Core, DoorbellPlan, lock};
use super::pci_common;
use super::shared::Shared;
use crate::bus::BusDevice;
use crate::doorbell::Doorbells;
use crate::interrupt::MsiSource;
use crate::memory::Memory;
use crate::pci::config_space::{Bar, ConfigSpace, Identity, NoRoom};
use crate::pci::msix::Msix;
use crate::pci::root::PciFunction;
use crate::virtio::device::{DeviceType, Interrupt, VirtioDevice};

/// Bytes of a function's BAR.
pub const BAR_SIZE: u64 = 0x1_0000;
const COMMON: u64 = 0x0000;
const ISR: u64 = 0x1000;
const DEVICE: u64 = 0x2000;
const DOORBELLS: u64 = 0x4000;
const MSIX_TABLE: u64 = 0x8000;
const MSIX_PENDING: u64 = 0xc000;
const COMMON_SIZE: u32 = 0x40;
const DEVICE_SIZE: u32 = 0x1000;
/// Bytes between the doorbells of two queues.
const DOORBELL_STRIDE: u32 = 4;

const CAP_VENDOR: u8 = 0x09;
const CAP_MSIX: u8 = 0x11;
/// A vector number that means none (VIRTIO 1.3, 4.1.5.1.2).
pub(super) const NO_VECTOR: u16 = 0xffff;

/// Offset of the status register in configuration space.
const STATUS: usize = 6;
/// Status: an interrupt is due. There is no pin to assert, but without MSI-X a driver can poll
/// this (VIRTIO 1.3, 4.1.4.5.1).
const INTERRUPT_STATUS: u8 = 1 << 3;

/// ISR status: a queue's buffers were used.
const ISR_QUEUE: u8 = 1;
/// ISR status: the configuration changed.
const ISR_CONFIG: u8 = 2;

/// Why a device cannot be presented as a PCI function.
#[derive(Debug, thiserror::Error)]
pub enum PciTransportError {
    /// Vectors or eventfds are missing.
    #[error("failed to allocate the interrupts and doorbells of a virtio PCI function")]
    Allocate(#[source] std::io::Error),
    /// The capabilities do not fit.
    #[error(transparent)]
    Capability(#[from] NoRoom),
}

/// The function's interrupts; workers hold it and lock nothing.
pub(super) struct PciInterrupt {
    pub(super) msix: Msix,
    pub(super) config_vector: AtomicU16,
    pub(super) queue_vectors: Vec<AtomicU16>,
    isr: AtomicU8,
    shared: Arc<Shared>,
}

impl PciInterrupt {
    /// Sets a vector register; one that does not exist reads back as none.
    pub(super) fn set_vector(&self, register: &AtomicU16, vector: u16) {
        let valid = if vector < self.msix.len() { vector } else { NO_VECTOR };
        register.store(valid, Ordering::Release);
    }

    fn reset(&self) {
        self.isr.store(0, Ordering::Release);
        self.msix.clear_pending();
        self.config_vector.store(NO_VECTOR, Ordering::Release);
        for vector in &self.queue_vectors {
            vector.store(NO_VECTOR, Ordering::Release);
        }
    }
}

impl Interrupt for PciInterrupt {
    fn queue_used(&self, index: u16) {
        // With MSI-X the vector says it all (VIRTIO 1.3, 4.1.4.5.1).
        if !self.msix.is_enabled() {
            self.isr.fetch_or(ISR_QUEUE, Ordering::AcqRel);
        }
        if let Some(vector) = self.queue_vectors.get(usize::from(index)) {
            self.msix.trigger(vector.load(Ordering::Acquire));
        }
    }
    fn config_changed(&self) {
        self.shared.next_generation();
        self.isr.fetch_or(ISR_CONFIG, Ordering::AcqRel);
        self.msix.trigger(self.config_vector.load(Ordering::Acquire));
    }
    fn needs_reset(&self, reason: &str) {
        if self.shared.need_reset(reason) {
            self.config_changed();
        }
    }
}

/// Configuration space and what writes to it set in motion.
struct Config {
    space: ConfigSpace,
    msix: usize,
    access: usize,
}

/// A virtio device as a PCI function.
pub struct PciTransport {
    core: Mutex<Core>,
    interrupt: Arc<PciInterrupt>,
    config: Mutex<Config>,
    kicks: Vec<Arc<EventFd>>,
}

impl PciTransport {
    /// Presents `device` with its BAR at guest address `bar` (aligned to [`BAR_SIZE`]), with a
    /// vector for each queue and one for configuration changes.
    pub fn new(
        device: Arc<Mutex<dyn VirtioDevice>>,
        memory: Memory,
        doorbells: Arc<dyn Doorbells>,
        msi: &dyn MsiSource,
        bar: u64,
    ) -> Result<Self, PciTransportError> {
        let (device_type, queues) = {
            let device = lock(&device);
            (device.device_type(), device.queue_sizes().len())
        };
        let vectors = msi.allocate(queues as u16 + 1).map_err(PciTransportError::Allocate)?;
        let shared = Arc::new(Shared::default());
        let interrupt = Arc::new(PciInterrupt {
            msix: Msix::new(vectors),
            config_vector: AtomicU16::new(NO_VECTOR),
            queue_vectors: (0..queues).map(|_| AtomicU16::new(NO_VECTOR)).collect(),
            isr: AtomicU8::new(0),
            shared: Arc::clone(&shared),
        });
        let plan =
            DoorbellPlan { doorbells, base: bar + DOORBELLS, stride: u64::from(DOORBELL_STRIDE) };
        let core = Core::new(device, memory, plan, interrupt.clone(), shared)
            .map_err(PciTransportError::Allocate)?;
        let config = config_space(device_type, bar, interrupt.msix.len())?;
        let kicks = core.kicks();
        Ok(Self { core: Mutex::new(core), interrupt, config: Mutex::new(config), kicks })
    }

    /// The device's negotiation and queues, to pause or reset it.
    pub fn core(&self) -> &Mutex<Core> {
        &self.core
    }

    /// The access window in configuration space: which bytes of the BAR it shows.
    fn access_target(config: &Config) -> Option<(u64, usize)> {
        let mut raw = [0; 16];
        config.space.read(config.access as u16, &mut raw);
        let [_, _, _, _, bar, _, _, _, o0, o1, o2, o3, l0, l1, l2, l3] = raw;
        let offset = u64::from(u32::from_le_bytes([o0, o1, o2, o3]));
        let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let valid = bar == 0 && matches!(len, 1 | 2 | 4) && offset.is_multiple_of(len as u64);
        (valid && offset < BAR_SIZE).then_some((offset, len))
    }
}

fn config_space(device: DeviceType, bar: u64, vectors: u16) -> Result<Config, NoRoom> {
    let class = match device {
        DeviceType::Net => 0x02_00_00,
        DeviceType::Block => 0x01_00_00,
        DeviceType::Fs => 0x01_80_00,
        DeviceType::Console => 0x07_80_00,
        DeviceType::Entropy | DeviceType::Balloon | DeviceType::Vsock => 0xff_00_00,
    };
    let mut space = ConfigSpace::new(Identity {
        vendor: 0x1af4,
        device: 0x1040 + device as u16,
        revision: 1,
        class,
        subsystem_vendor: 0x1af4,
        subsystem: 0x1100,
    });
    space.set_bar(0, Bar { address: bar, size: BAR_SIZE });
    space.add_capability(CAP_VENDOR, &virtio_cap(1, COMMON, COMMON_SIZE), &[])?;
    space.add_capability(CAP_VENDOR, &virtio_cap(3, ISR, 1), &[])?;
    space.add_capability(CAP_VENDOR, &virtio_cap(4, DEVICE, DEVICE_SIZE), &[])?;
    let doorbells = u32::from(vectors) * DOORBELL_STRIDE;
    let mut notify = virtio_cap(2, DOORBELLS, doorbells).to_vec();
    notify.extend(DOORBELL_STRIDE.to_le_bytes());
    notify[0] += 4;
    space.add_capability(CAP_VENDOR, &notify, &[])?;
    // The access window: bar, offset and length can be written, and its four bytes of data.
    let mut access = virtio_cap(5, 0, 0).to_vec();
    access.extend([0; 4]);
    access[0] += 4;
    let writable = [0, 0, 0xff, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0];
    let access = space.add_capability(CAP_VENDOR, &access, &writable)?;
    let mut msix = (vectors - 1).to_le_bytes().to_vec();
    msix.extend((MSIX_TABLE as u32).to_le_bytes());
    msix.extend((MSIX_PENDING as u32).to_le_bytes());
    let msix = space.add_capability(CAP_MSIX, &msix, &[0x00, 0xc0])?;
    Ok(Config { space, msix, access })
}

/// A virtio capability after its id and next pointer (VIRTIO 1.3, 4.1.4).
fn virtio_cap(kind: u8, offset: u64, len: u32) -> [u8; 14] {
    let mut body = [0; 14];
    body[0] = 16;
    body[1] = kind;
    body[6..10].copy_from_slice(&(offset as u32).to_le_bytes());
    body[10..14].copy_from_slice(&len.to_le_bytes());
    body
}

impl PciFunction for PciTransport {
    fn read_config(&self, offset: u16, data: &mut [u8]) {
        let mut config = lock(&self.config);
        if usize::from(offset) == config.access + 16
            && let Some((target, len)) = Self::access_target(&config)
        {
            let mut value = [0; 4];
            self.read(target, value.get_mut(..len).unwrap_or_default());
            let at = config.access + 16;
            config.space.set(at, &value);
        }
        config.space.read(offset, data);
        let status = STATUS.checked_sub(usize::from(offset)).and_then(|at| data.get_mut(at));
        if let Some(status) = status
            && !self.interrupt.msix.is_enabled()
            && self.interrupt.isr.load(Ordering::Acquire) != 0
        {
            *status |= INTERRUPT_STATUS;
        }
    }

    fn write_config(&self, offset: u16, data: &[u8]) {
        let mut config = lock(&self.config);
        config.space.write(offset, data);
        let at = usize::from(offset);
        if (config.msix..config.msix + 4).contains(&at) {
            let mut control = [0; 2];
            config.space.read(config.msix as u16 + 2, &mut control);
            self.interrupt.msix.set_control(u16::from_le_bytes(control));
        } else if at == config.access + 16
            && let Some((target, len)) = Self::access_target(&config)
            && let Some(value) = data.get(..len)
        {
            self.write(target, value);
        }
    }
}

impl BusDevice for PciTransport {
    fn read(&self, offset: u64, data: &mut [u8]) {
        data.fill(0);
        match offset {
            COMMON..ISR => {
                pci_common::read(&lock(&self.core), &self.interrupt, offset - COMMON, data);
            }
            // Reading clears it (VIRTIO 1.3, 4.1.4.5).
            ISR => {
                if let Some(first) = data.first_mut() {
                    *first = self.interrupt.isr.swap(0, Ordering::AcqRel);
                }
            }
            DEVICE..DOORBELLS => lock(&self.core).read_config(offset - DEVICE, data),
            MSIX_TABLE..MSIX_PENDING => {
                self.interrupt.msix.read_table(offset - MSIX_TABLE, data);
            }
            MSIX_PENDING..BAR_SIZE => {
                self.interrupt.msix.read_pending(offset - MSIX_PENDING, data);
            }
            _ => {}
        }
    }

    fn write(&self, offset: u64, data: &[u8]) {
        match offset {
            COMMON..ISR => {
                let mut core = lock(&self.core);
                pci_common::write(&mut core, &self.interrupt, offset - COMMON, data);
                if pci_common::is_reset(offset - COMMON, data) {
                    self.interrupt.reset();
                }
            }
            DEVICE..DOORBELLS => lock(&self.core).write_config(offset - DEVICE, data),
            DOORBELLS..MSIX_TABLE => {
                // Where the hypervisor does not do it. The count cannot be full and unsignalled.
                let index = (offset - DOORBELLS) / u64::from(DOORBELL_STRIDE);
                if let Some(kick) = self.kicks.get(index as usize) {
                    let _ = kick.write(1);
                }
            }
            MSIX_TABLE..MSIX_PENDING => {
                self.interrupt.msix.write_table(offset - MSIX_TABLE, data);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
