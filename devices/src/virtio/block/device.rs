//! The front of a block device.

use std::io;
use std::path::Path;
use std::sync::Arc;

use virtio_bindings::bindings::virtio_blk::{VIRTIO_BLK_F_CONFIG_WCE, VIRTIO_BLK_F_FLUSH};
use zerocopy::IntoBytes;
use zerocopy::little_endian::U64;

use super::config::{BlockConfig, Cache, ConfigSpace, WRITEBACK_OFFSET, bit};
use super::handler::BlockHandler;
use super::metrics::BlockMetrics;
use super::request::SECTOR;
use super::shared::Shared;
use crate::disk::{Disk, FileDisk, OpenDiskError};
use crate::rate_limiter::{LimiterUpdate, SharedLimiter};
use crate::virtio::device::{StartQueueError, read_config_bytes};
use crate::virtio::event_loop::{LoopGone, LoopHandle, Remote};
use crate::virtio::{Activation, DeviceType, Queue, QueueState, VirtioDevice};

/// Why a block device cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum NewBlockError {
    /// No queue, or no loop to serve it.
    #[error("a block device needs a queue and an event loop")]
    Nothing,
    /// A limit's timer cannot be made.
    #[error("failed to create the timer of a disk's limit")]
    Timer(#[source] io::Error),
    /// An event loop has ended.
    #[error("failed to give a disk to its event loop")]
    EventLoop(#[from] LoopGone),
}

/// Why a running block device cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum UpdateBlockError {
    /// The new file cannot be opened. The old one stays in use.
    #[error("failed to exchange the disk's file")]
    Open(#[from] OpenDiskError),
    /// The disk is not a file of the host.
    #[error("the disk is not a raw file that could be exchanged")]
    NotAFile,
    /// The new disk cannot be written while the old one could, or the other way round.
    #[error("a disk cannot become {} while it is in use", if *.read_only { "read-only" } else { "writable" })]
    Access {
        /// What the new disk is.
        read_only: bool,
    },
    /// The size cannot be read.
    #[error("failed to read the disk's size")]
    Size(#[source] io::Error),
    /// An event loop has ended.
    #[error("failed to reach the disk's event loop")]
    EventLoop(#[from] LoopGone),
}

/// A block device.
pub struct Block {
    disk: Arc<dyn Disk>,
    /// The same disk where it is a raw file.
    file: Option<Arc<FileDisk>>,
    cache: Cache,
    features: u64,
    space: ConfigSpace,
    queue_sizes: Vec<u16>,
    queues: Vec<Remote<BlockHandler>>,
    shared: Arc<Shared>,
    activation: Option<Activation>,
    /// The size changed while no driver was running; one that begins may have read the old one.
    size_unannounced: bool,
}

impl Block {
    /// A device over a raw file. Its queues are spread over `loops`.
    pub fn new(
        config: &BlockConfig,
        file: FileDisk,
        loops: &[LoopHandle],
    ) -> Result<Self, NewBlockError> {
        let file = Arc::new(file);
        let mut block = Self::over(config, file.clone(), loops)?;
        block.file = Some(file);
        Ok(block)
    }

    /// A device over any disk. Its queues are spread over `loops`.
    pub fn over(
        config: &BlockConfig,
        disk: Arc<dyn Disk>,
        loops: &[LoopHandle],
    ) -> Result<Self, NewBlockError> {
        if config.queues == 0 || loops.is_empty() {
            return Err(NewBlockError::Nothing);
        }
        let shared = Arc::new(Shared::new(config.serial, SharedLimiter::new(config.limits)));
        let mut queues = Vec::with_capacity(usize::from(config.queues));
        for event_loop in loops.iter().cycle().take(usize::from(config.queues)) {
            let handler = BlockHandler::new(config, Arc::clone(&disk), Arc::clone(&shared))
                .map_err(NewBlockError::Timer)?;
            queues.push(event_loop.add(handler)?);
        }
        Ok(Self {
            cache: config.cache,
            features: config.features(&*disk),
            space: ConfigSpace::new(config, &*disk),
            queue_sizes: vec![config.queue_size; queues.len()],
            disk,
            file: None,
            queues,
            shared,
            activation: None,
            size_unannounced: false,
        })
    }

    /// What is counted, all queues together.
    pub fn metrics(&self) -> &Arc<BlockMetrics> {
        &self.shared.metrics
    }

    /// Exchanges the disk's file for the one at `path`, opened in the same way, and tells the
    /// driver. With the path in use, the file's size is looked at again. What is in flight is
    /// completed on the old file first. When this fails the old file stays in use.
    pub fn replace_file(&mut self, path: &Path) -> Result<(), UpdateBlockError> {
        let result = self.try_replace_file(path);
        self.count_update(result.is_ok());
        result
    }

    fn try_replace_file(&mut self, path: &Path) -> Result<(), UpdateBlockError> {
        let old = self.file.as_ref().ok_or(UpdateBlockError::NotAFile)?;
        let new = Arc::new(old.replacement(path)?);
        self.replace(new.clone())?;
        self.file = Some(new);
        Ok(())
    }

    /// Exchanges the disk, and tells the driver.
    pub fn replace_disk(&mut self, disk: Arc<dyn Disk>) -> Result<(), UpdateBlockError> {
        let result = self.replace(disk);
        if result.is_ok() {
            self.file = None;
        }
        self.count_update(result.is_ok());
        result
    }

    fn replace(&mut self, disk: Arc<dyn Disk>) -> Result<(), UpdateBlockError> {
        let read_only = disk.is_read_only();
        if read_only != self.disk.is_read_only() {
            return Err(UpdateBlockError::Access { read_only });
        }
        for queue in &self.queues {
            let disk = Arc::clone(&disk);
            queue.call(move |handler, cx| handler.replace_disk(disk, cx))?;
        }
        self.disk = disk;
        self.announce_size();
        Ok(())
    }

    /// Looks at the disk's size again, and tells the driver if it changed. Returns the size in
    /// bytes.
    pub fn refresh_size(&mut self) -> Result<u64, UpdateBlockError> {
        let result = self.disk.refresh_size().map_err(UpdateBlockError::Size);
        self.count_update(result.is_ok());
        let size = result?;
        if size / SECTOR != self.space.capacity.get() {
            for queue in &self.queues {
                queue.call(|handler, cx| handler.reconsider(cx))?;
            }
            self.announce_size();
        }
        Ok(size)
    }

    /// Changes the limits; requests that wait are tried again.
    pub fn update_limits(&mut self, update: LimiterUpdate) -> Result<(), UpdateBlockError> {
        self.shared.limiter.update(update);
        self.count_update(true);
        for queue in &self.queues {
            queue.cast(|handler, cx| handler.reconsider(cx))?;
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn writes_through(&self) -> bool {
        self.shared.write_through()
    }

    fn announce_size(&mut self) {
        self.space.capacity = U64::new(self.disk.size() / SECTOR);
        match &self.activation {
            Some(activation) => activation.interrupt.config_changed(),
            None => self.size_unannounced = true,
        }
    }

    fn count_update(&self, done: bool) {
        let metrics = &self.shared.metrics;
        if done { metrics.updates.increment() } else { metrics.failed_updates.increment() }
    }

    /// The cache mode in force (VIRTIO 1.3, 5.2.6.2): what the driver chose; without a choice, it
    /// must know of flushes to be given a cache that needs them.
    fn update_write_through(&self) {
        let features = self.shared.features();
        let write_through = self.cache == Cache::Writeback
            && if features & bit(VIRTIO_BLK_F_CONFIG_WCE) != 0 {
                self.space.writeback == 0
            } else {
                features & bit(VIRTIO_BLK_F_FLUSH) == 0
            };
        self.shared.set_write_through(write_through);
    }
}

impl VirtioDevice for Block {
    fn device_type(&self) -> DeviceType {
        DeviceType::Block
    }

    fn features(&self) -> u64 {
        self.features
    }

    fn queue_sizes(&self) -> &[u16] {
        &self.queue_sizes
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        read_config_bytes(self.space.as_bytes(), offset, data);
    }

    fn write_config(&mut self, offset: u64, data: &[u8]) {
        let switchable = self.features & bit(VIRTIO_BLK_F_CONFIG_WCE) != 0;
        if let (WRITEBACK_OFFSET, [value @ (0 | 1)], true) = (offset, data, switchable) {
            self.space.writeback = *value;
            self.update_write_through();
        }
    }

    fn activate(&mut self, activation: Activation) {
        self.shared.set_features(activation.features);
        if std::mem::take(&mut self.size_unannounced) {
            activation.interrupt.config_changed();
        }
        self.activation = Some(activation);
        self.update_write_through();
    }

    fn start_queue(&mut self, queue: Queue) -> Result<(), StartQueueError> {
        let index = queue.index();
        let Some(remote) = self.queues.get(usize::from(index)) else {
            return Err(StartQueueError::EventLoopGone { index });
        };
        remote.start_queue(queue)
    }

    fn stop_queue(&mut self, index: u16) -> Option<QueueState> {
        self.queues.get(usize::from(index))?.stop_queue(index)
    }

    fn reset(&mut self) {
        self.activation = None;
        self.size_unannounced = false;
        self.shared.set_features(0);
        self.space.writeback = u8::from(self.cache == Cache::Writeback);
        self.update_write_through();
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        for queue in self.queues.drain(..) {
            queue.remove();
        }
    }
}
