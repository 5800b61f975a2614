//! Network devices.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{default_queue_size, is_default, one_queue};
use crate::{ComponentId, MacAddr, RateLimiter, Slot};

/// A virtio-net device (VIRTIO 1.3 §5.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetSpec {
    /// The component that carries the frames.
    pub backend: ComponentId,
    /// Where it is plugged in. Default: the first free slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<Slot>,
    /// The guest's address. Default: the guest chooses one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<MacAddr>,
    /// The MTU that the guest is told, 68 to 65535 bytes. Default: it is told none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u16>,
    /// Pairs of a receive and a transmit queue, 1 to 16. Default: 1.
    #[serde(default = "one_queue")]
    pub queue_pairs: u16,
    /// Descriptors of a queue: a power of two, 2 to 1024. Default: 256.
    #[serde(default = "default_queue_size")]
    pub queue_size: u16,
    /// Limits on what the guest receives. Default: none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rx_rate_limiter: RateLimiter,
    /// Limits on what the guest sends. Default: none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tx_rate_limiter: RateLimiter,
}

impl NetSpec {
    /// A network device over `backend` with every default.
    pub fn new(backend: ComponentId) -> Self {
        Self {
            backend,
            slot: None,
            mac: None,
            mtu: None,
            queue_pairs: one_queue(),
            queue_size: default_queue_size(),
            rx_rate_limiter: RateLimiter::default(),
            tx_rate_limiter: RateLimiter::default(),
        }
    }
}

/// A tap interface of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TapSpec {
    /// Its name, 1 to 15 bytes.
    pub name: String,
}

/// A tap that is already open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TapFdSpec {
    /// Number of the descriptor, inherited by the monitor.
    pub fd: u32,
}

/// A port of a user-mode switch, which carries frames over a unix socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwitchPortSpec {
    /// The socket at which the switch takes cards.
    pub socket: PathBuf,
    /// The port's name, 1 to 200 printable ASCII characters.
    pub port: String,
}

/// The metadata service: HTTP at one address, answered by the device itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MmdsSpec {
    /// Whether a session token is needed. Default: V1, none.
    #[serde(default)]
    pub version: MmdsVersion,
    /// Its link-local address. Default: 169.254.169.254.
    #[serde(default = "default_mmds_address")]
    pub address: Ipv4Addr,
    /// The network devices that answer for it, at least one.
    pub devices: Vec<ComponentId>,
    /// Whether answers are always plain text, as EC2's service gives them. Default: no.
    #[serde(default)]
    pub imds_compat: bool,
}

fn default_mmds_address() -> Ipv4Addr {
    Ipv4Addr::new(169, 254, 169, 254)
}

/// The metadata service's protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MmdsVersion {
    /// Plain requests.
    #[default]
    V1,
    /// Requests carry a session token.
    V2,
}
