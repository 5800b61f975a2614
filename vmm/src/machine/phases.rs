//! When the machine reached which point of its way to a running guest.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Points on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// KVM made the VM.
    VmCreated,
    /// Guest memory is mapped and known to KVM.
    MemoryReady,
    /// Kernel, initial RAM disk and parameters are in guest memory.
    KernelLoaded,
    /// The board with its devices is complete.
    BoardReady,
    /// All vCPUs are made.
    VcpusReady,
    /// The guest was entered for the first time.
    Entered,
    /// The guest said that its user space runs: only a machine with a boot timer hears of it.
    Booted,
}

impl Phase {
    /// All, in order.
    pub const ALL: [Self; 7] = [
        Self::VmCreated,
        Self::MemoryReady,
        Self::KernelLoaded,
        Self::BoardReady,
        Self::VcpusReady,
        Self::Entered,
        Self::Booted,
    ];

    /// Its name, for metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::VmCreated => "vm_created",
            Self::MemoryReady => "memory_ready",
            Self::BoardReady => "board_ready",
            Self::KernelLoaded => "kernel_loaded",
            Self::VcpusReady => "vcpus_ready",
            Self::Entered => "entered",
            Self::Booted => "booted",
        }
    }
}

/// Time stamps of all phases, shared between threads. Each is set once.
#[derive(Debug)]
pub struct Phases {
    start: Instant,
    reached: [OnceLock<Duration>; Phase::ALL.len()],
}

impl Phases {
    /// Starts counting at `start`.
    pub fn since(start: Instant) -> Self {
        Self { start, reached: Default::default() }
    }

    /// `phase` is reached now, unless it was before.
    pub fn reach(&self, phase: Phase) {
        if let Some(slot) = self.reached.get(phase as usize) {
            slot.get_or_init(|| self.start.elapsed());
        }
    }

    /// Time from the start to `phase`, if it was reached.
    pub fn get(&self, phase: Phase) -> Option<Duration> {
        self.reached.get(phase as usize)?.get().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_is_reached_once() {
        let phases = Phases::since(Instant::now());
        assert_eq!(phases.get(Phase::Booted), None);
        phases.reach(Phase::Booted);
        let first = phases.get(Phase::Booted);
        phases.reach(Phase::Booted);
        assert!(first.is_some());
        assert_eq!(phases.get(Phase::Booted), first);
    }
}
