//! Amounts of memory.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An amount in mebibytes (2^20 bytes).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Mib(pub u64);

impl Mib {
    /// The amount in bytes, or none where that does not fit in 64 bits.
    pub const fn bytes(self) -> Option<u64> {
        self.0.checked_mul(1 << 20)
    }
}

impl fmt::Display for Mib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amount_beyond_64_bits_of_bytes_is_none() {
        assert_eq!(Mib(1 << 44).bytes(), None);
        assert_eq!(Mib(3).bytes(), Some(3 << 20));
    }
}
