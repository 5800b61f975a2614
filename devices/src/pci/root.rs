//! The root of bus 0: which function answers which configuration access, through the ports
//! (PCI 3.0, 3.2.2.3.2) or the memory-mapped window (PCI Express 3.0, 7.2.2).

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::config_space::{ConfigSpace, Identity};
use crate::bus::BusDevice;

/// Slots of a bus. Slot 0 holds the host bridge.
pub const SLOTS: u8 = 32;
/// Bytes of memory-mapped configuration space for one bus.
pub const ECAM_SIZE: u64 = 1 << 20;
/// First port of the configuration mechanism; it has eight.
pub const CONFIG_PORT: u16 = 0xcf8;

/// The number of a slot on bus 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u8);

/// A function's configuration space, seen from the bus.
pub trait PciFunction: Send + Sync {
    /// Reads 1, 2 or 4 bytes at an aligned offset below 4096.
    fn read_config(&self, offset: u16, data: &mut [u8]);
    /// Writes 1, 2 or 4 bytes at an aligned offset below 4096.
    fn write_config(&self, offset: u16, data: &[u8]);
}

/// Why a function cannot be put on the bus.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PlugError {
    /// The slot has a function.
    #[error("PCI slot {0} is taken")]
    Taken(u8),
    /// There is no such slot.
    #[error("there is no PCI slot {0}")]
    NoSlot(u8),
}

/// The functions of bus 0.
pub struct PciRoot {
    slots: RwLock<Vec<Option<Arc<dyn PciFunction>>>>,
    /// What the guest wrote last to the address port.
    address: AtomicU32,
}

impl Default for PciRoot {
    fn default() -> Self {
        Self::new()
    }
}

impl PciRoot {
    /// A bus with nothing but a host bridge.
    pub fn new() -> Self {
        let mut slots: Vec<Option<Arc<dyn PciFunction>>> = vec![None; usize::from(SLOTS)];
        // The generic host bridge that QEMU defined for virtual machines (1b36:0008).
        slots[0] = Some(Arc::new(HostBridge(ConfigSpace::new(Identity {
            vendor: 0x1b36,
            device: 0x0008,
            revision: 0,
            class: 0x06_00_00,
            subsystem_vendor: 0,
            subsystem: 0,
        }))));
        Self { slots: RwLock::new(slots), address: AtomicU32::new(0) }
    }

    /// Puts `function` into `slot`.
    pub fn plug(&self, slot: Slot, function: Arc<dyn PciFunction>) -> Result<(), PlugError> {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        match slots.get_mut(usize::from(slot.0)) {
            None => Err(PlugError::NoSlot(slot.0)),
            Some(Some(_)) => Err(PlugError::Taken(slot.0)),
            Some(free) => {
                *free = Some(function);
                Ok(())
            }
        }
    }

    /// The function at a bus, device and function number packed as in a configuration address.
    fn function(&self, bdf: u64) -> Option<Arc<dyn PciFunction>> {
        // Bus 0 and function 0 of each slot only.
        if bdf & !(31 << 3) != 0 {
            return None;
        }
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.get((bdf >> 3) as usize)?.clone()
    }

    fn read_config(&self, bdf: u64, offset: u64, data: &mut [u8]) {
        match self.function(bdf).filter(|_| is_aligned(offset, data.len())) {
            Some(function) => function.read_config(offset as u16, data),
            None => data.fill(0xff),
        }
    }

    fn write_config(&self, bdf: u64, offset: u64, data: &[u8]) {
        if let Some(function) = self.function(bdf).filter(|_| is_aligned(offset, data.len())) {
            function.write_config(offset as u16, data);
        }
    }
}

fn is_aligned(offset: u64, len: usize) -> bool {
    matches!(len, 1 | 2 | 4) && offset.is_multiple_of(len as u64)
}

struct HostBridge(ConfigSpace);

impl PciFunction for HostBridge {
    fn read_config(&self, offset: u16, data: &mut [u8]) {
        self.0.read(offset, data);
    }
    fn write_config(&self, _offset: u16, _data: &[u8]) {}
}

/// The memory-mapped configuration window of bus 0.
pub struct Ecam(pub Arc<PciRoot>);

impl BusDevice for Ecam {
    fn read(&self, offset: u64, data: &mut [u8]) {
        self.0.read_config(offset >> 12, offset & 0xfff, data);
    }
    fn write(&self, offset: u64, data: &[u8]) {
        self.0.write_config(offset >> 12, offset & 0xfff, data);
    }
}

