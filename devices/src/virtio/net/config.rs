//! Configuration space and features of a network card (VIRTIO 1.3, 5.1.3 and 5.1.4).

use virtio_bindings::virtio_net::{
    VIRTIO_NET_F_CSUM, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, VIRTIO_NET_F_CTRL_MAC_ADDR,
    VIRTIO_NET_F_CTRL_RX, VIRTIO_NET_F_CTRL_RX_EXTRA, VIRTIO_NET_F_CTRL_VQ,
    VIRTIO_NET_F_GUEST_ANNOUNCE, VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_GUEST_ECN,
    VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_GUEST_UFO,
    VIRTIO_NET_F_GUEST_USO4, VIRTIO_NET_F_GUEST_USO6, VIRTIO_NET_F_HOST_ECN,
    VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_HOST_UFO, VIRTIO_NET_F_HOST_USO,
    VIRTIO_NET_F_MAC, VIRTIO_NET_F_MQ, VIRTIO_NET_F_MRG_RXBUF, VIRTIO_NET_F_MTU,
    VIRTIO_NET_F_SPEED_DUPLEX, VIRTIO_NET_F_STATUS,
};

use super::filter::MacAddress;
use super::header::{ETHERNET_HEADER_LEN, HEADER_LEN, LARGE_FRAME, PLAIN_FRAME};
use crate::net::Offloads;
use crate::rate_limiter::LimiterConfig;

/// Length of the configuration space, up to `duplex`.
const CONFIG_LEN: usize = 17;
/// `duplex` of a link that sends and receives at once.
const FULL_DUPLEX: u8 = 1;

/// What makes a network card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetConfig {
    /// The card's address; `None`: the driver chooses one.
    pub mac: Option<MacAddress>,
    /// The MTU that the driver is told, 68 to 65535 bytes; `None`: it is told none.
    pub mtu: Option<u16>,
    /// Speed that the driver is told, in Mbit/s; `None`: it is told none. Limits nothing.
    pub speed_mbps: Option<u32>,
    /// Descriptors of each receive and transmit queue, a power of two.
    pub queue_size: u16,
    /// Limits on what the guest receives.
    pub rx_limiter: LimiterConfig,
    /// Limits on what the guest sends.
    pub tx_limiter: LimiterConfig,
}

impl Default for NetConfig {
    fn default() -> Self {
        Self {
            mac: None,
            mtu: None,
            speed_mbps: None,
            queue_size: 256,
            rx_limiter: LimiterConfig::default(),
            tx_limiter: LimiterConfig::default(),
        }
    }
}

/// Offloads of frames to the guest, by feature bit: also the bits of
/// VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET (VIRTIO 1.3, 5.1.6.5.6.1).
const GUEST_OFFLOADS: [(u32, Offloads); 7] = [
    (VIRTIO_NET_F_GUEST_CSUM, Offloads::CSUM),
    (VIRTIO_NET_F_GUEST_TSO4, Offloads::TSO4),
    (VIRTIO_NET_F_GUEST_TSO6, Offloads::TSO6),
    (VIRTIO_NET_F_GUEST_ECN, Offloads::TSO_ECN),
    (VIRTIO_NET_F_GUEST_UFO, Offloads::UFO),
    (VIRTIO_NET_F_GUEST_USO4, Offloads::USO4),
    (VIRTIO_NET_F_GUEST_USO6, Offloads::USO6),
];

/// Offloads of frames from the guest, by feature bit.
const HOST_OFFLOADS: [(u32, Offloads); 6] = [
    (VIRTIO_NET_F_CSUM, Offloads::CSUM),
    (VIRTIO_NET_F_HOST_TSO4, Offloads::TSO4),
    (VIRTIO_NET_F_HOST_TSO6, Offloads::TSO6),
    (VIRTIO_NET_F_HOST_ECN, Offloads::TSO_ECN),
    (VIRTIO_NET_F_HOST_UFO, Offloads::UFO),
    (VIRTIO_NET_F_HOST_USO, Offloads::USO4.union(Offloads::USO6)),
];

