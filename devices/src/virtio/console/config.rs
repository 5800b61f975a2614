//! Features and configuration space (VIRTIO 1.3 §5.3.3, §5.3.4).

use zerocopy::{Immutable, IntoBytes};

use crate::char::GuestEnd;

/// VIRTIO_CONSOLE_F_SIZE: the size of the terminal is known.
pub(super) const F_SIZE: u32 = 0;
/// VIRTIO_CONSOLE_F_MULTIPORT: there are further ports, and queues to talk about them.
pub(super) const F_MULTIPORT: u32 = 1;
/// VIRTIO_CONSOLE_F_EMERG_WRITE: a byte can be written through the configuration space, before
/// there are queues.
pub(super) const F_EMERG_WRITE: u32 = 2;

/// Offset of the byte to write.
pub(super) const EMERG_WR: u64 = 8;

/// Size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsoleSize {
    /// Characters in a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

impl Default for ConsoleSize {
    fn default() -> Self {
        Self { columns: 80, rows: 25 }
    }
}

/// A port beside the console.
pub struct NamedPort {
    /// What the guest finds it by.
    pub name: String,
    /// Its characters.
    pub stream: GuestEnd,
}

/// The configuration space. `emerg_wr` reads as zero.
#[derive(Debug, Clone, Copy, Default, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct Config {
    columns: [u8; 2],
    rows: [u8; 2],
    max_nr_ports: [u8; 4],
    emerg_wr: [u8; 4],
}

impl Config {
    /// A console with `further` ports beside it.
    pub(super) fn new(size: ConsoleSize, further: u32) -> Self {
        let mut config = Self { max_nr_ports: (further + 1).to_le_bytes(), ..Self::default() };
        config.set_size(size);
        config
    }

    pub(super) fn set_size(&mut self, size: ConsoleSize) {
        (self.columns, self.rows) = (size.columns.to_le_bytes(), size.rows.to_le_bytes());
    }
}