/// The eight ports from [`CONFIG_PORT`]: an address, then a window of four bytes onto it.
pub struct ConfigPorts(pub Arc<PciRoot>);

impl ConfigPorts {
    const ENABLE: u32 = 1 << 31;

    /// What the window shows: bus, device and function, and the register's offset.
    fn target(&self) -> Option<(u64, u64)> {
        let address = self.0.address.load(Ordering::Relaxed);
        let enabled = address & Self::ENABLE != 0;
        enabled.then_some((u64::from(address >> 8 & 0xffff), u64::from(address & 0xfc)))
    }
}

impl BusDevice for ConfigPorts {
    fn read(&self, offset: u64, data: &mut [u8]) {
        data.fill(0xff);
        if offset < 4 {
            if let (0, [a, b, c, d]) = (offset, data) {
                [*a, *b, *c, *d] = self.0.address.load(Ordering::Relaxed).to_le_bytes();
            }
        } else if let Some((bdf, register)) = self.target() {
            self.0.read_config(bdf, register + (offset & 3), data);
        }
    }

    fn write(&self, offset: u64, data: &[u8]) {
        if offset < 4 {
            if let (0, Ok(raw)) = (offset, data.try_into()) {
                self.0.address.store(u32::from_le_bytes(raw), Ordering::Relaxed);
            }
        } else if let Some((bdf, register)) = self.target() {
            self.0.write_config(bdf, register + (offset & 3), data);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Probe(Mutex<Vec<(u16, Vec<u8>)>>);

    impl PciFunction for Probe {
        fn read_config(&self, offset: u16, data: &mut [u8]) {
            data.fill(offset as u8);
        }
        fn write_config(&self, offset: u16, data: &[u8]) {
            self.0.lock().unwrap().push((offset, data.to_vec()));
        }
    }

    fn root() -> (Arc<PciRoot>, Arc<Probe>) {
        let (root, probe) = (Arc::new(PciRoot::new()), Arc::new(Probe::default()));
        root.plug(Slot(3), probe.clone()).unwrap();
        (root, probe)
    }

    #[test]
    fn window_and_ports_reach_the_same_function() {
        let (root, probe) = root();
        Ecam(root.clone()).write(3 << 15 | 0x104, &[1, 2, 3, 4]);
        let ports = ConfigPorts(root);
        ports.write(0, &(ConfigPorts::ENABLE | 3 << 11 | 0x40).to_le_bytes());
        ports.write(6, &[5, 6]);
        assert_eq!(*probe.0.lock().unwrap(), [(0x104, vec![1, 2, 3, 4]), (0x42, vec![5, 6])]);
        let mut data = [0];
        ports.read(5, &mut data);
        assert_eq!(data, [0x41]);
    }

    #[test]
    fn absent_function_reads_as_all_ones() {
        let (root, _) = root();
        for address in [4u64 << 15, 3 << 15 | 1 << 12, 1 << 20 | 3 << 15] {
            let mut data = [0; 4];
            Ecam(root.clone()).read(address, &mut data);
            assert_eq!(data, [0xff; 4], "{address:#x}");
        }
    }

    #[test]
    fn unaligned_or_odd_access_is_not_passed_on() {
        let (root, probe) = root();
        let ecam = Ecam(root);
        ecam.write(3 << 15 | 1, &[0; 4]);
        ecam.write(3 << 15, &[0; 3]);
        ecam.write(3 << 15, &[0; 8]);
        assert!(probe.0.lock().unwrap().is_empty());
    }

    #[test]
    fn disabled_ports_reach_nothing() {
        let (root, probe) = root();
        let ports = ConfigPorts(root);
        ports.write(0, &(3u32 << 11).to_le_bytes());
        ports.write(4, &[0; 4]);
        assert!(probe.0.lock().unwrap().is_empty());
    }

    #[test]
    fn slot_is_given_once() {
        let (root, probe) = root();
        assert_eq!(root.plug(Slot(3), probe.clone()), Err(PlugError::Taken(3)));
        assert_eq!(root.plug(Slot(0), probe.clone()), Err(PlugError::Taken(0)));
        assert_eq!(root.plug(Slot(32), probe), Err(PlugError::NoSlot(32)));
    }
}
