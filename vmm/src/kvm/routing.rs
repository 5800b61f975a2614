//! The interrupt routing table of a VM.
//!
//! KVM takes the whole table in one call, and each call waits for a grace period, so changes
//! are gathered: a message that moves while its vector is quiet only marks the table stale, and
//! the next trigger writes it once for all.

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};

use devices::interrupt::{Gsi, MsiMessage};
use kvm_bindings::{
    KVM_IRQ_ROUTING_IRQCHIP, KVM_IRQ_ROUTING_MSI, KVM_IRQCHIP_IOAPIC, KvmIrqRouting,
    kvm_irq_routing_entry,
};
use kvm_ioctls::VmFd;

/// Inputs of KVM's IOAPIC; message-signalled interrupts are numbered after them.
pub const IOAPIC_PINS: u32 = 24;
/// Routes that KVM takes at most (`KVM_MAX_IRQ_ROUTES`).
const MAX_ROUTES: u32 = 4096;

/// Routes of message-signalled interrupts by GSI; IOAPIC pins are routed one to one.
#[derive(Debug, Default)]
pub(super) struct RoutingTable {
    routes: Mutex<BTreeMap<u32, Option<MsiMessage>>>,
    stale: AtomicBool,
}

impl RoutingTable {
    /// Reserves `count` GSIs. They carry nothing until they are routed.
    pub(super) fn allocate(&self, count: u16) -> io::Result<Vec<Gsi>> {
        let mut routes = self.lock();
        let free: Vec<u32> = (IOAPIC_PINS..MAX_ROUTES)
            .filter(|gsi| !routes.contains_key(gsi))
            .take(usize::from(count))
            .collect();
        if free.len() < usize::from(count) {
            return Err(io::Error::new(io::ErrorKind::OutOfMemory, "all interrupt routes in use"));
        }
        routes.extend(free.iter().map(|gsi| (*gsi, None)));
        Ok(free.into_iter().map(Gsi).collect())
    }

    /// Gives a GSI back. Its route goes with the next update.
    pub(super) fn release(&self, gsi: Gsi) {
        if self.lock().remove(&gsi.0).flatten().is_some() {
            self.stale.store(true, Ordering::Release);
        }
    }

    /// Sets where `gsi` leads. Takes effect at the next [`flush`](Self::flush).
    pub(super) fn set(&self, gsi: Gsi, message: MsiMessage) {
        let previous = self.lock().insert(gsi.0, Some(message));
        if previous != Some(Some(message)) {
            self.stale.store(true, Ordering::Release);
        }
    }

    /// Whether KVM has not seen the latest routes.
    pub(super) fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Acquire)
    }

    /// Gives the table to KVM if it changed.
    pub(super) fn flush(&self, vm: &VmFd) -> io::Result<()> {
        let routes = self.lock();
        // Cleared under the lock: a change after this sees the mark clear and sets it again.
        if !self.stale.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let entries: Vec<_> = entries(&routes).collect();
        let table = KvmIrqRouting::from_entries(&entries)
            .map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        vm.set_gsi_routing(&table).map_err(|error| {
            self.stale.store(true, Ordering::Release);
            io::Error::from_raw_os_error(error.errno())
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u32, Option<MsiMessage>>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// IOAPIC pins first, then what is routed of the messages.
fn entries(
    routes: &BTreeMap<u32, Option<MsiMessage>>,
) -> impl Iterator<Item = kvm_irq_routing_entry> {
    let pins = (0..IOAPIC_PINS).map(ioapic_entry);
    let messages =
        routes.iter().filter_map(|(gsi, message)| message.map(|message| msi_entry(*gsi, message)));
    pins.chain(messages)
}

fn ioapic_entry(pin: u32) -> kvm_irq_routing_entry {
    let mut entry = kvm_irq_routing_entry {
        gsi: pin,
        type_: KVM_IRQ_ROUTING_IRQCHIP,
        ..kvm_irq_routing_entry::default()
    };
    entry.u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
    entry.u.irqchip.pin = pin;
    entry
}

fn msi_entry(gsi: u32, message: MsiMessage) -> kvm_irq_routing_entry {
    let mut entry = kvm_irq_routing_entry {
        gsi,
        type_: KVM_IRQ_ROUTING_MSI,
        ..kvm_irq_routing_entry::default()
    };
    let [l0, l1, l2, l3, h0, h1, h2, h3] = message.address.to_le_bytes();
    entry.u.msi.address_lo = u32::from_le_bytes([l0, l1, l2, l3]);
    entry.u.msi.address_hi = u32::from_le_bytes([h0, h1, h2, h3]);
    entry.u.msi.data = message.data;
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocated_numbers_start_behind_the_ioapic_and_are_reused() {
        let table = RoutingTable::default();
        assert_eq!(table.allocate(3).unwrap(), [Gsi(24), Gsi(25), Gsi(26)]);
        table.release(Gsi(25));
        assert_eq!(table.allocate(2).unwrap(), [Gsi(25), Gsi(27)]);
    }

    #[test]
    fn too_many_vectors_are_refused_and_take_nothing() {
        let table = RoutingTable::default();
        assert_eq!(table.allocate(4072).unwrap().len(), 4072);
        assert_eq!(table.allocate(1).unwrap_err().kind(), io::ErrorKind::OutOfMemory);
    }

    #[test]
    fn only_a_changed_message_makes_the_table_stale() {
        let table = RoutingTable::default();
        let message = MsiMessage { address: 0xfee0_0000, data: 0x41 };
        table.allocate(1).unwrap();
        assert!(!table.is_stale());
        table.set(Gsi(24), message);
        assert!(table.stale.swap(false, Ordering::AcqRel));
        table.set(Gsi(24), message);
        assert!(!table.is_stale());
    }

    #[test]
    fn unrouted_vectors_are_left_out_of_the_table() {
        let table = RoutingTable::default();
        table.allocate(2).unwrap();
        table.set(Gsi(25), MsiMessage { address: 0xfee0_1000, data: 7 });
        let entries: Vec<_> = entries(&table.lock()).collect();
        let gsis: Vec<_> = entries.iter().map(|entry| entry.gsi).collect();
        assert_eq!(gsis[..24], (0..24).collect::<Vec<_>>());
        assert_eq!(gsis[24..], [25]);
    }
}
