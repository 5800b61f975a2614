//! The devices of a running machine, by id: what the API changes and what is counted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use devices::char::Stream;
use devices::legacy::{AcpiPower, I8042, PowerEvent, SerialPort};
use devices::metrics::QueueMetrics;
use devices::virtio::balloon::Balloon;
use devices::virtio::block::Block;
use devices::virtio::entropy::Entropy;
use devices::virtio::fs::Fs;
use devices::virtio::net::Net;
use devices::virtio::transport::{Core, MmioTransport, PciTransport};
use devices::virtio::vsock::Vsock;
use vm_spec::ComponentId;

use super::loops::Loops;
use crate::machine::Devices;

/// What is counted for one queue.
#[derive(Clone)]
pub struct QueueCounters {
    /// The device.
    pub device: ComponentId,
    /// Its kind, such as `block`.
    pub kind: &'static str,
    /// The queue's index.
    pub queue: u16,
    /// The counters.
    pub metrics: Arc<QueueMetrics>,
}

/// A device on its transport.
pub(super) enum Plugged {
    Pci(Arc<PciTransport>),
    Mmio(Arc<MmioTransport>),
}

impl Plugged {
    fn core(&self) -> MutexGuard<'_, Core> {
        let core = match self {
            Self::Pci(transport) => transport.core(),
            Self::Mmio(transport) => transport.core(),
        };
        core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn metrics(&self) -> Vec<Arc<QueueMetrics>> {
        self.core().metrics()
    }
}

/// A device that transports and the API share.
pub(super) type Shared<T> = Arc<Mutex<T>>;

/// All devices. The maps and options are filled as the machine was described.
pub struct DeviceSet {
    /// Block devices.
    pub disks: BTreeMap<ComponentId, Arc<Mutex<Block>>>,
    /// File system devices.
    pub shares: BTreeMap<ComponentId, Arc<Mutex<Fs>>>,
    /// Network cards.
    pub nets: BTreeMap<ComponentId, Arc<Mutex<Net>>>,
    /// The vsock device.
    pub vsock: Option<Arc<Mutex<Vsock>>>,
    /// Entropy devices.
    pub entropy: BTreeMap<ComponentId, Arc<Mutex<Entropy>>>,
    /// The balloon.
    pub balloon: Option<Arc<Mutex<Balloon>>>,
    /// The streams of consoles and of the serial port.
    pub streams: BTreeMap<ComponentId, Stream>,
    /// The serial port.
    pub serial: Option<Arc<SerialPort>>,
    /// What every queue counts.
    pub queues: Vec<QueueCounters>,
    pub(super) plugged: Vec<Plugged>,
    pub(super) power: Arc<AcpiPower>,
    pub(super) keyboard: Arc<I8042>,
    /// Last, so that the loops end after the devices on them.
    pub(super) loops: Loops,
}

impl DeviceSet {
    pub(super) fn new(power: Arc<AcpiPower>, keyboard: Arc<I8042>, loops: Loops) -> Self {
        Self {
            disks: BTreeMap::new(),
            shares: BTreeMap::new(),
            nets: BTreeMap::new(),
            vsock: None,
            entropy: BTreeMap::new(),
            balloon: None,
            streams: BTreeMap::new(),
            serial: None,
            queues: Vec::new(),
            plugged: Vec::new(),
            power,
            keyboard,
            loops,
        }
    }
}

/// The life cycle's view of the devices.
pub(super) struct LifeCycle(pub(super) Arc<DeviceSet>);

impl Devices for LifeCycle {
    fn pause(&mut self) {
        for device in &self.0.plugged {
            device.core().pause();
        }
    }

    fn resume(&mut self) {
        for device in &self.0.plugged {
            device.core().resume();
        }
    }

    fn press_power_button(&self) {
        self.0.power.announce(PowerEvent::PowerButton);
    }

    fn press_ctrl_alt_del(&self) {
        self.0.keyboard.press_ctrl_alt_del();
    }
}
