//! What a sandbox is made of.

use std::path::PathBuf;

use vm_spec::{MacAddr, Mib};

/// A machine for containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxSpec {
    /// The container's or pod's id: letters, digits and dashes, at most 64.
    pub id: String,
    /// Processors.
    pub cpus: u8,
    /// Memory. What the guest does not use is the host's.
    pub memory: Mib,
    /// Disks, which the guest finds by their serial numbers.
    pub disks: Vec<Disk>,
    /// Folders and files of the host.
    pub shares: Vec<Share>,
    /// Network cards, in the order in which the guest numbers them.
    pub cards: Vec<Card>,
}

/// A disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Its serial number: at most 20 bytes of ASCII, no other disk's.
    pub serial: String,
    /// What is on it.
    pub content: DiskContent,
}

/// What is on a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskContent {
    /// The layers of an image, lowest first, a partition each, counted from 1. Cannot be written.
    Layers(Vec<PathBuf>),
    /// A file system of its own, such as [`Disks`](super::Disks) makes.
    Writable(PathBuf),
}

/// A folder or file of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// What the guest mounts it by: 1 to 36 bytes, no other share's.
    pub tag: String,
    /// Host path. A file is shared as a folder that holds it alone, under its own name.
    pub path: PathBuf,
    /// Whether the guest cannot change anything.
    pub read_only: bool,
}

/// A network card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Its address.
    pub mac: MacAddr,
    /// Its other end.
    pub cable: Cable,
}

/// What a card is connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cable {
    /// A port of the switch.
    Switch {
        /// The switch's socket for cards.
        socket: PathBuf,
        /// The port's name.
        port: String,
    },
    /// A tap of this name, which the monitor makes and which ends with it.
    Tap(String),
}
