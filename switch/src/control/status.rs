//! Everything that a switch can say about itself.

use serde::{Deserialize, Serialize};

use super::{Network, Port, Publication};

/// A switch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Status {
    /// Its process id.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// Networks, by id.
    pub networks: Vec<NetworkStatus>,
    /// Ports, by name.
    pub ports: Vec<PortStatus>,
    /// Publications, by id, with the host's port numbers as they are.
    pub publications: Vec<Publication>,
    /// Cards that have connected and name a port that nobody has put.
    pub strangers: Vec<String>,
    /// Connections and the like at this time.
    pub flows: FlowCounts,
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkStatus {
    /// As it was put.
    pub network: Network,
    /// How many ports are on it.
    pub ports: usize,
}

/// A port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortStatus {
    /// As it was put.
    pub port: Port,
    /// Its card, when one is connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<CardStatus>,
    /// Since the port was put.
    pub counters: Counters,
}

/// A connected card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardStatus {
    /// Whether its link is up.
    pub link_up: bool,
    /// Frames that wait for it to take them, in bytes.
    pub waiting_bytes: usize,
}

/// Counts of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Frames from the card.
    pub rx_frames: u64,
    /// Their bytes, from the Ethernet header on.
    pub rx_bytes: u64,
    /// Frames to the card.
    pub tx_frames: u64,
    /// Their bytes.
    pub tx_bytes: u64,
    /// Frames from the card that break the rules of their protocols.
    pub malformed: u64,
    /// Frames from the card with a source that is not its own.
    pub spoofed: u64,
    /// Frames from the card that lead nowhere: other networks, nobody's address, no way out.
    pub unroutable: u64,
    /// Frames to many, beyond what a port may send.
    pub flooded: u64,
    /// Frames to the card that it did not take in time.
    pub tx_dropped: u64,
    /// Connections that the limits refused.
    pub refused: u64,
}

/// How many there are of what the switch remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FlowCounts {
    /// TCP connections.
    pub tcp: usize,
    /// UDP associations.
    pub udp: usize,
    /// Echo associations.
    pub echo: usize,
    /// Questions to name servers that have no answer yet.
    pub dns: usize,
}
