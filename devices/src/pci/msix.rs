//! MSI-X: the vector table, masking and pending bits (PCI 3.0, section 6.8.2).
//!
//! Triggering takes no lock: a worker looks at one atomic and writes one eventfd.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use log::error;

use crate::interrupt::{MsiMessage, MsiVector};
use crate::occurrences::Occurrences;

/// Bytes of one table entry.
pub const ENTRY_SIZE: u64 = 16;
/// Message control: MSI-X is enabled.
const ENABLE: u16 = 1 << 15;
/// Message control: all vectors are masked.
const FUNCTION_MASK: u16 = 1 << 14;
/// Vector control: this vector is masked.
const VECTOR_MASK: u32 = 1;

struct Vector {
    msi: Arc<dyn MsiVector>,
    /// By its own bit, the function's, or because MSI-X is off.
    masked: AtomicBool,
    pending: AtomicBool,
}

#[derive(Clone, Copy)]
struct Entry {
    message: MsiMessage,
    control: u32,
    /// What the vector is routed to.
    routed: Option<MsiMessage>,
}

struct Table {
    entries: Vec<Entry>,
    control: u16,
}

/// The MSI-X state of one function.
pub struct Msix {
    vectors: Vec<Vector>,
    enabled: AtomicBool,
    table: Mutex<Table>,
}

impl Msix {
    /// A table over `vectors`, all masked and MSI-X off.
    pub fn new(vectors: Vec<Arc<dyn MsiVector>>) -> Self {
        let entry = Entry { message: MsiMessage::default(), control: VECTOR_MASK, routed: None };
        let entries = vec![entry; vectors.len()];
        let vectors = vectors
            .into_iter()
            .map(|msi| Vector {
                msi,
                masked: AtomicBool::new(true),
                pending: AtomicBool::new(false),
            })
            .collect();
        let table = Mutex::new(Table { entries, control: 0 });
        Self { vectors, enabled: AtomicBool::new(false), table }
    }

    /// Number of vectors.
    pub fn len(&self) -> u16 {
        self.vectors.len() as u16
    }

    /// Whether there are no vectors.
    pub fn is_empty(&self) -> bool {
        self.vectors.is_empty()
    }

