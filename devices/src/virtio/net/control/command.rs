//! Commands of the control queue, read and judged (VIRTIO 1.3, 5.1.6.5).

use virtio_bindings::virtio_net::{
    VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK, VIRTIO_NET_CTRL_GUEST_OFFLOADS,
    VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET,
    VIRTIO_NET_CTRL_MAC_TABLE_SET, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
    VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLMULTI, VIRTIO_NET_CTRL_RX_ALLUNI,
    VIRTIO_NET_CTRL_RX_NOBCAST, VIRTIO_NET_CTRL_RX_NOMULTI, VIRTIO_NET_CTRL_RX_NOUNI,
    VIRTIO_NET_CTRL_RX_PROMISC, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, VIRTIO_NET_F_CTRL_MAC_ADDR,
    VIRTIO_NET_F_CTRL_RX, VIRTIO_NET_F_CTRL_RX_EXTRA, VIRTIO_NET_F_GUEST_ANNOUNCE, VIRTIO_NET_F_MQ,
};

use crate::virtio::buffers::Buffers;
use crate::virtio::net::filter::{MacAddress, RxFilter, TABLE_SIZE};

/// The command is unknown, was not negotiated, is cut short, or has a value that cannot be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused;

/// A command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Changes what is received.
    Filter(FilterChange),
    /// Sets the card's address.
    Address(MacAddress),
    /// The driver has announced itself on the network.
    Announced,
    /// Sets how many queue pairs are in use.
    Pairs(u16),
    /// Sets the offloads by feature bit.
    GuestOffloads(u64),
}

/// A change of the receive filter.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FilterChange {
    Promiscuous(bool),
    AllMulticast(bool),
    AllUnicast(bool),
    NoMulticast(bool),
    NoUnicast(bool),
    NoBroadcast(bool),
    /// Unicast and multicast addresses; `None`: more than are kept.
    Tables(Option<Vec<MacAddress>>, Option<Vec<MacAddress>>),
}

impl FilterChange {
    pub(super) fn apply(self, filter: &mut RxFilter) {
        match self {
            Self::Promiscuous(on) => filter.promiscuous = on,
            Self::AllMulticast(on) => filter.all_multicast = on,
            Self::AllUnicast(on) => filter.all_unicast = on,
            Self::NoMulticast(on) => filter.no_multicast = on,
            Self::NoUnicast(on) => filter.no_unicast = on,
            Self::NoBroadcast(on) => filter.no_broadcast = on,
            Self::Tables(unicast, multicast) => {
                filter.unicast = unicast;
                filter.multicast = multicast;
            }
        }
    }
}

/// The feature that allows a command.
fn required_feature(class: u32, command: u32) -> Option<u32> {
    match (class, command) {
        (VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC | VIRTIO_NET_CTRL_RX_ALLMULTI)
        | (VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET) => Some(VIRTIO_NET_F_CTRL_RX),
        (VIRTIO_NET_CTRL_RX, _) => Some(VIRTIO_NET_F_CTRL_RX_EXTRA),
        (VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET) => Some(VIRTIO_NET_F_CTRL_MAC_ADDR),
        (VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK) => {
            Some(VIRTIO_NET_F_GUEST_ANNOUNCE)
        }
        (VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET) => Some(VIRTIO_NET_F_MQ),
        (VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET) => {
            Some(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS)
        }
        _ => None,
    }
}

impl Command {
    /// Reads a command of a driver that negotiated `features`.
    pub(super) fn take(data: &mut Buffers, features: u64) -> Result<Self, Refused> {
        let [class, command] = data.take::<[u8; 2]>().map_err(|_| Refused)?.map(u32::from);
        let feature = required_feature(class, command).ok_or(Refused)?;
        if features & (1 << feature) == 0 {
            return Err(Refused);
        }
        match class {
            VIRTIO_NET_CTRL_RX => take_rx(command, data).map(Self::Filter),
            VIRTIO_NET_CTRL_MAC if command == VIRTIO_NET_CTRL_MAC_ADDR_SET => {
                data.take().map(Self::Address).map_err(|_| Refused)
            }
            VIRTIO_NET_CTRL_MAC => {
                Ok(Self::Filter(FilterChange::Tables(take_table(data)?, take_table(data)?)))
            }
            VIRTIO_NET_CTRL_ANNOUNCE => Ok(Self::Announced),
            VIRTIO_NET_CTRL_MQ => {
                let count = data.take::<[u8; 2]>().map_err(|_| Refused)?;
                Ok(Self::Pairs(u16::from_le_bytes(count)))
            }
            _ => {
                let bits = data.take::<[u8; 8]>().map_err(|_| Refused)?;
                Ok(Self::GuestOffloads(u64::from_le_bytes(bits)))
            }
        }
    }
}

fn take_rx(command: u32, data: &mut Buffers) -> Result<FilterChange, Refused> {
    let on = data.take::<u8>().map_err(|_| Refused)? != 0;
    Ok(match command {
        VIRTIO_NET_CTRL_RX_PROMISC => FilterChange::Promiscuous(on),
        VIRTIO_NET_CTRL_RX_ALLMULTI => FilterChange::AllMulticast(on),
        VIRTIO_NET_CTRL_RX_ALLUNI => FilterChange::AllUnicast(on),
        VIRTIO_NET_CTRL_RX_NOMULTI => FilterChange::NoMulticast(on),
        VIRTIO_NET_CTRL_RX_NOUNI => FilterChange::NoUnicast(on),
        VIRTIO_NET_CTRL_RX_NOBCAST => FilterChange::NoBroadcast(on),
        _ => return Err(Refused),
    })
}

/// Takes a `virtio_net_ctrl_mac`: a count and as many addresses.
fn take_table(data: &mut Buffers) -> Result<Option<Vec<MacAddress>>, Refused> {
    let count = u32::from_le_bytes(data.take().map_err(|_| Refused)?) as usize;
    let bytes = count.checked_mul(size_of::<MacAddress>()).ok_or(Refused)?;
    if bytes > data.len() {
        return Err(Refused);
    }
    if count > TABLE_SIZE {
        data.advance(bytes);
        return Ok(None);
    }
    let table: Result<_, _> = (0..count).map(|_| data.take::<MacAddress>()).collect();
    table.map(Some).map_err(|_| Refused)
}

#[cfg(test)]
mod tests;
