//! Interrupt lines and messages by KVM's irqfd.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use devices::interrupt::{Gsi, IrqLine, MsiMessage, MsiSource, MsiVector};
use kvm_ioctls::VmFd;
use vmm_sys_util::eventfd::EventFd;

use super::routing::RoutingTable;
use super::vm::Vm;

fn to_io(error: kvm_ioctls::Error) -> io::Error {
    io::Error::from_raw_os_error(error.errno())
}

/// An edge-triggered input of the IOAPIC.
#[derive(Debug)]
pub struct KvmIrqLine {
    event: EventFd,
}

impl KvmIrqLine {
    /// Attaches to IOAPIC input `gsi` of `vm`.
    ///
    /// # Errors
    /// When the eventfd cannot be made or KVM refuses the input.
    pub fn new(vm: &Vm, gsi: Gsi) -> io::Result<Self> {
        let event = EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC)?;
        vm.ioctls().register_irqfd(&event, gsi.0).map_err(to_io)?;
        Ok(Self { event })
    }

    /// The eventfd that raises the line, for signallers outside of this process.
    pub fn event(&self) -> &EventFd {
        &self.event
    }
}

impl IrqLine for KvmIrqLine {
    fn trigger(&self) -> io::Result<()> {
        self.event.write(1)
    }
}

/// Makes message-signalled interrupts of one VM.
#[derive(Clone, Debug)]
pub struct KvmMsiSource {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    vm: Arc<VmFd>,
    table: RoutingTable,
}

impl KvmMsiSource {
    /// A source for `vm`. One per VM: it owns the VM's routing table.
    pub fn new(vm: &Vm) -> Self {
        let shared = Shared { vm: Arc::clone(vm.ioctls()), table: RoutingTable::default() };
        Self { shared: Arc::new(shared) }
    }
}

impl MsiSource for KvmMsiSource {
    fn allocate(&self, count: u16) -> io::Result<Vec<Arc<dyn MsiVector>>> {
        let mut vectors: Vec<Arc<dyn MsiVector>> = Vec::with_capacity(usize::from(count));
        for gsi in self.shared.table.allocate(count)? {
            let event = EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC)?;
            let shared = Arc::clone(&self.shared);
            vectors.push(Arc::new(KvmMsiVector {
                shared,
                gsi,
                event,
                attached: AtomicBool::new(false),
                exported: AtomicBool::new(false),
            }));
        }
        Ok(vectors)
    }
}

/// One message-signalled interrupt.
#[derive(Debug)]
struct KvmMsiVector {
    shared: Arc<Shared>,
    gsi: Gsi,
    event: EventFd,
    /// Whether the eventfd is an irqfd of KVM yet; done when a guest first routes the vector,
    /// so unused vectors cost nothing.
    attached: AtomicBool,
    /// Whether somebody else may signal the eventfd and so cannot wait for the first trigger.
    exported: AtomicBool,
}

impl KvmMsiVector {
    /// The table first, then the irqfd: KVM never sees an irqfd without its route.
    fn settle(&self) -> io::Result<()> {
        self.shared.table.flush(&self.shared.vm)?;
        if !self.attached.swap(true, Ordering::AcqRel) {
            self.shared.vm.register_irqfd(&self.event, self.gsi.0).map_err(|error| {
                self.attached.store(false, Ordering::Release);
                to_io(error)
            })?;
        }
        Ok(())
    }
}

impl MsiVector for KvmMsiVector {
    fn route(&self, message: MsiMessage) -> io::Result<()> {
        self.shared.table.set(self.gsi, message);
        if self.exported.load(Ordering::Acquire) { self.settle() } else { Ok(()) }
    }

    fn trigger(&self) -> io::Result<()> {
        if self.shared.table.is_stale() || !self.attached.load(Ordering::Acquire) {
            self.settle()?;
        }
        self.event.write(1)
    }

    fn event(&self) -> &EventFd {
        self.exported.store(true, Ordering::Release);
        &self.event
    }
}

impl Drop for KvmMsiVector {
    fn drop(&mut self) {
        if self.attached.load(Ordering::Acquire)
            && let Err(error) = self.shared.vm.unregister_irqfd(&self.event, self.gsi.0)
        {
            log::warn!("Failed to detach interrupt {}: {error}", self.gsi.0);
        }
        self.shared.table.release(self.gsi);
    }
}