/// Offloads with which frames to the guest may be larger than its MTU.
const LARGE: Offloads = Offloads::TSO4
    .union(Offloads::TSO6)
    .union(Offloads::UFO)
    .union(Offloads::USO4)
    .union(Offloads::USO6);

/// The features of a card with `pairs` queue pairs over a backend that supports `offloads`.
pub(super) fn features(config: &NetConfig, pairs: usize, offloads: Offloads) -> u64 {
    let always = [
        VIRTIO_NET_F_MRG_RXBUF,
        VIRTIO_NET_F_STATUS,
        VIRTIO_NET_F_CTRL_VQ,
        VIRTIO_NET_F_CTRL_RX,
        VIRTIO_NET_F_CTRL_RX_EXTRA,
        VIRTIO_NET_F_CTRL_MAC_ADDR,
        VIRTIO_NET_F_GUEST_ANNOUNCE,
    ];
    let sometimes = [
        (VIRTIO_NET_F_MAC, config.mac.is_some()),
        (VIRTIO_NET_F_MTU, config.mtu.is_some()),
        (VIRTIO_NET_F_SPEED_DUPLEX, config.speed_mbps.is_some()),
        (VIRTIO_NET_F_MQ, pairs > 1),
        (VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, offloads.contains(Offloads::CSUM)),
    ];
    let mut bits = always.iter().fold(0, |all, bit| all | 1 << bit);
    bits |= sometimes.iter().filter(|(_, on)| *on).fold(0, |all, (bit, _)| all | 1 << bit);
    // All segmentation needs the checksum (VIRTIO 1.3, 5.1.3.1).
    if offloads.contains(Offloads::CSUM) {
        let supported = |(_, offload): &&(u32, Offloads)| offloads.contains(*offload);
        let both = GUEST_OFFLOADS.iter().chain(&HOST_OFFLOADS);
        bits |= both.filter(supported).fold(0, |all, (bit, _)| all | 1 << bit);
    }
    bits
}

/// What the driver takes over, by negotiated features or by its command.
pub(super) fn guest_offloads(bits: u64) -> Offloads {
    if bits & (1 << VIRTIO_NET_F_GUEST_CSUM) == 0 {
        return Offloads::empty();
    }
    let on = |(bit, _): &&(u32, Offloads)| bits & (1 << bit) != 0;
    GUEST_OFFLOADS.iter().filter(on).fold(Offloads::empty(), |all, (_, offload)| all | *offload)
}

/// The bits that a command may set among those of [`guest_offloads`].
pub(super) fn guest_offload_bits(features: u64) -> u64 {
    GUEST_OFFLOADS.iter().fold(0, |all, (bit, _)| all | (features & (1 << bit)))
}

/// The longest frame that may arrive, with its header (VIRTIO 1.3, 5.1.6.3.1).
pub(super) fn largest_frame(mtu: Option<u16>, offloads: Offloads) -> usize {
    if offloads.intersects(LARGE) {
        return LARGE_FRAME;
    }
    PLAIN_FRAME.max(HEADER_LEN + ETHERNET_HEADER_LEN + usize::from(mtu.unwrap_or(0)))
}

