//! Devices joined with their backends.

use std::path::{Path, PathBuf};

use crate::{
    BalloonSpec, ComponentId, ConsoleSpec, DiskCompositeSpec, DiskFileSpec, DiskSpec, EntropySpec,
    FsSpec, HostFolderSpec, NetSpec, SerialSpec, Slot, StreamSpec, SwitchPortSpec, TapFdSpec,
    TapSpec, VsockSpec, VsockUnixSpec,
};

/// A virtio device in its slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The id of its component.
    pub id: ComponentId,
    /// Where it is plugged in; no two devices have the same.
    pub slot: Slot,
    /// What it is.
    pub kind: DeviceKind,
}

/// What a virtio device is, with its backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// virtio-blk.
    Disk(Disk),
    /// virtio-fs.
    Fs(Fs),
    /// virtio-net.
    Net(Net),
    /// virtio-vsock.
    Vsock(Vsock),
    /// virtio-console.
    Console(Console),
    /// virtio-rng.
    Entropy(EntropySpec),
    /// virtio-balloon.
    Balloon(BalloonSpec),
}

/// A disk and its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// What the guest sees.
    pub spec: DiskSpec,
    /// What the host provides.
    pub backend: DiskBackend,
}

/// What holds a disk's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskBackend {
    /// A file or block device.
    File(DiskFileSpec),
    /// Files, each a partition. The disk is read-only.
    Composite(DiskCompositeSpec),
}

impl DiskBackend {
    /// The files, in their order.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let paths = match self {
            Self::File(file) => std::slice::from_ref(&file.path),
            Self::Composite(composite) => &composite.parts,
        };
        paths.iter().map(PathBuf::as_path)
    }
}

/// A network device and what carries its frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Net {
    /// What the guest sees.
    pub spec: NetSpec,
    /// What the host provides.
    pub backend: NetBackend,
}

/// What carries a network device's frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetBackend {
    /// A tap interface by name.
    Tap(TapSpec),
    /// An open tap.
    TapFd(TapFdSpec),
    /// A port of a user-mode switch.
    SwitchPort(SwitchPortSpec),
}

/// A vsock device and what carries its connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vsock {
    /// What the guest sees.
    pub spec: VsockSpec,
    /// What the host provides.
    pub backend: VsockBackend,
}

/// What carries a vsock device's connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VsockBackend {
    /// Unix sockets.
    Unix(VsockUnixSpec),
}

/// A share and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fs {
    /// What the guest sees.
    pub spec: FsSpec,
    /// What the host provides.
    pub backend: FsBackend,
}

/// What holds a share's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FsBackend {
    /// A folder or file of the host.
    HostFolder(HostFolderSpec),
}

/// A console and its stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Console {
    /// What the guest sees.
    pub spec: ConsoleSpec,
    /// Where its characters go.
    pub stream: StreamSpec,
    /// Its further ports.
    pub ports: Vec<ConsolePort>,
}

impl Console {
    /// The streams of all ports, that of the console first.
    pub fn streams(&self) -> impl Iterator<Item = &StreamSpec> {
        std::iter::once(&self.stream).chain(self.ports.iter().map(|port| &port.stream))
    }
}

/// A further port of a console and its stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsolePort {
    /// What the guest finds it by; no other port of the console has it.
    pub name: String,
    /// Where its characters go.
    pub stream: StreamSpec,
}

/// A serial port and its stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serial {
    /// The id of its component.
    pub id: ComponentId,
    /// What the guest sees.
    pub spec: SerialSpec,
    /// Where its characters go.
    pub stream: StreamSpec,
}
