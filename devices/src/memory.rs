//! Guest memory as devices see it.

use vm_memory::{GuestMemoryAtomic, GuestMemoryMmap};

/// One state of the guest's memory map: regions mapped into this process.
pub type GuestRam = GuestMemoryMmap<()>;

/// The guest's memory, whose map may change while devices run (hotplug). Take a snapshot with
/// [`vm_memory::GuestAddressSpace::memory`] for each burst of work; do not keep it while idle.
pub type Memory = GuestMemoryAtomic<GuestRam>;
