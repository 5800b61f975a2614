//! Features and configuration space (VIRTIO 1.3 §5.3.3, §5.3.4).

use zerocopy::{Immutable, IntoBytes};

/// VIRTIO_CONSOLE_F_SIZE: the size of the terminal is known.
pub(super) const F_SIZE: u32 = 0;
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

/// The configuration space. `max_nr_ports` would need VIRTIO_CONSOLE_F_MULTIPORT; `emerg_wr` reads
/// as zero.
#[derive(Debug, Clone, Copy, Default, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct Config {
    columns: [u8; 2],
    rows: [u8; 2],
    max_nr_ports: [u8; 4],
    emerg_wr: [u8; 4],
}

impl From<ConsoleSize> for Config {
    fn from(size: ConsoleSize) -> Self {
        let (columns, rows) = (size.columns.to_le_bytes(), size.rows.to_le_bytes());
        Self { columns, rows, max_nr_ports: 1u32.to_le_bytes(), ..Self::default() }
    }
}
