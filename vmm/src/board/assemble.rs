//! Puts all devices on their buses.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use devices::bus::{Bus, BusDevice, BusError};
use devices::interrupt::Gsi;
use devices::legacy::{pvpanic, serial};
use devices::pci::root::{CONFIG_PORT, ConfigPorts, Ecam, PlugError};
use devices::pci::{PciRoot, Slot as PciSlot};
use devices::virtio::net::Detour;
use devices::virtio::transport::pci::PciTransportError;
use devices::virtio::transport::{MmioTransport, PciTransport, pci};
use vm_memory::{Bytes, GuestAddress, GuestAddressSpace};
use vm_spec::{ComponentId, Device, DeviceKind, Machine, Transport};

use super::device_set::{DeviceSet, LifeCycle, Plugged, QueueCounters};
use super::legacy::{self, LegacyError};
use super::loops::Loops;
use super::opened::Opened;
use super::places::{self, EVENT_GSI, KEYBOARD_GSI, POWER_PORTS};
use super::virtio::{self, AnyDevice, VirtioError};
use crate::acpi::{Platform, TablesError, write_tables};
use crate::machine::{Board, Foundation};
use crate::memory::layout;

/// Why the board cannot be assembled.
#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    /// A device at a fixed port.
    #[error(transparent)]
    Legacy(#[from] LegacyError),
    /// A virtio device.
    #[error("device {id}")]
    Device {
        /// The device.
        id: ComponentId,
        /// Why.
        #[source]
        source: VirtioError,
    },
    /// Its interrupt or doorbells.
    #[error("failed to make the interrupt of device {id}")]
    Interrupt {
        /// The device.
        id: ComponentId,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// Its PCI function.
    #[error("device {id}")]
    Function {
        /// The device.
        id: ComponentId,
        /// Why.
        #[source]
        source: PciTransportError,
    },
    /// Two parts have the same addresses.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// Two functions have the same slot.
    #[error(transparent)]
    Slot(#[from] PlugError),
    /// The tables.
    #[error(transparent)]
    Tables(#[from] TablesError),
    /// Randomness for the VM generation ID.
    #[error("failed to make a VM generation ID")]
    GenerationId(#[source] io::Error),
}

/// What the board is assembled with, besides the machine's description.
pub struct BoardParams {
    /// What was opened for the devices.
    pub opened: Opened,
    /// Starts the devices' threads.
    pub loops: Loops,
    /// When the monitor was started, for the boot timer.
    pub started: Instant,
    /// The metadata service, for the network devices that the machine's `mmds` names.
    pub detour: Option<Arc<dyn Detour>>,
}

struct Assembly<'a> {
    machine: &'a Machine,
    foundation: &'a Foundation,
    opened: Opened,
    detour: Option<Arc<dyn Detour>>,
    ports: Bus,
    mmio: Bus,
    platform: Platform,
    set: DeviceSet,
}

/// Makes all devices of `machine` on `foundation`, and the tables that describe them. The second
/// result is what the API works on.
///
/// # Errors
/// See [`BoardError`].
pub fn assemble(
    machine: &Machine,
    foundation: &Foundation,
    params: BoardParams,
) -> Result<(Board, Arc<DeviceSet>), BoardError> {
    let mut ports = Bus::new();
    let (power, keyboard) = legacy::power(foundation, &mut ports)?;
    let mut assembly = Assembly {
        machine,
        foundation,
        opened: params.opened,
        detour: params.detour,
        ports,
        mmio: Bus::new(),
        platform: platform(machine, foundation),
        set: DeviceSet::new(power, keyboard, params.loops),
    };
    if machine.board().boot_timer {
        legacy::add_boot_timer(foundation, params.started, &mut assembly.ports)?;
    }
    assembly.add_serial()?;
    match machine.board().transport {
        Transport::Pci => assembly.add_pci()?,
        Transport::Mmio => assembly.add_mmio()?,
    }
    assembly.write_generation_id()?;
    let area = places::acpi_area();
    write_tables(&foundation.memory().memory(), area, &assembly.platform)?;
    let set = Arc::new(assembly.set);
    let devices = Box::new(LifeCycle(Arc::clone(&set)));
    Ok((Board { ports: assembly.ports, mmio: assembly.mmio, devices }, set))
}

fn platform(machine: &Machine, foundation: &Foundation) -> Platform {
    let board = machine.board();
    let pci = board.transport == Transport::Pci;
    Platform {
        apic_ids: (0..u32::from(foundation.vcpu_count())).collect(),
        pci: pci.then(|| places::pci_host(foundation.space(), board)),
        mmio: Vec::new(),
        serial: machine.serial().is_some().then_some(serial::IRQ),
        keyboard: Some(KEYBOARD_GSI),
        power_ports: POWER_PORTS,
        event_gsi: EVENT_GSI,
        pvpanic_port: pvpanic::PORT as u16,
        generation_id: machine.has_vm_gen_id().then(places::generation_id),
    }
}

impl Assembly<'_> {
    fn add_serial(&mut self) -> Result<(), BoardError> {
        let Some(spec) = self.machine.serial() else { return Ok(()) };
        let source = VirtioError::NotOpened;
        let not_opened = BoardError::Device { id: spec.id.clone(), source };
        let backend = self.opened.take_stream(&spec.stream).ok_or(not_opened)?;
        let (set, ports) = (&mut self.set, &mut self.ports);
        Ok(legacy::add_serial(self.foundation, spec, backend, set, ports)?)
    }

    fn make(&mut self, device: &Device) -> Result<AnyDevice, BoardError> {
        let served = |ids: &Vec<ComponentId>| ids.contains(&device.id);
        let has_detour = self.machine.mmds().is_some_and(|mmds| served(&mmds.devices));
        let detour = self.detour.clone().filter(|_| has_detour);
        let requests = self.foundation.guest_requests();
        virtio::make(device, &mut self.opened, detour, requests, &mut self.set)
            .map_err(|source| BoardError::Device { id: device.id.clone(), source })
    }

    fn add_pci(&mut self) -> Result<(), BoardError> {
        let root = Arc::new(PciRoot::new());
        let ecam = Ecam(Arc::clone(&root));
        self.mmio.insert("ECAM", layout::ECAM.start, layout::ECAM.size, Arc::new(ecam))?;
        if !self.machine.board().ecam_only {
            let ports = ConfigPorts(Arc::clone(&root));
            self.ports.insert("PCI configuration", u64::from(CONFIG_PORT), 8, Arc::new(ports))?;
        }
        for device in self.machine.devices() {
            let made = self.make(device)?;
            let bar = places::bar(self.foundation.space(), device.slot);
            let transport = PciTransport::new(
                made,
                self.foundation.memory().clone(),
                self.foundation.doorbells(),
                self.foundation.msi(),
                bar,
            )
            .map_err(|source| BoardError::Function { id: device.id.clone(), source })?;
            let transport = Arc::new(transport);
            root.plug(PciSlot(device.slot.number()), transport.clone())?;
            let registers: Arc<dyn BusDevice> = transport.clone();
            self.mmio.insert(device.id.as_str(), bar, pci::BAR_SIZE, registers)?;
            self.enter(device, Plugged::Pci(transport));
        }
        Ok(())
    }

    fn add_mmio(&mut self) -> Result<(), BoardError> {
        for device in self.machine.devices() {
            let made = self.make(device)?;
            let place = places::mmio_window(device.slot);
            let error = |source| BoardError::Interrupt { id: device.id.clone(), source };
            let line = self.foundation.irq_line(Gsi(place.gsi)).map_err(error)?;
            let transport = MmioTransport::new(
                made,
                self.foundation.memory().clone(),
                self.foundation.doorbells(),
                place.window.start,
                line,
            )
            .map_err(error)?;
            let transport = Arc::new(transport);
            let registers: Arc<dyn BusDevice> = transport.clone();
            let window = place.window;
            self.mmio.insert(device.id.as_str(), window.start, window.size, registers)?;
            self.platform.mmio.push(place);
            self.enter(device, Plugged::Mmio(transport));
        }
        Ok(())
    }

    /// Notes what the device counts, and that it takes part in the life cycle.
    fn enter(&mut self, device: &Device, plugged: Plugged) {
        let kind = match device.kind {
            DeviceKind::Disk(_) => "block",
            DeviceKind::Fs(_) => "fs",
            DeviceKind::Net(_) => "net",
            DeviceKind::Vsock(_) => "vsock",
            DeviceKind::Console(_) => "console",
            DeviceKind::Entropy(_) => "entropy",
            DeviceKind::Balloon(_) => "balloon",
        };
        for (queue, metrics) in (0..).zip(plugged.metrics()) {
            self.set.queues.push(QueueCounters { device: device.id.clone(), kind, queue, metrics });
        }
        self.set.plugged.push(plugged);
    }

    fn write_generation_id(&self) -> Result<(), BoardError> {
        let Some(address) = self.platform.generation_id else { return Ok(()) };
        let mut id = [0u8; 16];
        rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty())
            .map_err(|e| BoardError::GenerationId(e.into()))?;
        let ram = self.foundation.memory().memory();
        ram.write_slice(&id, GuestAddress(address)).map_err(TablesError::from)?;
        Ok(())
    }
}
