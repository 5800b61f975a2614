//! The configuration space of a type 0 function (PCI 3.0, section 6.1): bytes, and which bits of
//! them the guest can write.

/// Bytes of conventional configuration space.
pub const SIZE: usize = 256;
/// Offset of the first base address register.
const BAR0: usize = 0x10;
/// Offset of the capability list pointer.
const CAPABILITIES: usize = 0x34;
/// Where capabilities begin.
const FIRST_CAPABILITY: usize = 0x40;

/// What identifies a function to drivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Vendor.
    pub vendor: u16,
    /// Device, within the vendor.
    pub device: u16,
    /// Revision.
    pub revision: u8,
    /// Base class, subclass and programming interface, from the top byte of the lower 24 bits.
    pub class: u32,
    /// Subsystem vendor.
    pub subsystem_vendor: u16,
    /// Subsystem.
    pub subsystem: u16,
}

/// A 64-bit memory region of a function. It stays where the monitor placed it: the firmware tables
/// tell the guest to keep it (_DSM function 5), and writes to it only serve to learn its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    /// Guest physical address, aligned to the size.
    pub address: u64,
    /// Size in bytes, a power of two, at least 16.
    pub size: u64,
}

/// Why a capability cannot be added.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("no room in configuration space for capability {id:#x} of {len} bytes")]
pub struct NoRoom {
    /// Capability id.
    pub id: u8,
    /// Its length in bytes, the header included.
    pub len: usize,
}

/// Bytes of configuration space with their write masks.
#[derive(Debug, Clone)]
pub struct ConfigSpace {
    bytes: [u8; SIZE],
    writable: [u8; SIZE],
    last_capability: Option<usize>,
    free: usize,
}

impl ConfigSpace {
    /// The header of a single-function device without an interrupt pin.
    pub fn new(identity: Identity) -> Self {
        let mut space = Self {
            bytes: [0; SIZE],
            writable: [0; SIZE],
            last_capability: None,
            free: FIRST_CAPABILITY,
        };
        space.put(0x00, &identity.vendor.to_le_bytes());
        space.put(0x02, &identity.device.to_le_bytes());
        let class = identity.class << 8 | u32::from(identity.revision);
        space.put(0x08, &class.to_le_bytes());
        space.put(0x2c, &identity.subsystem_vendor.to_le_bytes());
        space.put(0x2e, &identity.subsystem.to_le_bytes());
        // Command: I/O, memory, bus master, parity and SERR enables, interrupt disable.
        space.allow(0x04, &0x0547u16.to_le_bytes());
        // Cache line size, latency timer and interrupt line have no meaning but hold their value.
        space.allow(0x0c, &[0xff, 0xff]);
        space.allow(0x3c, &[0xff]);
        space
    }

    /// Declares the 64-bit memory region of BARs `index` and `index + 1` (0, 2 or 4).
    pub fn set_bar(&mut self, index: usize, bar: Bar) {
        const MEMORY_64_PREFETCHABLE: u64 = 0b1100;
        let at = BAR0 + 4 * index.min(4);
        self.put(at, &(bar.address | MEMORY_64_PREFETCHABLE).to_le_bytes());
        self.allow(at, &(!(bar.size - 1)).to_le_bytes());
        // The region is decoded from the start.
        self.bytes[0x04] |= 0b110;
    }

    /// Appends a capability: `body` follows its id and next pointer; `writable` masks the body's
    /// bits. Returns its offset.
    pub fn add_capability(
        &mut self,
        id: u8,
        body: &[u8],
        writable: &[u8],
    ) -> Result<usize, NoRoom> {
        let len = 2 + body.len();
        let at = self.free;
        if at + len > SIZE {
            return Err(NoRoom { id, len });
        }
        self.put(at, &[id, 0]);
        self.put(at + 2, body);
        self.allow(at + 2, writable);
        self.put(self.last_capability.map_or(CAPABILITIES, |c| c + 1), &[at as u8]);
        // Status: capability list.
        self.bytes[0x06] |= 0x10;
        self.last_capability = Some(at);
        self.free = (at + len).next_multiple_of(4);
        Ok(at)
    }

    /// Reads; zeroes beyond the end (extended space has no capabilities).
    pub fn read(&self, offset: u16, data: &mut [u8]) {
        for (i, byte) in data.iter_mut().enumerate() {
            *byte = self.bytes.get(usize::from(offset) + i).copied().unwrap_or(0);
        }
    }

    /// Writes the bits that the guest may change.
    pub fn write(&mut self, offset: u16, data: &[u8]) {
        for (i, new) in data.iter().enumerate() {
            let at = usize::from(offset) + i;
            if let (Some(byte), Some(mask)) = (self.bytes.get_mut(at), self.writable.get(at)) {
                *byte = *byte & !mask | new & mask;
            }
        }
    }

    /// Sets bytes as the device, whatever the guest may write.
    pub fn set(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..).and_then(|b| b.get_mut(..bytes.len())) {
            place.copy_from_slice(bytes);
        }
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn allow(&mut self, at: usize, mask: &[u8]) {
        self.writable[at..at + mask.len()].copy_from_slice(mask);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space() -> ConfigSpace {
        ConfigSpace::new(Identity {
            vendor: 0x1af4,
            device: 0x1042,
            revision: 1,
            class: 0x01_00_00,
            subsystem_vendor: 0x1af4,
            subsystem: 0x1100,
        })
    }

    fn word(space: &ConfigSpace, offset: u16) -> u32 {
        let mut data = [0; 4];
        space.read(offset, &mut data);
        u32::from_le_bytes(data)
    }

    #[test]
    fn identity_is_read_only() {
        let mut space = space();
        space.write(0, &[0; 4]);
        assert_eq!(word(&space, 0), 0x1042_1af4);
        assert_eq!(word(&space, 8), 0x0100_0001);
    }

    #[test]
    fn bar_answers_the_sizing_protocol_and_takes_its_address_back() {
        let mut space = space();
        space.set_bar(0, Bar { address: 0x40_0001_0000, size: 0x1_0000 });
        space.write(0x10, &[0xff; 4]);
        space.write(0x14, &[0xff; 4]);
        assert_eq!((word(&space, 0x10), word(&space, 0x14)), (0xffff_000c, 0xffff_ffff));
        space.write(0x10, &0x0001_000cu32.to_le_bytes());
        space.write(0x14, &0x40u32.to_le_bytes());
        assert_eq!((word(&space, 0x10), word(&space, 0x14)), (0x0001_000c, 0x40));
    }

    #[test]
    fn capabilities_form_a_list() {
        let mut space = space();
        let first = space.add_capability(9, &[1, 2, 3], &[]).unwrap();
        let second = space.add_capability(0x11, &[0, 0], &[0, 0xc0]).unwrap();
        let mut pointer = [0];
        space.read(CAPABILITIES as u16, &mut pointer);
        assert_eq!(usize::from(pointer[0]), first);
        space.read(first as u16 + 1, &mut pointer);
        assert_eq!(usize::from(pointer[0]), second);
        space.write(second as u16 + 2, &[0xff, 0xff]);
        assert_eq!(word(&space, second as u16), 0xc000_0011);
    }

    #[test]
    fn capability_beyond_the_end_is_refused() {
        let error = space().add_capability(9, &[0; 200], &[]).unwrap_err();
        assert_eq!(error, NoRoom { id: 9, len: 202 });
    }

    #[test]
    fn extended_space_reads_as_zero_and_ignores_writes() {
        let mut space = space();
        space.write(0x100, &[1; 4]);
        space.write(0xfe, &[1; 4]);
        assert_eq!(word(&space, 0x100), 0);
    }
}
