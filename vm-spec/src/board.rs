//! What devices are plugged into.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The highest slot. Slot 0 is the PCI host bridge and 31 is kept for the board.
pub const MAX_SLOT: u8 = 30;

/// Board-wide choices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoardSpec {
    /// How the guest reaches its virtio devices. Default: PCI.
    #[serde(default)]
    pub transport: Transport,
    /// Whether port 0x3f0 is there, to which a guest writes 123 to have the time since start
    /// logged. Default: no.
    #[serde(default)]
    pub boot_timer: bool,
    /// Whether PCI's configuration space is in memory alone, without the ports 0xcf8 to 0xcff: an
    /// access then takes one exit, not two, and a guest that looks for its devices makes hundreds
    /// a device. Its kernel must know the MCFG table (`CONFIG_PCI_MMCONFIG`). Default: no.
    #[serde(default)]
    pub ecam_only: bool,
}

/// How the guest reaches its virtio devices (VIRTIO 1.3 §4.1, §4.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// virtio-pci 1.x with MSI-X.
    #[default]
    Pci,
    /// virtio-mmio, announced over ACPI.
    Mmio,
}

/// Where a virtio device is plugged in: its PCI device number on bus 0, or the number of its
/// window with virtio-mmio. 1 to 30. It decides in which order a guest finds its devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Slot(u8);

/// A slot that the board does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("slot {0} does not exist: slots are 1 to {MAX_SLOT}")]
pub struct SlotError(u8);

impl Slot {
    /// Every slot, in ascending order.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..=MAX_SLOT).map(Self)
    }

    /// The number.
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for Slot {
    type Error = SlotError;

    fn try_from(number: u8) -> Result<Self, SlotError> {
        match number {
            1..=MAX_SLOT => Ok(Self(number)),
            _ => Err(SlotError(number)),
        }
    }
}

impl From<Slot> for u8 {
    fn from(slot: Slot) -> Self {
        slot.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_bridge_and_slot_31_are_refused() {
        assert_eq!(Slot::try_from(0), Err(SlotError(0)));
        assert_eq!(Slot::try_from(31), Err(SlotError(31)));
        assert_eq!(Slot::try_from(30).map(Slot::number), Ok(30));
    }
}
