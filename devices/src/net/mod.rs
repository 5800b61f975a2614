//! Where a network card's frames go on the host.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use bitflags::bitflags;

pub mod switch_port;
pub mod tap;

bitflags! {
    /// Work on frames that one side leaves to the other.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Offloads: u32 {
        /// The checksum is partial: to be completed from `csum_start` on.
        const CSUM = 1 << 0;
        /// A frame may hold a train of TCP over IPv4 segments.
        const TSO4 = 1 << 1;
        /// A frame may hold a train of TCP over IPv6 segments.
        const TSO6 = 1 << 2;
        /// Trains of TCP segments may have congestion bits set.
        const TSO_ECN = 1 << 3;
        /// A frame may hold a UDP datagram to be cut into IP fragments.
        const UFO = 1 << 4;
        /// A frame may hold a train of UDP over IPv4 datagrams.
        const USO4 = 1 << 5;
        /// A frame may hold a train of UDP over IPv6 datagrams.
        const USO6 = 1 << 6;
    }
}

/// One queue of a host interface that carries Ethernet frames.
///
/// The descriptor carries one frame for each call of `readv` or `writev`, preceded by the 12 bytes
/// of a `virtio_net_hdr_v1` (VIRTIO 1.3, 5.1.6), without blocking; so frames go straight from and
/// to guest memory.
pub trait NetBackend: AsFd + Send + Sync {
    /// What the backend can do for frames from the guest, and may ask of the guest for frames to
    /// it.
    fn supported_offloads(&self) -> Offloads;

    /// Sets what the guest takes over, so that frames to it may ask for it. Holds for all queues of
    /// the interface.
    fn set_offloads(&self, offloads: Offloads) -> io::Result<()>;

    /// Takes this queue out of the interface, or puts it back. A queue begins enabled; one that
    /// is not is neither read nor written.
    fn set_enabled(&self, enabled: bool) -> io::Result<()>;

    /// Whether the cable is plugged in at the far end when the card is made.
    fn is_plugged_in(&self) -> bool {
        true
    }

    /// What a message that is shorter than a header, and so no frame, says of the cable at the far
    /// end; `None`: nothing.
    fn cable_word(&self, _message: &[u8]) -> Option<bool> {
        None
    }

    /// The same once more, when this one has gone. `None`: there is no way back.
    fn reconnect(&self) -> Option<io::Result<Arc<dyn NetBackend>>> {
        None
    }
}

/// Whether an error of a backend's descriptor is for ever: EBADFD is a tap that was deleted, the
/// others are a socket whose peer has gone.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EBADFD | libc::EBADF | libc::ENODEV | libc::ENOTCONN | libc::ECONNRESET)
            | Some(libc::EPIPE)
    )
}
