//! What a virtual machine is: serde data and its validation, without I/O.
//!
//! A [`VmSpec`] is one plain document: how to boot, processors, memory, the board, and a map of
//! components. *Devices* (what the guest sees, what must match when a snapshot is restored) and
//! *backends* (what the host provides, what may differ then) are separate entries of that map and
//! are joined by id. The command line, the REST bodies, the configuration file, the snapshot and
//! the tests all end in this document.
//!
//! A document that parses may still be nonsense: a disk without its file, two root disks.
//! [`Machine::try_from`] checks all of that, names the field at fault, and gives a [`Machine`] in
//! which each device holds its backend. Code behind it has no "no such backend" arm.
//!
//! ```
//! let text = r#"{
//!   "boot": { "kernel": "/srv/vmlinux", "cmdline": "console=ttyS0 reboot=k panic=1" },
//!   "cpu": { "count": 2 },
//!   "memory": { "size": 256, "backing": "memfd" },
//!   "components": {
//!     "rootfs":      { "type": "disk", "backend": "rootfs-file", "root": true },
//!     "rootfs-file": { "type": "disk-file", "path": "/srv/rootfs.ext4", "engine": "async" },
//!     "eth0":        { "type": "net", "backend": "tap0", "mac": "06:00:ac:10:00:02" },
//!     "tap0":        { "type": "tap", "name": "tap0" },
//!     "com1":        { "type": "serial", "backend": "terminal" },
//!     "terminal":    { "type": "stream", "kind": "stdio" },
//!     "rng":         { "type": "entropy" }
//!   }
//! }"#;
//! let spec: vm_spec::VmSpec = serde_json::from_str(text)?;
//! let machine = vm_spec::Machine::try_from(spec)?;
//! assert_eq!(machine.devices().len(), 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod board;
mod boot;
mod component;
mod cpu;
mod end;
mod id;
mod mac;
mod machine;
mod memory;
mod mib;
mod rate;
mod spec;

pub use board::{BoardSpec, MAX_SLOT, Slot, SlotError, Transport};
pub use boot::{BootSpec, DEFAULT_CMDLINE, MAX_CMDLINE};
pub use component::{
    BalloonSpec, CacheMode, Component, ConsolePortSpec, ConsoleSpec, DiskCompositeSpec, DiskEngine,
    DiskFileSpec, DiskFormat, DiskSpec, EntropySpec, FsCache, FsSpec, HostFolderSpec, MmdsSpec,
    MmdsVersion, NetSpec, SerialSpec, StreamSpec, SwitchPortSpec, TapFdSpec, TapSpec, VmGenIdSpec,
    VsockSpec, VsockUnixSpec,
};
pub use cpu::{
    BitPattern, BitPatternError, CapabilityModifier, CpuSpec, CpuTemplate, CpuidModifier,
    CpuidRegister, CpuidRegisterModifier, MAX_VCPUS, MsrModifier, RegisterWidth,
};
pub use end::MachineEnd;
pub use id::{ComponentId, IdError};
pub use mac::{MacAddr, MacError};
pub use machine::{
    Console, ConsolePort, Device, DeviceKind, Disk, DiskBackend, Fs, FsBackend, Machine, Net,
    NetBackend, Serial, SpecError, Vsock, VsockBackend,
};
pub use memory::{MAX_MEMORY, MIN_MEMORY, MemoryBacking, MemorySpec};
pub use mib::Mib;
pub use rate::{RateLimiter, TokenBucket};
pub use spec::VmSpec;