    /// Whether the guest has switched MSI-X on.
    pub fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Acquire)
    }

    /// Delivers vector `index`, or marks it pending while it is masked. One that does not exist is
    /// ignored, and so are all while MSI-X is off.
    pub fn trigger(&self, index: u16) {
        let Some(vector) = self.vectors.get(usize::from(index)) else { return };
        if !vector.masked.load(Ordering::Acquire) {
            deliver(index, vector);
            return;
        }
        if !self.is_enabled() {
            return;
        }
        vector.pending.store(true, Ordering::SeqCst);
        // It may have been unmasked before the mark was there to be seen.
        if !vector.masked.load(Ordering::SeqCst) && vector.pending.swap(false, Ordering::SeqCst) {
            deliver(index, vector);
        }
    }

    /// The guest wrote message control in configuration space.
    pub fn set_control(&self, control: u16) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.control = control & (ENABLE | FUNCTION_MASK);
        self.enabled.store(control & ENABLE != 0, Ordering::Release);
        for index in 0..self.vectors.len() {
            self.update(&mut table, index);
        }
    }

    /// Reads the table.
    pub fn read_table(&self, offset: u64, data: &mut [u8]) {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let raw = usize::try_from(offset / ENTRY_SIZE)
            .ok()
            .and_then(|i| table.entries.get(i))
            .map_or([0; ENTRY_SIZE as usize], raw_entry);
        let start = (offset % ENTRY_SIZE) as usize;
        for (i, byte) in data.iter_mut().enumerate() {
            *byte = raw.get(start + i).copied().unwrap_or(0);
        }
    }

    /// Writes the table: aligned accesses of 4 or 8 bytes, others are ignored.
    pub fn write_table(&self, offset: u64, data: &[u8]) {
        if !matches!(data.len(), 4 | 8) || !offset.is_multiple_of(data.len() as u64) {
            return;
        }
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(index) = usize::try_from(offset / ENTRY_SIZE) else { return };
        let Some(entry) = table.entries.get_mut(index) else { return };
        for (i, word) in data.chunks_exact(4).enumerate() {
            let Ok(word) = word.try_into().map(u32::from_le_bytes) else { continue };
            let address = entry.message.address;
            match offset % ENTRY_SIZE + 4 * i as u64 {
                0 => entry.message.address = address & !0xffff_ffff | u64::from(word & !3),
                4 => entry.message.address = address & 0xffff_ffff | u64::from(word) << 32,
                8 => entry.message.data = word,
                _ => entry.control = word & VECTOR_MASK,
            }
        }
        self.update(&mut table, index);
    }

    /// Reads the pending bits.
    pub fn read_pending(&self, offset: u64, data: &mut [u8]) {
        for (i, byte) in data.iter_mut().enumerate() {
            let first = offset.saturating_add(i as u64).saturating_mul(8);
            *byte = (0..8).fold(0, |bits, bit| {
                let vector = usize::try_from(first.saturating_add(bit))
                    .ok()
                    .and_then(|v| self.vectors.get(v));
                let pending = vector.is_some_and(|v| v.pending.load(Ordering::Relaxed));
                bits | u8::from(pending) << bit
            });
        }
    }

    /// Forgets what is pending.
    pub fn clear_pending(&self) {
        for vector in &self.vectors {
            vector.pending.store(false, Ordering::SeqCst);
        }
    }

    /// Brings vector `index` in line with its entry.
    fn update(&self, table: &mut Table, index: usize) {
        let enabled = table.control & (ENABLE | FUNCTION_MASK) == ENABLE;
        let (Some(vector), Some(entry)) = (self.vectors.get(index), table.entries.get_mut(index))
        else {
            return;
        };
        if !enabled || entry.control & VECTOR_MASK != 0 {
            vector.masked.store(true, Ordering::SeqCst);
            return;
        }
        if entry.routed != Some(entry.message) {
            match vector.msi.route(entry.message) {
                Ok(()) => entry.routed = Some(entry.message),
                Err(e) => report("route", index, &e),
            }
        }
        vector.masked.store(false, Ordering::SeqCst);
        if vector.pending.swap(false, Ordering::SeqCst) {
            deliver(index as u16, vector);
        }
    }
}

fn deliver(index: u16, vector: &Vector) {
    if let Err(e) = vector.msi.trigger() {
        report("deliver", index.into(), &e);
    }
}

/// Addresses are the guest's choice, and the host may refuse them each time.
fn report(operation: &str, index: usize, error: &io::Error) {
    static SEEN: Occurrences = Occurrences::new();
    if let Some(seen) = SEEN.next() {
        error!(
            "failed to {operation} MSI-X vector {index}: {error} (such failures so far: {seen})"
        );
    }
}

