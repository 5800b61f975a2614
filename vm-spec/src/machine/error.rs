//! Why a document describes no machine.

use thiserror::Error;

use crate::{ComponentId, MAX_SLOT, MacAddr, Slot};

/// A document that describes no machine. Each message names the field at fault.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SpecError {
    /// A field has a value that is not allowed.
    #[error("{field}: {value} is not allowed, expected {expected}")]
    Value {
        /// Where, for instance `cpu.count` or `components.rootfs.queues`.
        field: String,
        /// What it is.
        value: String,
        /// What it could be.
        expected: &'static str,
    },
    /// A device names a component that is not there.
    #[error("{field}: no component is called {id}")]
    MissingComponent {
        /// The field that names it.
        field: String,
        /// The name.
        id: ComponentId,
    },
    /// A device names a component of another kind.
    #[error("{field}: component {id} is a {found}, expected a {expected}")]
    WrongComponent {
        /// The field that names it.
        field: String,
        /// The name.
        id: ComponentId,
        /// What it is.
        found: &'static str,
        /// What it would have to be.
        expected: &'static str,
    },
    /// Two devices name the same backend.
    #[error("{field}: {backend} already belongs to {first}")]
    SharedBackend {
        /// The field that names it a second time.
        field: String,
        /// The backend.
        backend: ComponentId,
        /// The device that has it.
        first: ComponentId,
    },
    /// No device names a backend.
    #[error("components.{0}: no device has this backend")]
    UnusedBackend(ComponentId),
    /// Two disks are the root disk.
    #[error("components.{second}.root: {first} already is the root disk")]
    SecondRoot {
        /// The first of them.
        first: ComponentId,
        /// The other.
        second: ComponentId,
    },
    /// Two writable disks have the same file.
    #[error("components.{second}.path: {first} already writes to {path}")]
    SharedDisk {
        /// The file.
        path: String,
        /// The backend that has it.
        first: ComponentId,
        /// The backend that wants it too.
        second: ComponentId,
    },
    /// Two network devices have the same address.
    #[error("components.{second}.mac: {mac} already belongs to {first}")]
    SharedMac {
        /// The address.
        mac: MacAddr,
        /// The device that has it.
        first: ComponentId,
        /// The device that wants it too.
        second: ComponentId,
    },
    /// Two shares have the same tag.
    #[error("components.{second}.tag: {tag:?} already belongs to {first}")]
    SharedTag {
        /// The tag.
        tag: String,
        /// The device that has it.
        first: ComponentId,
        /// The device that wants it too.
        second: ComponentId,
    },
    /// Two streams are the monitor's own input and output.
    #[error("components.{second}: {first} already has the standard streams")]
    SharedStdio {
        /// The first of them.
        first: ComponentId,
        /// The other.
        second: ComponentId,
    },
    /// Two devices are in the same slot.
    #[error("components.{second}.slot: {first} is already in slot {}", slot.number())]
    SharedSlot {
        /// The slot.
        slot: Slot,
        /// The device in it.
        first: ComponentId,
        /// The device that wants it too.
        second: ComponentId,
    },
    /// A kind of which a machine has at most one is there twice.
    #[error("components.{second}: a machine has one {kind} at most, {first} is one already")]
    NotSingle {
        /// The kind.
        kind: &'static str,
        /// The first of them.
        first: ComponentId,
        /// The other.
        second: ComponentId,
    },
    /// There are more virtio devices than slots.
    #[error("components: {0} virtio devices do not fit in {MAX_SLOT} slots")]
    TooManyDevices(usize),
    /// The command line is too long with what is added to it.
    #[error("boot.cmdline: {length} bytes with what the monitor adds, at most {max} fit")]
    CmdlineTooLong {
        /// Its length in bytes.
        length: usize,
        /// The most that fit.
        max: usize,
    },
}

impl SpecError {
    pub(super) fn value(
        field: impl Into<String>,
        value: impl std::fmt::Display,
        expected: &'static str,
    ) -> Self {
        Self::Value { field: field.into(), value: value.to_string(), expected }
    }
}
