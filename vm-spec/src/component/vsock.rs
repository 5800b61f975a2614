//! Sockets between guest and host.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{ComponentId, Slot};

/// A virtio-vsock device (VIRTIO 1.3 §5.10).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VsockSpec {
    /// The component that carries the connections.
    pub backend: ComponentId,
    /// Where it is plugged in. Default: the first free slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<Slot>,
    /// The guest's context id: 3 to 2^32 - 2.
    pub cid: u32,
}

/// Unix sockets of the host as the other side.
///
/// A host program connects to `path`, writes `CONNECT <port>\n` and reads `OK <port>\n`; a guest's
/// connection to port P arrives at the socket `<path>_P`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VsockUnixSpec {
    /// Host path of the listening socket, which the monitor makes.
    pub path: PathBuf,
}
