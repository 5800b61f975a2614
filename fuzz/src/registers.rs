//! Accesses of a guest to a transport's registers, and a device that notices when the transport
//! breaks its promises.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};

use devices::bus::BusDevice;
use devices::doorbell::Doorbells;
use devices::interrupt::IrqLine;
use devices::virtio::device::{StartQueueError, read_config_bytes};
use devices::virtio::{Activation, DeviceType, Queue, QueueState, VirtioDevice};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use vmm_sys_util::eventfd::EventFd;

/// Accesses of one input.
pub const MAX_ACCESSES: usize = 128;

/// What is written.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub enum Value {
    /// A small number.
    Small(u8),
    /// A page of guest memory.
    Page(u8),
    /// Anything.
    Any(u64),
}

impl Value {
    /// The number.
    pub fn number(self) -> u64 {
        match self {
            Self::Small(number) => u64::from(number),
            Self::Page(page) => u64::from(page) << 12,
            Self::Any(number) => number,
        }
    }
}

/// How wide an access is.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub enum Width {
    /// 8 bits.
    Byte,
    /// 16 bits.
    Half,
    /// 32 bits.
    Word,
    /// 64 bits.
    Double,
}

impl Width {
    /// The bytes.
    pub fn bytes(self) -> usize {
        match self {
            Self::Byte => 1,
            Self::Half => 2,
            Self::Word => 4,
            Self::Double => 8,
        }
    }
}

/// One access at an offset.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub struct Access {
    /// Where, from the start of what is accessed.
    pub offset: u16,
    /// How wide.
    pub width: Width,
    /// What is written; none: it is read.
    pub value: Option<Value>,
}

impl Access {
    /// Does it, if it lies within `size` bytes as those that a bus passes on do.
    pub fn act(&self, device: &dyn BusDevice, size: u64) {
        let (offset, len) = (u64::from(self.offset) % size, self.width.bytes());
        if offset + len as u64 > size {
            return;
        }
        match self.value {
            Some(value) => {
                let bytes = value.number().to_le_bytes();
                device.write(offset, bytes.get(..len).unwrap_or_default());
            }
            None => device.read(offset, &mut [0xa5; 8][..len]),
        }
    }
}

/// Addresses that are bound, with their values.
#[derive(Debug, Default)]
pub struct StrictDoorbells(Mutex<BTreeSet<(u64, Option<u32>)>>);

impl Doorbells for StrictDoorbells {
    fn bind(&self, addr: u64, datamatch: Option<u32>, _: &EventFd) -> io::Result<()> {
        let new = self.0.lock().expect("no panic holds it").insert((addr, datamatch));
        assert!(new, "doorbell {addr:#x} is bound twice");
        Ok(())
    }
    fn unbind(&self, addr: u64, datamatch: Option<u32>, _: &EventFd) -> io::Result<()> {
        let was = self.0.lock().expect("no panic holds it").remove(&(addr, datamatch));
        assert!(was, "doorbell {addr:#x} was not bound");
        Ok(())
    }
}

/// An interrupt line to nowhere.
#[derive(Debug)]
pub struct NoLine;

impl IrqLine for NoLine {
    fn trigger(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A device with three queues that holds the transport to the order of
/// [`VirtioDevice`]'s calls, and takes what is in its queues.
#[derive(Default)]
pub struct StrictDevice {
    activation: Option<Activation>,
    queues: [Option<Queue>; 3],
    config: [u8; 16],
}

impl StrictDevice {
    /// The feature that it offers.
    pub const FEATURES: u64 = 1 << 5;

    /// A device to be shared with a transport.
    pub fn shared() -> Arc<Mutex<Self>> {
        Arc::default()
    }

    /// Serves its queues, and has them interrupt.
    pub fn serve(&mut self) {
        for queue in self.queues.iter_mut().flatten() {
            while let Some(chain) = queue.next() {
                queue.complete(chain.head, 0);
            }
            queue.signal();
        }
        if let Some(activation) = &self.activation {
            activation.interrupt.config_changed();
        }
    }
}

impl VirtioDevice for StrictDevice {
    fn device_type(&self) -> DeviceType {
        DeviceType::Entropy
    }
    fn features(&self) -> u64 {
        Self::FEATURES
    }
    fn queue_sizes(&self) -> &[u16] {
        &[64, 16, 1024]
    }
    fn read_config(&self, offset: u64, data: &mut [u8]) {
        read_config_bytes(&self.config, offset, data);
    }
    fn write_config(&mut self, offset: u64, data: &[u8]) {
        let rest = usize::try_from(offset).ok().and_then(|at| self.config.get_mut(at..));
        for (to, from) in rest.unwrap_or_default().iter_mut().zip(data) {
            *to = *from;
        }
    }
    fn activate(&mut self, activation: Activation) {
        assert!(self.activation.is_none(), "activated twice");
        let version_1 = 1 << 32;
        assert_ne!(activation.features & version_1, 0, "without VERSION_1");
        self.activation = Some(activation);
    }
    fn start_queue(&mut self, queue: Queue) -> Result<(), StartQueueError> {
        assert!(self.activation.is_some(), "a queue before the device");
        let max = self.queue_sizes()[usize::from(queue.index())];
        assert!(queue.size() <= max, "a queue larger than offered");
        let slot = &mut self.queues[usize::from(queue.index())];
        assert!(slot.is_none(), "a queue twice");
        *slot = Some(queue);
        Ok(())
    }
    fn stop_queue(&mut self, index: u16) -> Option<QueueState> {
        self.queues[usize::from(index)].take().map(|queue| queue.state())
    }
    fn reset(&mut self) {
        assert!(self.queues.iter().all(Option::is_none), "a reset under running queues");
        self.activation = None;
    }
}
