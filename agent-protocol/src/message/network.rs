//! The machine's network cards and clock.

/// Give network cards their addresses; answered with [`super::Done`]. Cards that are not named
/// keep what they have. The loopback device is always up.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ConfigureNetwork {
    /// The cards.
    #[prost(message, repeated, tag = "1")]
    pub cards: Vec<Card>,
    /// Put all other cards that are not in use where containers do not see them, and later those
    /// that are taken down. They come back when they are named.
    #[prost(bool, tag = "2")]
    pub hide_others: bool,
}

/// A network card, found by its hardware address.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Card {
    /// `aa:bb:cc:dd:ee:ff`.
    #[prost(string, tag = "1")]
    pub mac: String,
    /// Name to give it; empty keeps its name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Take it down and its addresses away instead.
    #[prost(bool, tag = "3")]
    pub down: bool,
    /// `address/prefix length`, IPv4 and IPv6. Replaces those it has.
    #[prost(string, repeated, tag = "4")]
    pub addresses: Vec<String>,
    /// Default gateways, at most one of each family; empty where another card has it.
    #[prost(string, repeated, tag = "5")]
    pub gateways: Vec<String>,
    /// Largest packet, bytes; 0 keeps it.
    #[prost(uint32, tag = "6")]
    pub mtu: u32,
}

/// Set the machine's clock; answered with [`super::Done`]. Small differences are slewed.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct SetClock {
    /// Nanoseconds since 1970.
    #[prost(uint64, tag = "1")]
    pub now_ns: u64,
}
