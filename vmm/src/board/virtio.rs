//! Virtio devices from their descriptions and what was opened for them.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use devices::disk::{CompositeDisk, NewCompositeError};
use devices::legacy::GuestRequests;
use devices::net::NetBackend;
use devices::net::tap::OpenTapError;
use devices::rate_limiter::{BucketConfig, LimiterConfig, LimiterUpdate};
use devices::virtio::VirtioDevice;
use devices::virtio::balloon::{Balloon, BalloonConfig, BalloonError};
use devices::virtio::block::{Block, BlockConfig, Cache, EngineKind, NewBlockError};
use devices::virtio::console::{Console, ConsoleConfig, NamedPort};
use devices::virtio::entropy::{Entropy, EntropyConfig, EntropyError};
use devices::virtio::event_loop::LoopGone;
use devices::virtio::fs::{Fs, FsConfig, NewFsError};
use devices::virtio::net::{Detour, Net, NetConfig, NewNetError};
use devices::virtio::vsock::{Vsock, VsockConfig, VsockError};
use vm_spec::{
    BalloonSpec, CacheMode, ComponentId, Console as ConsoleDevice, Device, DeviceKind, Disk,
    DiskBackend, DiskEngine, Fs as FsDevice, FsBackend, Mib, Net as NetDevice,
    NetBackend as NetBackendSpec, RateLimiter, TokenBucket, VsockBackend,
};

use super::device_set::{DeviceSet, Shared};
use super::legacy::{LegacyError, start_stream};
use super::opened::{Opened, inherited_tap};

/// Most files of a share that a guest can have looked up, whatever the limit of descriptors.
const MAX_NODES: usize = 1 << 20;

/// The MTU over a switch: the largest whose packets fit a frame of the largest size.
const SWITCH_MTU: u16 = 65_520;