fn raw_entry(entry: &Entry) -> [u8; ENTRY_SIZE as usize] {
    let mut raw = [0; ENTRY_SIZE as usize];
    raw[..8].copy_from_slice(&entry.message.address.to_le_bytes());
    raw[8..12].copy_from_slice(&entry.message.data.to_le_bytes());
    raw[12..].copy_from_slice(&entry.control.to_le_bytes());
    raw
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interrupt::MsiSource;
    use crate::pci::msix::testing::FakeMsi;

    fn msix() -> (Msix, Arc<FakeMsi>) {
        let source = Arc::new(FakeMsi::default());
        (Msix::new(source.allocate(2).unwrap()), source)
    }

    fn set_entry(msix: &Msix, index: u64, address: u64, data: u32, control: u32) {
        msix.write_table(16 * index, &address.to_le_bytes());
        msix.write_table(16 * index + 8, &data.to_le_bytes());
        msix.write_table(16 * index + 12, &control.to_le_bytes());
    }

    #[test]
    fn unmasked_vector_is_delivered_where_its_entry_says() {
        let (msix, fake) = msix();
        msix.set_control(ENABLE);
        set_entry(&msix, 1, 0xfee0_1000, 0x41, 0);
        msix.trigger(1);
        assert_eq!(fake.delivered(), [MsiMessage { address: 0xfee0_1000, data: 0x41 }]);
    }

    #[test]
    fn masked_vector_stays_pending_until_it_is_unmasked() {
        let (msix, fake) = msix();
        msix.set_control(ENABLE);
        set_entry(&msix, 0, 0xfee0_0000, 1, VECTOR_MASK);
        msix.trigger(0);
        msix.trigger(0);
        let mut pending = [0];
        msix.read_pending(0, &mut pending);
        assert_eq!((pending, fake.delivered().len()), ([1], 0));
        msix.write_table(12, &0u32.to_le_bytes());
        msix.read_pending(0, &mut pending);
        assert_eq!((pending, fake.delivered().len()), ([0], 1));
    }

    #[test]
    fn function_mask_holds_all_vectors_back() {
        let (msix, fake) = msix();
        set_entry(&msix, 0, 0xfee0_0000, 1, 0);
        msix.set_control(ENABLE | FUNCTION_MASK);
        msix.trigger(0);
        assert!(fake.delivered().is_empty());
        msix.set_control(ENABLE);
        assert_eq!(fake.delivered().len(), 1);
    }

    #[test]
    fn nothing_is_pending_from_a_time_when_msix_was_off_or_after_it_was_forgotten() {
        let (msix, fake) = msix();
        set_entry(&msix, 0, 0xfee0_0000, 1, 0);
        set_entry(&msix, 1, 0xfee0_0000, 2, VECTOR_MASK);
        msix.trigger(0);
        msix.set_control(ENABLE);
        msix.trigger(1);
        msix.clear_pending();
        set_entry(&msix, 1, 0xfee0_0000, 2, 0);
        assert!(fake.delivered().is_empty());
    }

    #[test]
    fn vector_out_of_range_is_ignored() {
        let (msix, fake) = msix();
        msix.set_control(ENABLE);
        msix.trigger(2);
        msix.trigger(0xffff);
        set_entry(&msix, 2, 1, 1, 0);
        let mut data = [0xaa; 4];
        msix.read_table(32, &mut data);
        assert_eq!(data, [0; 4]);
        assert!(fake.delivered().is_empty());
    }

    #[test]
    fn table_reads_back_and_odd_accesses_are_ignored() {
        let (msix, _) = msix();
        set_entry(&msix, 0, 0x1_fee0_0000, 7, 0);
        msix.write_table(1, &[0xff; 4]);
        msix.write_table(0, &[0xff; 2]);
        let mut raw = [0; 16];
        msix.read_table(0, &mut raw);
        assert_eq!(raw[..12], [0, 0, 0xe0, 0xfe, 1, 0, 0, 0, 7, 0, 0, 0]);
    }
}

/// Message-signalled interrupts that are only written down.
#[cfg(any(test, feature = "fake-driver"))]
pub mod testing {
    use std::io;
    use std::sync::{Arc, Mutex};

    use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

    use crate::interrupt::{MsiMessage, MsiSource, MsiVector};

    /// Remembers what was delivered.
    #[derive(Default)]
    pub struct FakeMsi(Arc<Mutex<Vec<MsiMessage>>>);

    impl FakeMsi {
        /// The messages so far, in order.
        pub fn delivered(&self) -> Vec<MsiMessage> {
            self.0.lock().expect("no panics hold it").clone()
        }
    }

    struct FakeVector {
        message: Mutex<MsiMessage>,
        delivered: Arc<Mutex<Vec<MsiMessage>>>,
        event: EventFd,
    }

    impl MsiVector for FakeVector {
        fn route(&self, message: MsiMessage) -> io::Result<()> {
            *self.message.lock().expect("no panics hold it") = message;
            Ok(())
        }
        fn trigger(&self) -> io::Result<()> {
            let message = *self.message.lock().expect("no panics hold it");
            self.delivered.lock().expect("no panics hold it").push(message);
            Ok(())
        }
        fn event(&self) -> &EventFd {
            &self.event
        }
    }

    impl MsiSource for FakeMsi {
        fn allocate(&self, count: u16) -> io::Result<Vec<Arc<dyn MsiVector>>> {
            (0..count)
                .map(|_| -> io::Result<Arc<dyn MsiVector>> {
                    Ok(Arc::new(FakeVector {
                        message: Mutex::default(),
                        delivered: Arc::clone(&self.0),
                        event: EventFd::new(EFD_NONBLOCK)?,
                    }))
                })
                .collect()
        }
    }
}
