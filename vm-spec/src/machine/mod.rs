//! A machine that is valid by construction.

mod cmdline;
mod device;
mod error;
mod limits;
mod resolve;
mod slots;
#[cfg(test)]
mod tests;

pub use device::{
    Console, ConsolePort, Device, DeviceKind, Disk, DiskBackend, Fs, FsBackend, Net, NetBackend,
    Serial, Vsock, VsockBackend,
};
pub use error::SpecError;

use crate::{BoardSpec, BootSpec, CpuSpec, MemorySpec, MmdsSpec, VmSpec};

/// A machine in which every reference is resolved and every bound holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    spec: VmSpec,
    cmdline: String,
    devices: Vec<Device>,
    serial: Option<Serial>,
    mmds: Option<MmdsSpec>,
    vm_gen_id: bool,
}

impl Machine {
    /// The document that describes it.
    pub fn spec(&self) -> &VmSpec {
        &self.spec
    }

    /// What the guest starts with. Its command line is the user's; the guest's is
    /// [`Machine::cmdline`].
    pub fn boot(&self) -> &BootSpec {
        &self.spec.boot
    }

    /// Processors.
    pub fn cpu(&self) -> &CpuSpec {
        &self.spec.cpu
    }

    /// Memory.
    pub fn memory(&self) -> MemorySpec {
        self.spec.memory
    }

    /// Board-wide choices.
    pub fn board(&self) -> BoardSpec {
        self.spec.board
    }

    /// The command line that the guest gets: printable ASCII, at most
    /// [`MAX_CMDLINE`](crate::MAX_CMDLINE) bytes.
    pub fn cmdline(&self) -> &str {
        &self.cmdline
    }

    /// The virtio devices in ascending order of their slots.
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// The serial port, if there is one.
    pub fn serial(&self) -> Option<&Serial> {
        self.serial.as_ref()
    }

    /// The metadata service, if there is one. The devices that it names are network devices of
    /// this machine.
    pub fn mmds(&self) -> Option<&MmdsSpec> {
        self.mmds.as_ref()
    }

    /// Whether the guest has a VM generation ID.
    pub fn has_vm_gen_id(&self) -> bool {
        self.vm_gen_id
    }
}

impl TryFrom<VmSpec> for Machine {
    type Error = SpecError;

    fn try_from(spec: VmSpec) -> Result<Self, SpecError> {
        limits::check_boot(&spec.boot)?;
        limits::check_cpu(&spec.cpu)?;
        limits::check_memory(&spec.memory)?;
        let resolved = resolve::resolve(&spec.components, &spec.memory)?;
        let devices = slots::place(resolved.devices)?;
        let cmdline = cmdline::compose(&spec.boot.cmdline, &devices, spec.board.transport)?;
        Ok(Self {
            spec,
            cmdline,
            devices,
            serial: resolved.serial,
            mmds: resolved.mmds,
            vm_gen_id: resolved.vm_gen_id,
        })
    }
}
