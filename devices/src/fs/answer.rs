//! What a request is answered with.

use smallvec::SmallVec;
use zerocopy::{Immutable, IntoBytes};

/// An answer to a request that did not fail.
pub(super) enum Answer {
    /// None at all: the protocol has none for these requests.
    Silence,
    /// The header alone.
    Empty,
    /// These bytes after the header.
    Bytes(SmallVec<[u8; 160]>),
    /// So many bytes after the header, which are in guest memory already.
    Filled(usize),
}

impl Answer {
    /// A structure.
    pub(super) fn of<T: IntoBytes + Immutable>(value: &T) -> Self {
        Self::Bytes(SmallVec::from_slice(value.as_bytes()))
    }

    /// Two structures, one after the other.
    pub(super) fn both<T, U>(one: &T, other: &U) -> Self
    where
        T: IntoBytes + Immutable,
        U: IntoBytes + Immutable,
    {
        let mut bytes = SmallVec::from_slice(one.as_bytes());
        bytes.extend_from_slice(other.as_bytes());
        Self::Bytes(bytes)
    }
}
