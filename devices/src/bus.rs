//! Dispatch of port and memory-mapped accesses to the device that claims the address.
//!
//! A [`Bus`] is built once and is read-only afterwards, so vCPUs look it up without a lock.

use std::sync::Arc;

use crate::metrics::Counter;

/// A device that answers reads and writes at offsets from the start of its range.
///
/// Called on vCPU threads, several at a time: implementations lock what they must.
pub trait BusDevice: Send + Sync {
    /// Fills `data` with the contents at `offset` bytes from the start of the range.
    fn read(&self, offset: u64, data: &mut [u8]);

    /// Takes `data` as written at `offset` bytes from the start of the range.
    fn write(&self, offset: u64, data: &[u8]);
}

/// Why a range cannot be put on a bus.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BusError {
    /// The range is empty or wraps the address space.
    #[error("bus range {base:#x}+{len:#x} for {name} is empty or wraps")]
    InvalidRange {
        /// Name of the device.
        name: String,
        /// First address.
        base: u64,
        /// Length in bytes.
        len: u64,
    },
    /// The range meets one that is taken.
    #[error("bus range {base:#x}+{len:#x} for {name} overlaps {other}")]
    Overlap {
        /// Name of the device.
        name: String,
        /// First address.
        base: u64,
        /// Length in bytes.
        len: u64,
        /// Name of the device that has it.
        other: String,
    },
}

struct Entry {
    base: u64,
    last: u64,
    name: String,
    device: Arc<dyn BusDevice>,
}

/// An address space of devices: ports, or memory-mapped I/O.
#[derive(Default)]
pub struct Bus {
    entries: Vec<Entry>,
    /// Accesses that no device claims: reads gave all ones, writes went nowhere.
    pub unclaimed: Counter,
}

impl Bus {
    /// An empty bus.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts `device` at `len` addresses from `base`; `name` is for messages.
    pub fn insert(
        &mut self,
        name: &str,
        base: u64,
        len: u64,
        device: Arc<dyn BusDevice>,
    ) -> Result<(), BusError> {
        let last = len
            .checked_sub(1)
            .and_then(|l| base.checked_add(l))
            .ok_or_else(|| BusError::InvalidRange { name: name.to_owned(), base, len })?;
        let at = self.entries.partition_point(|e| e.last < base);
        if let Some(next) = self.entries.get(at)
            && next.base <= last
        {
            return Err(BusError::Overlap {
                name: name.to_owned(),
                base,
                len,
                other: next.name.clone(),
            });
        }
        self.entries.insert(at, Entry { base, last, name: name.to_owned(), device });
        Ok(())
    }

    /// Reads at `addr`. An address that no device claims reads as all ones, as on real hardware.
    pub fn read(&self, addr: u64, data: &mut [u8]) {
        match self.find(addr, data.len()) {
            Some((device, offset)) => device.read(offset, data),
            None => {
                self.unclaimed.increment();
                data.fill(0xff);
            }
        }
    }

    /// Writes at `addr`. A write that no device claims is dropped.
    pub fn write(&self, addr: u64, data: &[u8]) {
        match self.find(addr, data.len()) {
            Some((device, offset)) => device.write(offset, data),
            None => self.unclaimed.increment(),
        }
    }

    /// The device that claims all of `len` bytes from `addr`, and the offset within its range.
    fn find(&self, addr: u64, len: usize) -> Option<(&dyn BusDevice, u64)> {
        let at = self.entries.partition_point(|e| e.last < addr);
        let entry = self.entries.get(at).filter(|e| e.base <= addr)?;
        let last = addr.checked_add((len as u64).checked_sub(1)?)?;
        (last <= entry.last).then(|| (&*entry.device, addr - entry.base))
    }
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.entries.iter().map(|e| format!("{:#x}-{:#x} {}", e.base, e.last, e.name)))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Probe(Mutex<Vec<(u64, Vec<u8>)>>);

    impl BusDevice for Probe {
        fn read(&self, offset: u64, data: &mut [u8]) {
            data.fill(offset as u8);
        }
        fn write(&self, offset: u64, data: &[u8]) {
            self.0.lock().unwrap().push((offset, data.to_vec()));
        }
    }

    fn bus_with(ranges: &[(u64, u64)]) -> (Bus, Vec<Arc<Probe>>) {
        let mut bus = Bus::new();
        let probes: Vec<_> = ranges.iter().map(|_| Arc::new(Probe::default())).collect();
        for (probe, (base, len)) in probes.iter().zip(ranges) {
            bus.insert("probe", *base, *len, probe.clone()).unwrap();
        }
        (bus, probes)
    }

    #[test]
    fn access_reaches_the_device_at_its_offset() {
        let (bus, probes) = bus_with(&[(0x2000, 0x10), (0x1000, 0x10)]);
        let mut data = [0; 2];
        bus.read(0x1004, &mut data);
        bus.write(0x200f, &[7]);
        assert_eq!(data, [4, 4]);
        assert_eq!(*probes[0].0.lock().unwrap(), [(0xf, vec![7])]);
    }

    #[test]
    fn unclaimed_read_gives_all_ones_and_is_counted() {
        let (bus, _) = bus_with(&[(0x1000, 0x10)]);
        let mut data = [0; 4];
        bus.read(0x0fff, &mut data);
        assert_eq!(data, [0xff; 4]);
        assert_eq!(bus.unclaimed.get(), 1);
    }

    #[test]
    fn access_across_the_end_of_a_range_is_unclaimed() {
        let (bus, probes) = bus_with(&[(0x1000, 0x10)]);
        bus.write(0x100f, &[1, 2]);
        bus.write(u64::MAX, &[1, 2]);
        assert!(probes[0].0.lock().unwrap().is_empty());
        assert_eq!(bus.unclaimed.get(), 2);
    }

    #[test]
    fn overlapping_range_is_refused_naming_both() {
        let (mut bus, _) = bus_with(&[(0x1000, 0x10)]);
        let error = bus.insert("new", 0x0ff8, 0x9, Arc::new(Probe::default())).unwrap_err();
        assert_eq!(error.to_string(), "bus range 0xff8+0x9 for new overlaps probe");
    }

    #[test]
    fn empty_or_wrapping_range_is_refused() {
        let mut bus = Bus::new();
        for (base, len) in [(0, 0), (u64::MAX, 2)] {
            let error = bus.insert("x", base, len, Arc::new(Probe::default())).unwrap_err();
            assert!(matches!(error, BusError::InvalidRange { .. }));
        }
    }
}
