//! Feature bits and configuration space (VIRTIO 1.3, 5.2.3 and 5.2.4).

use virtio_bindings::bindings::virtio_blk::{
    VIRTIO_BLK_F_BLK_SIZE, VIRTIO_BLK_F_CONFIG_WCE, VIRTIO_BLK_F_DISCARD, VIRTIO_BLK_F_FLUSH,
    VIRTIO_BLK_F_MQ, VIRTIO_BLK_F_RO, VIRTIO_BLK_F_SEG_MAX, VIRTIO_BLK_F_TOPOLOGY,
    VIRTIO_BLK_F_WRITE_ZEROES, VIRTIO_BLK_ID_BYTES,
};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{Immutable, IntoBytes};

use super::engine::EngineKind;
use super::request::SECTOR;
use crate::disk::Disk;
use crate::rate_limiter::LimiterConfig;

/// Bytes of a serial number; a shorter one is padded with zeroes (VIRTIO 1.3, 5.2.6).
pub const SERIAL_LEN: usize = VIRTIO_BLK_ID_BYTES as usize;

/// Segments of one discard or write-zeroes request.
pub(super) const MAX_SEGMENTS: u32 = 16;
/// Sectors of one segment of a discard or write-zeroes request: 1 GiB.
pub(super) const MAX_SEGMENT_SECTORS: u32 = 1 << 21;

/// What a completed write promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cache {
    /// No flush is offered: what the guest writes may be lost when the host fails.
    #[default]
    Unsafe,
    /// Flush requests reach the disk, and the driver can turn the cache off (CONFIG_WCE).
    Writeback,
}

/// What a block device is made of, besides its disk. Whether it is read-only is for the disk to
/// say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockConfig {
    /// The serial number: see [`SERIAL_LEN`].
    pub serial: [u8; SERIAL_LEN],
    /// Number of request queues, at least 1.
    pub queues: u16,
    /// Descriptors of each queue, a power of two.
    pub queue_size: u16,
    /// What a completed write promises.
    pub cache: Cache,
    /// Whether discard and write-zeroes requests are offered.
    pub discard: bool,
    /// Logical block in bytes: 512 or 4096. Raised to what the disk needs.
    pub block_size: u32,
    /// Physical block in bytes: a power of two. Raised to the logical block.
    pub physical_block_size: u32,
    /// How the disk is read and written.
    pub engine: EngineKind,
    /// Limits on requests, all queues together.
    pub limits: LimiterConfig,
}

impl Default for BlockConfig {
    fn default() -> Self {
        Self {
            serial: [0; SERIAL_LEN],
            queues: 1,
            queue_size: 256,
            cache: Cache::Unsafe,
            discard: false,
            block_size: SECTOR as u32,
            physical_block_size: SECTOR as u32,
            engine: EngineKind::Sync,
            limits: LimiterConfig::default(),
        }
    }
}

impl BlockConfig {
    /// The serial number that `text` gives: its first bytes.
    pub fn serial_from(text: &str) -> [u8; SERIAL_LEN] {
        let mut serial = [0; SERIAL_LEN];
        for (to, from) in serial.iter_mut().zip(text.bytes()) {
            *to = from;
        }
        serial
    }

    /// The feature bits to offer over `disk`.
    ///
    /// SIZE_MAX is not among them: a segment may have any size.
    pub(super) fn features(&self, disk: &dyn Disk) -> u64 {
        let mut features =
            bit(VIRTIO_BLK_F_SEG_MAX) | bit(VIRTIO_BLK_F_BLK_SIZE) | bit(VIRTIO_BLK_F_TOPOLOGY);
        if disk.is_read_only() {
            features |= bit(VIRTIO_BLK_F_RO);
        } else if self.discard {
            features |= bit(VIRTIO_BLK_F_DISCARD) | bit(VIRTIO_BLK_F_WRITE_ZEROES);
        }
        if self.cache == Cache::Writeback {
            features |= bit(VIRTIO_BLK_F_FLUSH) | bit(VIRTIO_BLK_F_CONFIG_WCE);
        }
        if self.queues > 1 {
            features |= bit(VIRTIO_BLK_F_MQ);
        }
        features
    }
}

/// The mask of a feature's bit.
pub(super) const fn bit(feature: u32) -> u64 {
    1 << feature
}

/// `struct virtio_blk_config` up to the fields of write zeroes.
#[derive(Debug, Clone, Copy, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct ConfigSpace {
    pub capacity: U64,
    size_max: U32,
    seg_max: U32,
    geometry: U32,
    blk_size: U32,
    physical_block_exp: u8,
    alignment_offset: u8,
    min_io_size: U16,
    opt_io_size: U32,
    pub writeback: u8,
    unused0: u8,
    num_queues: U16,
    max_discard_sectors: U32,
    max_discard_seg: U32,
    discard_sector_alignment: U32,
    max_write_zeroes_sectors: U32,
    max_write_zeroes_seg: U32,
    write_zeroes_may_unmap: u8,
    unused1: [u8; 3],
}

/// Offset of the `writeback` field, the only one that the driver may write.
pub(super) const WRITEBACK_OFFSET: u64 = 32;

impl ConfigSpace {
    pub(super) fn new(config: &BlockConfig, disk: &dyn Disk) -> Self {
        let logical = config.block_size.max(disk.alignment());
        let physical = config.physical_block_size.max(logical);
        let blocks = physical / logical;
        let sectors = logical / SECTOR as u32;
        Self {
            capacity: U64::new(disk.size() / SECTOR),
            size_max: U32::ZERO,
            // A chain has a header and a status besides its data, and is no longer than the queue.
            seg_max: U32::new(u32::from(config.queue_size).saturating_sub(2).max(1)),
            geometry: U32::ZERO,
            blk_size: U32::new(logical),
            physical_block_exp: blocks.ilog2() as u8,
            alignment_offset: 0,
            min_io_size: U16::new(u16::try_from(blocks).unwrap_or(u16::MAX)),
            opt_io_size: U32::ZERO,
            writeback: u8::from(config.cache == Cache::Writeback),
            unused0: 0,
            num_queues: U16::new(config.queues),
            max_discard_sectors: U32::new(MAX_SEGMENT_SECTORS),
            max_discard_seg: U32::new(MAX_SEGMENTS),
            discard_sector_alignment: U32::new(sectors),
            max_write_zeroes_sectors: U32::new(MAX_SEGMENT_SECTORS),
            max_write_zeroes_seg: U32::new(MAX_SEGMENTS),
            write_zeroes_may_unmap: 1,
            unused1: [0; 3],
        }
    }
}
