//! A device and a hypervisor that only write down what is asked of them.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use vmm_sys_util::eventfd::EventFd;

use crate::doorbell::Doorbells;
use crate::interrupt::IrqLine;
use crate::virtio::device::{
    Activation, DeviceType, StartQueueError, VirtioDevice, read_config_bytes,
};
use crate::virtio::queue::{Queue, QueueState};

/// Runs queues by keeping them.
pub(super) struct Probe {
    pub(super) activation: Option<Activation>,
    pub(super) queues: BTreeMap<u16, Queue>,
    pub(super) config: [u8; 8],
    pub(super) resets: u32,
}

impl Probe {
    pub(super) fn new() -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            activation: None,
            queues: BTreeMap::new(),
            config: [1, 2, 3, 4, 5, 6, 7, 8],
            resets: 0,
        }))
    }
}

impl VirtioDevice for Probe {
    fn device_type(&self) -> DeviceType {
        DeviceType::Entropy
    }
    fn features(&self) -> u64 {
        1 << 5
    }
    fn queue_sizes(&self) -> &[u16] {
        &[64, 16]
    }
    fn read_config(&self, offset: u64, data: &mut [u8]) {
        read_config_bytes(&self.config, offset, data);
    }
    fn write_config(&mut self, offset: u64, data: &[u8]) {
        self.config[offset as usize] = data[0];
    }
    fn activate(&mut self, activation: Activation) {
        self.activation = Some(activation);
    }
    fn start_queue(&mut self, queue: Queue) -> Result<(), StartQueueError> {
        self.queues.insert(queue.index(), queue);
        Ok(())
    }
    fn stop_queue(&mut self, index: u16) -> Option<QueueState> {
        self.queues.remove(&index).map(|q| q.state())
    }
    fn reset(&mut self) {
        self.activation = None;
        self.resets += 1;
    }
}

/// Doorbells that are bound, by address and value.
#[derive(Default)]
pub(super) struct FakeDoorbells(pub(super) Mutex<Vec<(u64, Option<u32>)>>);

impl Doorbells for FakeDoorbells {
    fn bind(&self, addr: u64, datamatch: Option<u32>, _: &EventFd) -> io::Result<()> {
        self.0.lock().unwrap().push((addr, datamatch));
        Ok(())
    }
    fn unbind(&self, addr: u64, datamatch: Option<u32>, _: &EventFd) -> io::Result<()> {
        self.0.lock().unwrap().retain(|bound| *bound != (addr, datamatch));
        Ok(())
    }
}

/// Counts edges.
#[derive(Default)]
pub(super) struct FakeLine(pub(super) Mutex<u32>);

impl IrqLine for FakeLine {
    fn trigger(&self) -> io::Result<()> {
        *self.0.lock().unwrap() += 1;
        Ok(())
    }
}
