//! Giving each device its slot.

use std::collections::BTreeMap;

use super::device::{Device, DeviceKind};
use super::error::SpecError;
use crate::{ComponentId, MAX_SLOT, Slot};

/// A device before it has a slot.
pub(super) struct Unplaced {
    pub(super) id: ComponentId,
    pub(super) wanted: Option<Slot>,
    pub(super) kind: DeviceKind,
}

/// Puts devices that ask for a slot there, and the others into the free ones: the root disk first,
/// so that a guest finds it before other disks, then by id. The result is ordered by slot.
pub(super) fn place(mut devices: Vec<Unplaced>) -> Result<Vec<Device>, SpecError> {
    let count = devices.len();
    if count > usize::from(MAX_SLOT) {
        return Err(SpecError::TooManyDevices(count));
    }
    // Stable: devices of the same rank stay in the order of their ids.
    devices.sort_by_key(|device| (device.wanted.is_none(), !is_root(&device.kind)));
    let mut placed: BTreeMap<Slot, Device> = BTreeMap::new();
    for device in devices {
        let slot = match device.wanted {
            Some(slot) => slot,
            None => Slot::all()
                .find(|slot| !placed.contains_key(slot))
                .ok_or(SpecError::TooManyDevices(count))?,
        };
        if let Some(first) = placed.get(&slot) {
            return Err(SpecError::SharedSlot { slot, first: first.id.clone(), second: device.id });
        }
        placed.insert(slot, Device { id: device.id, slot, kind: device.kind });
    }
    Ok(placed.into_values().collect())
}

fn is_root(kind: &DeviceKind) -> bool {
    matches!(kind, DeviceKind::Disk(disk) if disk.spec.root)
}
