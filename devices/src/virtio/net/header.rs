//! The header in front of each frame (VIRTIO 1.3, 5.1.6).

use virtio_bindings::virtio_net::{
    VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_ECN, VIRTIO_NET_HDR_GSO_NONE,
    VIRTIO_NET_HDR_GSO_TCPV4, VIRTIO_NET_HDR_GSO_TCPV6, VIRTIO_NET_HDR_GSO_UDP,
    VIRTIO_NET_HDR_GSO_UDP_L4,
};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Length of the header in bytes.
pub(super) const HEADER_LEN: usize = size_of::<NetHeader>();
/// Length of an Ethernet header: no frame is shorter.
pub(super) const ETHERNET_HEADER_LEN: usize = 14;
/// Where `num_buffers` lies in the header.
pub(super) const NUM_BUFFERS_AT: usize = 10;
/// The largest that arrives when trains of segments are allowed: header, Ethernet header and
/// 65,536 bytes (VIRTIO 1.3, 5.1.6.3.1).
pub(super) const LARGE_FRAME: usize = 65562;
/// The largest that arrives otherwise: header, Ethernet header and 1,500 bytes (VIRTIO 1.3,
/// 5.1.6.3.1).
pub(super) const PLAIN_FRAME: usize = 1526;

/// `struct virtio_net_hdr`, little-endian.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct NetHeader {
    /// VIRTIO_NET_HDR_F_*.
    pub flags: u8,
    /// VIRTIO_NET_HDR_GSO_*.
    pub gso_type: u8,
    /// Length of the headers of each segment; a hint.
    pub hdr_len: [u8; 2],
    /// Payload bytes of each segment.
    pub gso_size: [u8; 2],
    /// Where in the frame the checksum begins to cover it.
    pub csum_start: [u8; 2],
    /// Where after `csum_start` the checksum goes.
    pub csum_offset: [u8; 2],
    /// How many buffers a received frame takes.
    pub num_buffers: [u8; 2],
}

/// How a header contradicts its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// The place of the checksum is not in the frame.
    #[error("checksum at {start}+{offset} lies past the end of a frame of {len} bytes")]
    Checksum {
        /// `csum_start`.
        start: u16,
        /// `csum_offset`.
        offset: u16,
        /// Bytes of the frame.
        len: usize,
    },
    /// The kind of segments is unknown.
    #[error("unknown segmentation type {0:#x}")]
    SegmentType(u8),
    /// Segments without payload.
    #[error("segment size is zero")]
    SegmentSize,
    /// The segments' headers are longer than the frame.
    #[error("headers of {headers} bytes in a frame of {len}")]
    Headers {
        /// `hdr_len`.
        headers: u16,
        /// Bytes of the frame.
        len: usize,
    },
}

impl NetHeader {
    /// Checks the header that the driver put before a frame of `len` bytes (VIRTIO 1.3,
    /// 5.1.6.2.2). The kernel judges again what it is given; this keeps nonsense from any backend.
    pub fn check(&self, len: usize) -> Result<(), HeaderFault> {
        if u32::from(self.flags) & VIRTIO_NET_HDR_F_NEEDS_CSUM != 0 {
            let start = u16::from_le_bytes(self.csum_start);
            let offset = u16::from_le_bytes(self.csum_offset);
            if usize::from(start) + usize::from(offset) + 2 > len {
                return Err(HeaderFault::Checksum { start, offset, len });
            }
        }
        match u32::from(self.gso_type) & !VIRTIO_NET_HDR_GSO_ECN {
            VIRTIO_NET_HDR_GSO_NONE => return Ok(()),
            VIRTIO_NET_HDR_GSO_TCPV4
            | VIRTIO_NET_HDR_GSO_TCPV6
            | VIRTIO_NET_HDR_GSO_UDP
            | VIRTIO_NET_HDR_GSO_UDP_L4 => {}
            _ => return Err(HeaderFault::SegmentType(self.gso_type)),
        }
        if self.gso_size == [0; 2] {
            return Err(HeaderFault::SegmentSize);
        }
        let headers = u16::from_le_bytes(self.hdr_len);
        if usize::from(headers) > len {
            return Err(HeaderFault::Headers { headers, len });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(size: u16) -> NetHeader {
        NetHeader {
            flags: 1,
            gso_type: 1,
            hdr_len: 54u16.to_le_bytes(),
            gso_size: size.to_le_bytes(),
            csum_start: 34u16.to_le_bytes(),
            csum_offset: 16u16.to_le_bytes(),
            ..NetHeader::default()
        }
    }

    #[test]
    fn plain_frame_and_train_of_segments_pass() {
        assert_eq!(NetHeader::default().check(14), Ok(()));
        assert_eq!(segments(1448).check(52), Err(HeaderFault::Headers { headers: 54, len: 52 }));
        assert_eq!(segments(1448).check(3000), Ok(()));
    }

    #[test]
    fn checksum_ends_within_the_frame() {
        let header = NetHeader { gso_type: 0, ..segments(0) };
        assert_eq!(header.check(52), Ok(()));
        let fault = HeaderFault::Checksum { start: 34, offset: 16, len: 51 };
        assert_eq!(header.check(51), Err(fault));
        let wild = NetHeader { csum_start: [0xff; 2], csum_offset: [0xff; 2], ..header };
        assert!(matches!(wild.check(65536), Err(HeaderFault::Checksum { .. })));
    }

    #[test]
    fn segments_of_no_bytes_and_unknown_types_are_faults() {
        assert_eq!(segments(0).check(3000), Err(HeaderFault::SegmentSize));
        let unknown = NetHeader { gso_type: 2, ..segments(1448) };
        assert_eq!(unknown.check(3000), Err(HeaderFault::SegmentType(2)));
        let congestion = NetHeader { gso_type: 0x81, ..segments(1448) };
        assert_eq!(congestion.check(3000), Ok(()));
    }
}
