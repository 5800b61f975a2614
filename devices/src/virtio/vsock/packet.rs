//! Packets: the header in front of all data (VIRTIO 1.3, 5.10.6).

use bitflags::bitflags;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The host's context id (VIRTIO 1.3, 5.10.4).
pub(super) const HOST_CID: u64 = 2;
/// `type` of the packets of stream sockets.
pub(super) const TYPE_STREAM: u16 = 1;
/// The most data that goes into one packet: drivers drop larger ones.
pub(super) const MAX_DATA: usize = 64 << 10;

/// The header of a packet, as it lies in memory.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub(super) struct Header {
    /// Context id of the sender.
    pub src_cid: U64,
    /// Context id of the receiver.
    pub dst_cid: U64,
    /// Port of the sender.
    pub src_port: U32,
    /// Port of the receiver.
    pub dst_port: U32,
    /// Bytes of data behind the header.
    pub len: U32,
    /// Type of socket.
    pub kind: U16,
    /// Operation; see [`Op`].
    pub op: U16,
    /// Depends on the operation; see [`Shutdown`].
    pub flags: U32,
    /// Bytes that the sender's side buffers for this connection.
    pub buf_alloc: U32,
    /// Bytes of this connection that left that buffer so far, modulo 2^32.
    pub fwd_cnt: U32,
}

/// Bytes of a [`Header`].
pub(super) const HEADER_LEN: usize = size_of::<Header>();

/// Operations (VIRTIO 1.3, 5.10.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Op {
    /// Asks for a connection.
    Request = 1,
    /// Accepts a connection.
    Response = 2,
    /// Ends a connection, or refuses a packet.
    Reset = 3,
    /// The sender will not receive or not send any more.
    Shutdown = 4,
    /// Carries data.
    Data = 5,
    /// Tells of buffer space.
    CreditUpdate = 6,
    /// Asks for a [`CreditUpdate`](Self::CreditUpdate).
    CreditRequest = 7,
}

/// An operation that the specification does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown operation {0}")]
pub(super) struct UnknownOp(u16);

impl TryFrom<u16> for Op {
    type Error = UnknownOp;

    fn try_from(op: u16) -> Result<Self, UnknownOp> {
        Ok(match op {
            1 => Self::Request,
            2 => Self::Response,
            3 => Self::Reset,
            4 => Self::Shutdown,
            5 => Self::Data,
            6 => Self::CreditUpdate,
            7 => Self::CreditRequest,
            other => return Err(UnknownOp(other)),
        })
    }
}

bitflags! {
    /// `flags` of [`Op::Shutdown`] (VIRTIO 1.3, 5.10.6.6).
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub(super) struct Shutdown: u32 {
        /// The sender of the packet receives no more data.
        const RECEIVE = 1;
        /// The sender of the packet sends no more data.
        const SEND = 2;
    }
}

/// Names a connection: the two ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// Port in the guest.
    pub guest_port: u32,
    /// Port on the host.
    pub host_port: u32,
}

impl Key {
    /// The key of the connection that a packet of the guest belongs to.
    pub(super) fn of(header: &Header) -> Self {
        Self { guest_port: header.src_port.get(), host_port: header.dst_port.get() }
    }
}

impl Header {
    /// A packet of the host to the guest with context id `cid`, without data or credit.
    pub(super) fn to_guest(cid: u64, key: Key, op: Op) -> Self {
        Self {
            src_cid: HOST_CID.into(),
            dst_cid: cid.into(),
            src_port: key.host_port.into(),
            dst_port: key.guest_port.into(),
            kind: TYPE_STREAM.into(),
            op: (op as u16).into(),
            ..Self::default()
        }
    }

    /// Bytes of the packet, header and data.
    pub(super) fn packet_len(&self) -> u32 {
        HEADER_LEN as u32 + self.len.get()
    }

    /// The refusal of this packet of the guest; `None` if it is a reset itself, or resets would
    /// go to and fro for ever. It is of the same type and from whatever host was addressed, for
    /// the driver to recognise it.
    pub(super) fn refusal(&self, cid: u64) -> Option<Self> {
        (self.op.get() != Op::Reset as u16).then(|| Self {
            src_cid: self.dst_cid,
            kind: self.kind,
            ..Self::to_guest(cid, Key::of(self), Op::Reset)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_lies_in_memory_as_the_specification_says() {
        let key = Key { guest_port: 0x0403_0201, host_port: 0x0807_0605 };
        let mut header = Header::to_guest(3, key, Op::Data);
        header.len = 9.into();
        header.buf_alloc = 10.into();
        header.fwd_cnt = 11.into();
        let mut expected = vec![2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0];
        expected.extend([5, 6, 7, 8, 1, 2, 3, 4, 9, 0, 0, 0, 1, 0, 5, 0, 0, 0, 0, 0]);
        expected.extend([10, 0, 0, 0, 11, 0, 0, 0]);
        assert_eq!(header.as_bytes(), expected);
        assert_eq!(HEADER_LEN, 44);
    }

    #[test]
    fn reset_is_never_answered_by_a_reset() {
        let key = Key { guest_port: 1, host_port: 2 };
        assert_eq!(Header::to_guest(3, key, Op::Reset).refusal(3), None);
        let refusal = Header { kind: 9.into(), op: 77.into(), ..Header::default() }.refusal(3);
        let refusal = refusal.unwrap();
        assert_eq!((refusal.kind.get(), refusal.op.get(), refusal.dst_cid.get()), (9, 3, 3));
    }
}
