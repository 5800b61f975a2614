//! Character devices and where their characters go.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{ComponentId, Slot, TokenBucket};

/// A virtio-console device (VIRTIO 1.3 §5.3): the console itself, and further ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsoleSpec {
    /// The stream that its characters come from and go to.
    pub backend: ComponentId,
    /// Further ports, at most 15. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<ConsolePortSpec>,
    /// Where it is plugged in. Default: the first free slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<Slot>,
}

/// A port of a virtio-console device beside the console: a channel that programs of the guest
/// open by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsolePortSpec {
    /// What the guest finds it by: 1 to 63 printable ASCII bytes, no space nor slash. Linux shows
    /// it in `/sys/class/virtio-ports/vport*/name`.
    pub name: String,
    /// The stream that its characters come from and go to.
    pub backend: ComponentId,
}

/// The 16550 UART at COM1 (port 0x3f8, interrupt 4). A machine has at most one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SerialSpec {
    /// The stream that its characters come from and go to.
    pub backend: ComponentId,
    /// Limit on output in bytes; what exceeds it is dropped and counted. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limiter: Option<TokenBucket>,
}

/// Where characters come from and go to, told apart by `kind`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum StreamSpec {
    /// The monitor's own input and output. At most one device can have it.
    Stdio {},
    /// A new pseudo-terminal, whose name the monitor logs.
    Pty {},
    /// Output is appended to a file or written to a named pipe; there is no input.
    File {
        /// Host path.
        path: PathBuf,
        /// The most bytes that the file has, at least 16384; when it would have more, it is cut
        /// down to its last half, or to its last MiB. Default: no limit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u64>,
    },
    /// A listening unix socket that serves one client at a time.
    Socket {
        /// Host path of the socket, which the monitor makes.
        path: PathBuf,
    },
    /// Output is dropped; there is no input.
    Null {},
    /// The last bytes of output are kept in memory, for a client that attaches.
    Ring {
        /// Bytes kept: 4096 to 2^26. Default: 65536.
        #[serde(default = "default_ring_size")]
        size: u32,
    },
}

fn default_ring_size() -> u32 {
    65536
}
