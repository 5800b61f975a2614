//! Devices and backends.

mod disk;
mod fs;
mod net;
mod small;
mod stream;
mod vsock;

use serde::{Deserialize, Serialize};

pub use disk::{CacheMode, DiskCompositeSpec, DiskEngine, DiskFileSpec, DiskFormat, DiskSpec};
pub use fs::{FsCache, FsSpec, HostFolderSpec};
pub use net::{MmdsSpec, MmdsVersion, NetSpec, SwitchPortSpec, TapFdSpec, TapSpec};
pub use small::{BalloonSpec, EntropySpec, VmGenIdSpec};
pub use stream::{ConsolePortSpec, ConsoleSpec, SerialSpec, StreamSpec};
pub use vsock::{VsockSpec, VsockUnixSpec};

/// One entry of the map of components, told apart by its `type`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Component {
    /// Device: virtio-blk.
    Disk(DiskSpec),
    /// Backend of a disk: a file or block device of the host.
    DiskFile(DiskFileSpec),
    /// Device: virtio-fs.
    Fs(FsSpec),
    /// Backend of a share: a folder or file of the host.
    HostFolder(HostFolderSpec),
    /// Backend of a read-only disk: files of the host, each a partition.
    DiskComposite(DiskCompositeSpec),
    /// Device: virtio-net.
    Net(NetSpec),
    /// Backend of a network device: a tap interface of the host, by name.
    Tap(TapSpec),
    /// Backend of a network device: a tap that is already open.
    TapFd(TapFdSpec),
    /// Backend of a network device: a port of a user-mode switch.
    SwitchPort(SwitchPortSpec),
    /// Device: virtio-vsock.
    Vsock(VsockSpec),
    /// Backend of a vsock device: unix sockets of the host.
    VsockUnix(VsockUnixSpec),
    /// Device: virtio-console.
    Console(ConsoleSpec),
    /// Device: the 16550 at COM1.
    Serial(SerialSpec),
    /// Backend of a console or serial port: where its characters go.
    Stream(StreamSpec),
    /// Device: virtio-rng.
    Entropy(EntropySpec),
    /// Device: virtio-balloon.
    Balloon(BalloonSpec),
    /// Device: the VM generation ID, by which a guest learns that it was cloned.
    #[serde(rename = "vmgenid")]
    VmGenId(VmGenIdSpec),
    /// The metadata service, answered on the network devices that it names.
    Mmds(MmdsSpec),
}

impl Component {
    /// The value of its `type` field.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Disk(_) => "disk",
            Self::DiskFile(_) => "disk-file",
            Self::Fs(_) => "fs",
            Self::HostFolder(_) => "host-folder",
            Self::DiskComposite(_) => "disk-composite",
            Self::Net(_) => "net",
            Self::Tap(_) => "tap",
            Self::TapFd(_) => "tap-fd",
            Self::SwitchPort(_) => "switch-port",
            Self::Vsock(_) => "vsock",
            Self::VsockUnix(_) => "vsock-unix",
            Self::Console(_) => "console",
            Self::Serial(_) => "serial",
            Self::Stream(_) => "stream",
            Self::Entropy(_) => "entropy",
            Self::Balloon(_) => "balloon",
            Self::VmGenId(_) => "vmgenid",
            Self::Mmds(_) => "mmds",
        }
    }
}

/// Queues of a device that does not say how many.
fn one_queue() -> u16 {
    1
}

/// Descriptors of a queue that does not say how many.
fn default_queue_size() -> u16 {
    256
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
