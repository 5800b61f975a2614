//! A service that answers the guest in the card itself, such as the metadata service.

use std::time::Duration;

/// Takes some of the guest's frames before they reach the backend, and gives frames of its own.
///
/// All queue pairs of a card share one, so it locks what it must.
pub trait Detour: Send + Sync {
    /// Whether the frame that begins with these bytes (up to [`PEEK`]) is for this service.
    fn wants(&self, start: &[u8]) -> bool;

    /// Takes a whole frame, without a virtio header. Its checksums may be partial and it may be a
    /// train of segments.
    fn take(&self, frame: &[u8]);

    /// The next frame for the guest, if one is due. At most [`MAX_FRAME`] bytes.
    fn next_frame(&self) -> Option<Vec<u8>>;

    /// After what time [`next_frame`](Self::next_frame) should be asked without a frame having
    /// been taken; `None`: not at all.
    fn wake_after(&self) -> Option<Duration>;
}

/// Bytes of a frame that [`Detour::wants`] is shown: Ethernet header and ARP packet, or more than
/// an IPv4 header.
pub const PEEK: usize = 42;

/// The longest frame of a detour: an Ethernet header and 1,500 bytes.
pub const MAX_FRAME: usize = 1514;