/// The bytes of the configuration space (VIRTIO 1.3, 5.1.4).
pub(super) fn config_space(
    config: &NetConfig,
    mac: Option<MacAddress>,
    status: u16,
    pairs: u16,
) -> [u8; CONFIG_LEN] {
    let mut space = [0; CONFIG_LEN];
    let speed = config.speed_mbps.unwrap_or(u32::MAX).to_le_bytes();
    let fields: [(usize, &[u8]); 6] = [
        (0, &mac.unwrap_or_default()),
        (6, &status.to_le_bytes()),
        (8, &pairs.to_le_bytes()),
        (10, &config.mtu.unwrap_or_default().to_le_bytes()),
        (12, &speed),
        (16, &[FULL_DUPLEX]),
    ];
    for (at, bytes) in fields {
        if let Some(field) = space.get_mut(at..at + bytes.len()) {
            field.copy_from_slice(bytes);
        }
    }
    space
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(features: u64, bit: u32) -> bool {
        features & (1 << bit) != 0
    }

    #[test]
    fn control_features_are_offered_only_where_there_are_commands_for_them() {
        let bits = features(&NetConfig::default(), 2, Offloads::all());
        // Of all those whose name says control: CTRL_VQ, _RX, _RX_EXTRA, _MAC_ADDR, MQ, ANNOUNCE
        // and GUEST_OFFLOADS; not CTRL_VLAN (19), VQ_NOTF_COAL (52), NOTF_COAL (53), RSS (60) nor
        // HASH_REPORT (57).
        let implemented = [2, 17, 18, 20, 21, 22, 23].map(|bit| bits >> bit & 1);
        let others = [19, 52, 53, 57, 60].map(|bit| bits >> bit & 1);
        assert_eq!((implemented, others), ([1; 7], [0; 5]));
    }

    #[test]
    fn backend_without_checksums_offers_no_offloads() {
        let features = features(&NetConfig::default(), 1, Offloads::TSO4);
        assert!(has(features, VIRTIO_NET_F_MRG_RXBUF));
        assert!(!has(features, VIRTIO_NET_F_GUEST_TSO4) && !has(features, VIRTIO_NET_F_CSUM));
        assert!(!has(features, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS));
    }

    #[test]
    fn udp_segmentation_to_the_host_needs_both_families() {
        let one = features(&NetConfig::default(), 1, Offloads::CSUM | Offloads::USO4);
        assert!(has(one, VIRTIO_NET_F_GUEST_USO4) && !has(one, VIRTIO_NET_F_HOST_USO));
        let all = features(&NetConfig::default(), 1, Offloads::all());
        assert!(has(all, VIRTIO_NET_F_HOST_USO));
    }

    #[test]
    fn address_mtu_and_pairs_are_offered_when_given() {
        let config = NetConfig { mac: Some([2; 6]), mtu: Some(9000), ..NetConfig::default() };
        let given = features(&config, 2, Offloads::empty());
        let bare = features(&NetConfig::default(), 1, Offloads::empty());
        for bit in [VIRTIO_NET_F_MAC, VIRTIO_NET_F_MTU, VIRTIO_NET_F_MQ] {
            assert!(has(given, bit) && !has(bare, bit), "feature {bit}");
        }
    }

    #[test]
    fn segmentation_without_the_checksum_is_not_taken_over() {
        assert_eq!(guest_offloads(1 << VIRTIO_NET_F_GUEST_TSO4), Offloads::empty());
        let bits = 1 << VIRTIO_NET_F_GUEST_TSO4 | 1 << VIRTIO_NET_F_GUEST_CSUM;
        assert_eq!(guest_offloads(bits), Offloads::CSUM | Offloads::TSO4);
    }

    #[test]
    fn largest_frame_follows_segmentation_and_the_mtu() {
        assert_eq!(largest_frame(None, Offloads::CSUM), 1526);
        assert_eq!(largest_frame(Some(9000), Offloads::CSUM), 9026);
        assert_eq!(largest_frame(Some(1000), Offloads::empty()), 1526);
        assert_eq!(largest_frame(None, Offloads::CSUM | Offloads::TSO6), 65562);
    }

    #[test]
    fn configuration_space_has_its_fields_in_place() {
        let config =
            NetConfig { mtu: Some(0x0506), speed_mbps: Some(10_000), ..NetConfig::default() };
        let space = config_space(&config, Some([1, 2, 3, 4, 5, 6]), 1, 4);
        let speed = 10_000u32.to_le_bytes();
        assert_eq!(space[..12], [1, 2, 3, 4, 5, 6, 1, 0, 4, 0, 6, 5]);
        assert_eq!((&space[12..16], space[16]), (&speed[..], 1));
    }
}