/// Why a virtio device cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum VirtioError {
    /// Its event loops.
    #[error("failed to start an event loop")]
    Loop(#[source] io::Error),
    /// The shared event loop has ended.
    #[error(transparent)]
    LoopGone(#[from] LoopGone),
    /// A block device.
    #[error(transparent)]
    Block(#[from] NewBlockError),
    /// A disk of several files.
    #[error(transparent)]
    Composite(#[from] NewCompositeError),
    /// A file system device.
    #[error(transparent)]
    Fs(#[from] NewFsError),
    /// A tap that was handed over.
    #[error(transparent)]
    Tap(#[from] OpenTapError),
    /// A network card.
    #[error(transparent)]
    Net(#[from] NewNetError),
    /// A vsock device.
    #[error(transparent)]
    Vsock(#[from] VsockError),
    /// An entropy device.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// A balloon.
    #[error(transparent)]
    Balloon(#[from] BalloonError),
    /// A console's stream.
    #[error(transparent)]
    Stream(#[from] LegacyError),
    /// What it needs was not opened.
    #[error("its backend was not opened")]
    NotOpened,
}

/// A device as transports take it.
pub(super) type AnyDevice = Arc<Mutex<dyn VirtioDevice>>;

fn shared<T>(device: T) -> Shared<T> {
    Arc::new(Mutex::new(device))
}

/// Makes the device and enters it into `set`.
pub(super) fn make(
    device: &Device,
    opened: &mut Opened,
    detour: Option<Arc<dyn Detour>>,
    requests: Arc<dyn GuestRequests>,
    set: &mut DeviceSet,
) -> Result<AnyDevice, VirtioError> {
    let id = &device.id;
    match &device.kind {
        DeviceKind::Disk(disk) => make_disk(id, disk, opened, set),
        DeviceKind::Fs(fs) => make_fs(id, fs, opened, set),
        DeviceKind::Net(net) => make_net(id, net, opened, detour, set),
        DeviceKind::Vsock(vsock) => {
            let VsockBackend::Unix(unix) = &vsock.backend;
            let sockets = opened.take_vsock(&unix.path).ok_or(VirtioError::NotOpened)?;
            let config = VsockConfig::new(vsock.spec.cid.into());
            let loops = set.loops.busy(id.as_str(), 1).map_err(VirtioError::Loop)?;
            let event_loop = loops.first().ok_or(LoopGone)?;
            let vsock = shared(Vsock::new(config, sockets, event_loop)?);
            set.vsock = Some(Arc::clone(&vsock));
            Ok(vsock)
        }
        DeviceKind::Console(console) => make_console(id, console, opened, requests, set),
        DeviceKind::Entropy(entropy) => {
            let quiet = set.loops.quiet().map_err(VirtioError::Loop)?;
            let config = EntropyConfig { limits: limits(entropy.rate_limiter) };
            let entropy = shared(Entropy::new(config, &quiet)?);
            set.entropy.insert(id.clone(), Arc::clone(&entropy));
            Ok(entropy)
        }
        DeviceKind::Balloon(spec) => {
            let quiet = set.loops.quiet().map_err(VirtioError::Loop)?;
            let balloon = shared(Balloon::new(balloon_config(spec), &quiet)?);
            set.balloon = Some(Arc::clone(&balloon));
            Ok(balloon)
        }
    }
}

fn make_console(
    id: &ComponentId,
    console: &ConsoleDevice,
    opened: &mut Opened,
    requests: Arc<dyn GuestRequests>,
    set: &mut DeviceSet,
) -> Result<AnyDevice, VirtioError> {
    let mut start = |spec| {
        let backend = opened.take_stream(spec).ok_or(VirtioError::NotOpened)?;
        Ok::<_, VirtioError>(start_stream(spec, backend, set)?)
    };
    let (guest, stream) = start(&console.stream)?;
    guest.report_panics(requests);
    let mut ports = Vec::with_capacity(console.ports.len());
    for port in &console.ports {
        // Clients attach to the console only; ports have streams that are reached by themselves.
        let (stream, _) = start(&port.stream)?;
        ports.push(NamedPort { name: port.name.clone(), stream });
    }
    let quiet = set.loops.quiet().map_err(VirtioError::Loop)?;
    let console = Console::new(ConsoleConfig::default(), guest, ports, &quiet)?;
    set.streams.insert(id.clone(), stream);
    Ok(shared(console))
}

fn make_disk(
    id: &ComponentId,
    disk: &Disk,
    opened: &mut Opened,
    set: &mut DeviceSet,
) -> Result<AnyDevice, VirtioError> {
    let mut take =
        |path: &Path| opened.take_disk(path, disk.spec.read_only).ok_or(VirtioError::NotOpened);
    let config = block_config(id, disk);
    let loops = set.loops.busy(id.as_str(), config.queues).map_err(VirtioError::Loop)?;
    let block = match &disk.backend {
        DiskBackend::File(file) => Block::new(&config, take(&file.path)?, &loops)?,
        DiskBackend::Composite(_) => {
            let parts = disk.backend.paths().map(take).collect::<Result<_, _>>()?;
            let whole = CompositeDisk::new(parts, config.block_size)?;
            Block::over(&config, Arc::new(whole), &loops)?
        }
    };
    let block = shared(block);
    set.disks.insert(id.clone(), Arc::clone(&block));
    Ok(block)
}

fn make_fs(
    id: &ComponentId,
    fs: &FsDevice,
    opened: &mut Opened,
    set: &mut DeviceSet,
) -> Result<AnyDevice, VirtioError> {
    let FsBackend::HostFolder(folder) = &fs.backend;
    let share = opened.take_share(folder).ok_or(VirtioError::NotOpened)?;
    let config = FsConfig {
        tag: FsConfig::tag_from(&fs.spec.tag),
        queues: fs.spec.queues,
        queue_size: fs.spec.queue_size,
    };
    let event_loop = set.loops.files(id.as_str(), &share).map_err(VirtioError::Loop)?;
    let device = shared(Fs::new(&config, share, node_limit(), &event_loop)?);
    set.shares.insert(id.clone(), Arc::clone(&device));
    Ok(device)
}

/// How many files a guest can have looked up at a time: each is a descriptor, and some are left
/// for all else.
fn node_limit() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(MAX_NODES);
    (limit / 4 * 3).min(MAX_NODES)
}

/// The queues of what carries a card's frames.
fn net_queues(
    net: &NetDevice,
    opened: &mut Opened,
) -> Result<Vec<Arc<dyn NetBackend>>, VirtioError> {
    let taps = match &net.backend {
        NetBackendSpec::Tap(tap) => opened.take_taps(&tap.name),
        NetBackendSpec::TapFd(tap) => Some(vec![inherited_tap(tap.fd)?]),
        NetBackendSpec::SwitchPort(spec) => {
            let port = opened.take_switch_port(spec).ok_or(VirtioError::NotOpened)?;
            return Ok(vec![Arc::new(port)]);
        }
    };
    let taps = taps.ok_or(VirtioError::NotOpened)?;
    Ok(taps.into_iter().map(|tap| -> Arc<dyn NetBackend> { Arc::new(tap) }).collect())
}

/// What the guest is told: over a switch nothing is segmented, so packets are as long as they can
/// be, unless the document says otherwise.
fn mtu(net: &NetDevice) -> Option<u16> {
    let default = match net.backend {
        NetBackendSpec::SwitchPort(_) => Some(SWITCH_MTU),
        NetBackendSpec::Tap(_) | NetBackendSpec::TapFd(_) => None,
    };
    net.spec.mtu.or(default)
}

fn make_net(
    id: &ComponentId,
    net: &NetDevice,
    opened: &mut Opened,
    detour: Option<Arc<dyn Detour>>,
    set: &mut DeviceSet,
) -> Result<AnyDevice, VirtioError> {
    let queues = net_queues(net, opened)?;
    let count = u16::try_from(queues.len()).unwrap_or(u16::MAX);
    let config = NetConfig {
        mac: net.spec.mac.map(|mac| mac.octets()),
        mtu: mtu(net),
        speed_mbps: None,
        queue_size: net.spec.queue_size,
        rx_limiter: limits(net.spec.rx_rate_limiter),
        tx_limiter: limits(net.spec.tx_rate_limiter),
    };
    let loops = set.loops.busy(id.as_str(), count).map_err(VirtioError::Loop)?;
    let net = shared(Net::new(config, queues, detour, &loops)?);
    set.nets.insert(id.clone(), Arc::clone(&net));
    Ok(net)
}

fn block_config(id: &ComponentId, disk: &Disk) -> BlockConfig {
    let spec = &disk.spec;
    let engine = match &disk.backend {
        DiskBackend::File(file) => file.engine,
        DiskBackend::Composite(_) => DiskEngine::Sync,
    };
    BlockConfig {
        serial: BlockConfig::serial_from(spec.serial.as_deref().unwrap_or(id.as_str())),
        queues: spec.queues,
        queue_size: spec.queue_size,
        cache: match spec.cache {
            CacheMode::Unsafe => Cache::Unsafe,
            CacheMode::Writeback => Cache::Writeback,
        },
        discard: spec.discard,
        block_size: spec.block_size,
        physical_block_size: spec.physical_block_size.unwrap_or(spec.block_size),
        engine: match engine {
            DiskEngine::Sync => EngineKind::Sync,
            DiskEngine::Async => EngineKind::Async,
        },
        limits: limits(spec.rate_limiter),
    }
}

fn balloon_config(spec: &BalloonSpec) -> BalloonConfig {
    BalloonConfig {
        target_pages: pages(spec.target),
        deflate_on_oom: spec.deflate_on_oom,
        stats_interval: Duration::from_secs(spec.stats_interval_s.into()),
        free_page_hinting: spec.free_page_hinting,
        free_page_reporting: spec.free_page_reporting,
    }
}

/// An amount in the balloon's pages of 4 KiB.
pub fn pages(amount: Mib) -> u32 {
    u32::try_from(amount.0.saturating_mul(256)).unwrap_or(u32::MAX)
}

/// A change of limits: a bucket that limits nothing takes the limit away.
pub fn limiter_update(limiter: RateLimiter) -> LimiterUpdate {
    LimiterUpdate { bandwidth: limiter.bandwidth.map(bucket), ops: limiter.ops.map(bucket) }
}

pub(super) fn limits(limiter: RateLimiter) -> LimiterConfig {
    LimiterConfig { bandwidth: limiter.bandwidth.map(bucket), ops: limiter.ops.map(bucket) }
}

pub(super) fn bucket(bucket: TokenBucket) -> BucketConfig {
    BucketConfig {
        size: bucket.size,
        refill_time_ms: bucket.refill_time_ms,
        one_time_burst: bucket.one_time_burst.unwrap_or(0),
    }
}
